//! `[alerts]`: where a person is told of what needs one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::numbers::{DAY_SEC, integer};
use super::table::Table;

const FULL_WITHIN_DAYS: u64 = 2;

/// A webhook, and the token that it asks for. Neither is ever shown: addresses of webhooks often
/// are secrets themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertsConfig {
    pub webhook: String,
    token: Option<Token>,
    /// A disk that will be full within this is told of.
    pub full_within: Duration,
}

#[derive(Clone, PartialEq, Eq)]
enum Token {
    Given(String),
    /// Read anew for each alert, so that it can be renewed.
    File(PathBuf),
}

impl AlertsConfig {
    pub(super) fn read(root: &Table, base: &Path) -> Option<Self> {
        root.table("alerts", |alerts| {
            let webhook = alerts.text("webhook", |text| {
                let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
                let good = host.is_some_and(|rest| {
                    !rest.is_empty()
                        && !rest.starts_with('/')
                        && rest.bytes().all(|b| b.is_ascii_graphic())
                });
                let expected = "expected an address, as in \"https://hooks.example/sealbox\"";
                if good { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
            });
            let given = alerts.text("token", |text| {
                let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
                let expected = "expected a token without spaces";
                if good { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
            });
            let file = alerts.path("token_file", base);
            let token = match (given, file) {
                (_, Some(file)) => Some(Token::File(file.value)),
                (Some(given), None) => Some(Token::Given(given.value)),
                (None, None) => None,
            };
            let days =
                integer(alerts, "full_within_days", 0..=365, "days; 0: never", FULL_WITHIN_DAYS);
            let full_within = Duration::from_secs(days * DAY_SEC);
            webhook.map(|webhook| Self { webhook: webhook.value, token, full_within })
        })
    }

    #[cfg(test)]
    pub fn to(webhook: String, token: &str) -> Self {
        let full_within = Duration::from_secs(FULL_WITHIN_DAYS * DAY_SEC);
        Self { webhook, token: Some(Token::Given(token.to_owned())), full_within }
    }

    /// Scheme and host: what can be shown.
    pub fn place(&self) -> String {
        let (scheme, rest) = self.webhook.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}/…")
    }

    /// # Errors
    /// Why the token's file cannot be read.
    pub fn token(&self) -> Result<Option<String>, String> {
        match &self.token {
            None => Ok(None),
            Some(Token::Given(token)) => Ok(Some(token.clone())),
            Some(Token::File(file)) => match std::fs::read_to_string(file) {
                Ok(token) => Ok(Some(token.trim().to_owned())),
                Err(error) => Err(format!("cannot read `token_file` {}: {error}", file.display())),
            },
        }
    }
}

impl fmt::Debug for AlertsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlertsConfig({})", self.place())
    }
}

impl Serialize for AlertsConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = serializer.serialize_struct("AlertsConfig", 3)?;
        shown.serialize_field("webhook", &self.place())?;
        let token = self.token.as_ref().map(|token| match token {
            Token::Given(_) => "(given)".to_owned(),
            Token::File(file) => format!("(in {})", file.display()),
        });
        shown.serialize_field("token", &token)?;
        let days = self.full_within.as_secs() / DAY_SEC;
        shown.serialize_field("full_within_days", &days)?;
        shown.end()
    }
}
