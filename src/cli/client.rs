//! HTTP to a running box.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio_rustls::rustls;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder};

use super::{Exit, Refusal};

/// As many rows as are asked for at a time.
const PAGE: u32 = 500;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A box under full load acknowledges after an fsync, which may take its time on a busy disk.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// One page of a list is far shorter.
const LONGEST_ANSWER: u64 = 64 << 20;

/// What is shown to the box, and what it has to show.
#[derive(Default)]
pub struct Papers {
    /// Who asks.
    pub token: Option<String>,
    /// Where the box's own certificates are, where its configuration is at hand: any of them will do,
    /// and one that cannot be read is passed over for another. None named: it has to be one that
    /// the world trusts.
    pub certificates: Vec<PathBuf>,
}

/// Asks one box.
pub struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl fmt::Debug for Client {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Client {
    /// `base` as in `http://127.0.0.1:3456`.
    ///
    /// # Errors
    /// If it is no `http://` or `https://` address, or the certificate cannot be read.
    pub fn new(base: &str, papers: Papers) -> Result<Self, Refusal> {
        let base = base.trim_end_matches('/');
        let rest = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        if rest.is_none_or(str::is_empty) {
            return Err(Refusal::new(
                Exit::Usage,
                format!("`{base}` is not where a sealbox can answer"),
                "expected an address as in `http://127.0.0.1:3456`",
            ));
        }
        let config = Agent::config_builder()
            // The answers to errors are read too: they say what to do.
            .http_status_as_error(false)
            // A proxy of the environment is for the world outside, not for this machine.
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("sealbox/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_global(Some(ANSWER_LIMIT))
            .tls_config(tls(&papers.certificates)?)
            .build();
        let token = papers.token.map(|token| token.trim().to_owned());
        Ok(Self { agent: config.into(), base: base.to_owned(), token })
    }

    /// # Errors
    /// If no sealbox answers, or it refuses.
    pub fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Refusal> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in query {
            request = request.query(name, value);
        }
        self.read(self.shown(request).call())
    }

    /// # Errors
    /// If no sealbox answers, or it refuses. After a timeout it may still have been done.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        self.read(self.shown(self.agent.post(format!("{}{path}", self.base))).send_json(body))
    }

    fn shown<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn read(&self, result: Result<Response<Body>, ureq::Error>) -> Result<Value, Refusal> {
        let mut response = result.map_err(|error| self.no_answer(&error))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        let body = body.map_err(|error| self.no_answer(&error))?;
        let value = serde_json::from_slice::<Value>(&body).ok().filter(Value::is_object);
        match value {
            Some(value) if status.is_success() => Ok(value),
            Some(problem) if problem.get("title").is_some() => {
                Err(refusal(status.as_u16(), &problem))
            }
            Some(_) | None => Err(Refusal::new(
                Exit::NotRunning,
                format!("what answers at {} is no sealbox (status {status})", self.base),
                "see which program has this port, or say with `--url` where the box is",
            )),
        }
    }

    fn no_answer(&self, error: &ureq::Error) -> Refusal {
        let base = &self.base;
        let nobody = |why: &str| {
            Refusal::new(
                Exit::NotRunning,
                format!("no sealbox answers at {base} ({why})"),
                "start it with `sealbox run`, or say with `--url` where it is",
            )
        };
        match error {
            ureq::Error::ConnectionFailed => nobody("connection failed"),
            ureq::Error::HostNotFound => nobody("there is no such host"),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                nobody("connection refused")
            }
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                nobody("it cannot be reached in time")
            }
            ureq::Error::Timeout(_) => Refusal::new(
                Exit::Failed,
                format!("the box at {base} did not answer within {} s", ANSWER_LIMIT.as_secs()),
                "it may have done what it was asked: look with `sealbox sectors` before asking \
                 again",
            ),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Refusal::new(
                Exit::Usage,
                format!("`{base}` is not an address: {error}"),
                "expected an address as in `http://127.0.0.1:3456`",
            ),
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) => self.unproven(error),
            ureq::Error::Io(io) if is_about_tls(io) => self.unproven(error),
            ureq::Error::Protocol(_) => Refusal::new(
                Exit::NotRunning,
                format!("what answers at {base} is no sealbox ({error})"),
                "see which program has this port, or say with `--url` where the box is",
            ),
            other => Refusal::new(
                Exit::Failed,
                format!("the connection to the box at {base} broke: {other}"),
                "it may have done what it was asked: look with `sealbox sectors` before asking \
                 again",
            ),
        }
    }

    fn unproven(&self, error: &ureq::Error) -> Refusal {
        Refusal::new(
            Exit::Failed,
            format!("the box at {} does not prove who it is: {error}", self.base),
            "ask it by a name that its certificate is for: the first of `[web] hosts`, or that of \
             `--url`",
        )
    }

    /// All pages of a list in one, `{"<rows>": […]}`, with what else the last of them says.
    pub fn all(
        &self,
        path: &str,
        rows: &str,
        query: Vec<(&str, String)>,
    ) -> Result<Value, Refusal> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut page_query = query.clone();
            page_query.push(("limit", PAGE.to_string()));
            page_query.extend(next.clone().map(|next| ("after", next)));
            let mut page = self.get(path, &page_query)?;
            let Some(Value::Array(page_rows)) = page.get_mut(rows).map(Value::take) else {
                return Err(strange(path, &format!("without `{rows}`")));
            };
            found.extend(page_rows);
            let following = match page.get("next") {
                None | Some(Value::Null) => {
                    page[rows] = found.into();
                    page.as_object_mut().and_then(|page| page.remove("next"));
                    return Ok(page);
                }
                Some(Value::String(next)) => next.clone(),
                Some(other) => other.to_string(),
            };
            // A list that leads back to the same page would be asked for until the memory is full.
            if next.as_ref() == Some(&following) {
                return Err(strange(path, "that leads back to itself"));
            }
            next = Some(following);
        }
    }
}

