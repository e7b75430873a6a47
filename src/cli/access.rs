//! `passwd` and `token`: who may ask the box. Both change a file of the data directory, which the
//! box that runs looks at with the next request.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::args::TokenCommand;
use super::{Answer, Exit, Refusal};
use crate::access::kept::{self, Kept, Token};
use crate::access::secret::{PASSWORD_LENGTH, PasswordKept, Secret};
use crate::access::{AccessError, Role};
use crate::domain::units::Timestamp;
use crate::web::show::{rfc3339, span};

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Self {
        // It says what to do as well.
        Self::new(Exit::Failed, error.to_string(), "")
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Sets a password, or takes it away. Whoever signed in with the one before is signed out by that.
///
/// # Errors
/// It cannot be read, or is none; or the file cannot be written.
pub fn passwd(data_dir: &Path, role: Role, remove: bool) -> Result<Answer, Refusal> {
    let name = role.name();
    if remove {
        let was = kept::change(data_dir, |kept| take_away(kept, role))?;
        let text = match was {
            true => format!("the {name}'s password is gone, and who signed in with it signed out"),
            false => format!("the {name} had no password"),
        };
        return Ok(Answer { json: json!({ "password": null, "role": name }), text });
    }
    // The file first: nobody types a password for a refusal.
    check(&Kept::read(data_dir)?, role)?;
    let password = read_password(name)?;
    let hashed = PasswordKept::of(&password)
        .map_err(|why| Refusal::new(Exit::Usage, format!("nothing was set: {why}"), ""))?;
    kept::change(data_dir, |kept| {
        check(kept, role)?;
        match kept.role_of(&password) {
            Some((other, _)) if other != role => Err(Refusal::new(
                Exit::Usage,
                format!("this is the {}'s password already; nothing was set", other.name()),
                "choose another: who signs in is told apart by it alone",
            )),
            Some(_) | None => {
                kept.set_password(role, hashed);
                Ok(())
            }
        }
    })?;
    let text = format!("the {name}'s password is set; the box asks for it from now on");
    Ok(Answer { json: json!({ "password": "set", "role": name }), text })
}

/// Without an operator's password everybody is let in, so a viewer's would mean nothing.
fn check(kept: &Kept, role: Role) -> Result<(), Refusal> {
    if role != Role::Operator && kept.password(Role::Operator).is_none() {
        return Err(Refusal::new(
            Exit::Usage,
            "without an operator's password everybody may do everything; nothing was set",
            "set that first: `sealbox passwd`",
        ));
    }
    Ok(())
}

fn take_away(kept: &mut Kept, role: Role) -> Result<bool, Refusal> {
    if role == Role::Operator && kept.password(Role::Viewer).is_some() {
        return Err(Refusal::new(
            Exit::Usage,
            "there is a viewer's password, which would mean nothing without the operator's",
            "remove that first: `sealbox passwd --role viewer --remove`",
        ));
    }
    Ok(kept.remove_password(role))
}

/// From the terminal without echo, twice; else the first line of standard input.
fn read_password(name: &str) -> Result<String, Refusal> {
    let unread = |error: io::Error| {
        let what = format!("no password could be read: {error}; nothing was set");
        Refusal::new(Exit::Usage, what, "type it in on a terminal, or give it on standard input")
    };
    if !io::stdin().is_terminal() {
        let mut text = String::new();
        // Some bytes more than the longest one, so that a longer one is noticed.
        let most = *PASSWORD_LENGTH.end() as u64 * 4 + 3;
        io::stdin().take(most).read_to_string(&mut text).map_err(unread)?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    let first = rpassword::prompt_password(format!("The {name}'s new password: "));
    let first = first.map_err(unread)?;
    let second = rpassword::prompt_password("The same again: ").map_err(unread)?;
    if first == second {
        Ok(first)
    } else {
        let what = "the two are not the same; nothing was set";
        Err(Refusal::new(Exit::Usage, what, "type it in again"))
    }
}

/// # Errors
/// The name is taken or unknown, or the file cannot be read or written.
pub fn token(data_dir: &Path, command: &TokenCommand) -> Result<Answer, Refusal> {
    match command {
        TokenCommand::Create { name, role, expires, of: _ } => {
            create(data_dir, name, *role, *expires)
        }
        TokenCommand::List { of: _ } => Ok(list(&Kept::read(data_dir)?)),
        TokenCommand::Revoke { name, of: _ } => revoke(data_dir, name),
    }
}

fn create(
    data_dir: &Path,
    name: &str,
    role: Role,
    expires: Option<Duration>,
) -> Result<Answer, Refusal> {
    let (secret, created) = (Secret::draw(), now());
    let token = Token {
        name: name.to_owned(),
        role,
        digest: secret.digest(),
        created,
        expires: expires.map(|expires| created.plus(expires)),
    };
    let line = token_json(&token, created);
    kept::change(data_dir, |kept| {
        if kept.tokens.iter().any(|token| token.name == name) {
            return Err(Refusal::new(
                Exit::Usage,
                format!("there is a token {name} already; nothing was made"),
                format!("choose another name, or revoke it: `sealbox token revoke {name}`"),
            ));
        }
        kept.tokens.push(token);
        Ok(())
    })?;
    let mut json = line;
    json["token"] = secret.shown().into();
    // Alone on the first line, so that a script can take it.
    let text = format!(
        "{}\n\nThis is shown once: what is kept is its hash. Send it as `Authorization: Bearer`, or \
         give it to sealbox's commands as SEALBOX_TOKEN.",
        secret.shown()
    );
    Ok(Answer { json, text })
}

fn token_json(token: &Token, now: Timestamp) -> serde_json::Value {
    json!({
        "name": token.name,
        "role": token.role.name(),
        "created": rfc3339(token.created),
        "expires": token.expires.map(rfc3339),
        "expired": token.is_over(now),
    })
}

fn list(kept: &Kept) -> Answer {
    let now = now();
    let tokens: Vec<_> = kept.tokens.iter().map(|token| token_json(token, now)).collect();
    let widest = kept.tokens.iter().map(|token| token.name.len()).max().unwrap_or_default();
    let line = |token: &Token| {
        let ends = match token.expires {
            None => "does not expire".to_owned(),
            Some(_) if token.is_over(now) => "expired".to_owned(),
            Some(expires) => format!("expires in {}", span(expires.since(now))),
        };
        let made = rfc3339(token.created);
        format!("{:widest$}  {:8}  made {made}  {ends}\n", token.name, token.role.name())
    };
    let text = if kept.tokens.is_empty() {
        "there is no token; `sealbox token create NAME` makes one".to_owned()
    } else {
        kept.tokens.iter().map(line).collect()
    };
    Answer { json: json!({ "tokens": tokens }), text }
}

fn revoke(data_dir: &Path, name: &str) -> Result<Answer, Refusal> {
    kept::change(data_dir, |kept| {
        let before = kept.tokens.len();
        kept.tokens.retain(|token| token.name != name);
        if kept.tokens.len() == before {
            let mend = "`sealbox token list` has all that there are";
            return Err(Refusal::new(Exit::NotFound, format!("there is no token {name}"), mend));
        }
        Ok(())
    })?;
    let text = format!("token {name} is revoked; the next request with it is refused");
    Ok(Answer { json: json!({ "revoked": name }), text })
}

/// `operator` or `viewer`: who has a password.
pub fn signing_role(text: &str) -> Result<Role, String> {
    let roles = [Role::Operator, Role::Viewer];
    let found = roles.into_iter().find(|role| role.name() == text);
    found.ok_or_else(|| "expected operator or viewer".to_owned())
}

pub fn any_role(text: &str) -> Result<Role, String> {
    let roles = [Role::Operator, Role::Viewer, Role::Metrics];
    let found = roles.into_iter().find(|role| role.name() == text);
    found.ok_or_else(|| "expected operator, viewer or metrics".to_owned())
}

pub fn token_name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=40).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 40 letters, digits, dots, dashes or underscores".to_owned())
    }
}

/// As in `90d`: minutes, hours, days or weeks.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    const MOST: u64 = 100 * 365 * 86_400;
    let expected = || "expected a number of m, h, d or w, as in 90d".to_owned();
    let unit = text.chars().last().ok_or_else(expected)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(expected()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    let lasts = count.checked_mul(seconds).filter(|lasts| (1..=MOST).contains(lasts));
    lasts.map(Duration::from_secs).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_and_a_unit() {
        assert_eq!(lifetime("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(lifetime("30m"), Ok(Duration::from_secs(1_800)));
        for bad in [
            "",
            "d",
            "0d",
            "90",
            "-1d",
            "1.5d",
            "90 d",
            "9é",
            "99999999999999999999w",
            "101w ",
            "40000000w",
        ] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_s_name_is_a_word_that_needs_no_quotes() {
        assert!(token_name("grafana-2.lan_a").is_ok());
        for bad in ["", "a b", "a/b", "ä", "<b>", &"x".repeat(41)] {
            assert!(token_name(bad).is_err(), "{bad}");
        }
    }
}