/// What goes wrong while the certificate is looked at comes as an error of the connection.
fn is_about_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inside| inside.is::<rustls::Error>())
}

/// Whom to believe that it is the box: who has one of its very certificates; if none is named, whom
/// the world believes.
fn tls(named: &[PathBuf]) -> Result<TlsConfig, Refusal> {
    if named.is_empty() {
        return Ok(TlsConfig::default());
    }
    let (mut trusted, mut refused) = (Vec::new(), None);
    for path in named {
        match certificates(path) {
            Ok(certificates) => trusted.extend(certificates),
            Err(refusal) => refused = Some(refusal),
        }
    }
    match refused {
        Some(refusal) if trusted.is_empty() => Err(refusal),
        Some(_) | None => {
            let roots = RootCerts::new_with_certs(&trusted);
            Ok(TlsConfig::builder().root_certs(roots).build())
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Refusal> {
    let unread = |why: String| {
        Refusal::new(
            Exit::Usage,
            format!("the box's certificate {} cannot be read: {why}", path.display()),
            "see `[web] tls_cert`, or say with `--url` where the box is",
        )
    };
    let text = std::fs::read(path).map_err(|error| unread(error.to_string()))?;
    let certificates: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        Err(unread("there is none in it".to_owned()))
    } else {
        Ok(certificates)
    }
}

/// The box's own words (RFC 9457, with `mend` added, and `problems` where a configuration is wrong).
fn refusal(status: u16, problem: &Value) -> Refusal {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    let what = text("detail").or(text("title")).unwrap_or("the box refused");
    let problems = problem.get("problems").cloned();
    let exit = match &problems {
        Some(_) => Exit::Usage,
        None if status == 404 => Exit::NotFound,
        None => Exit::Failed,
    };
    let mut refusal = Refusal::new(exit, what, text("mend").unwrap_or_default());
    refusal.more = problems.map(|problems| ("problems", problems));
    refusal
}

pub fn strange(path: &str, how: &str) -> Refusal {
    Refusal::new(
        Exit::Failed,
        format!("the box answered {path} with a page {how}"),
        "see that this command and the running box are of the same version",
    )
}
