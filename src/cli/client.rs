//! HTTP to a running box.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, Body};

use super::{Exit, Refusal};

/// As many rows as are asked for at a time.
const PAGE: u32 = 500;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A box under full load acknowledges after an fsync, which may take its time on a busy disk.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// One page of a list is far shorter.
const LONGEST_ANSWER: u64 = 64 << 20;

/// Asks one box.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    /// `base` as in `http://127.0.0.1:3456`.
    ///
    /// # Errors
    /// If it is no `http://` address.
    pub fn new(base: &str) -> Result<Self, Refusal> {
        let base = base.trim_end_matches('/');
        if base.strip_prefix("http://").is_none_or(str::is_empty) {
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
            .build();
        Ok(Self { agent: config.into(), base: base.to_owned() })
    }

    /// # Errors
    /// If no sealbox answers, or it refuses.
    pub fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Refusal> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in query {
            request = request.query(name, value);
        }
        self.read(request.call())
    }

    /// # Errors
    /// If no sealbox answers, or it refuses. After a timeout it may still have been done.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        self.read(self.agent.post(format!("{}{path}", self.base)).send_json(body))
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

    /// All pages of a list in one: `{"<rows>": […]}`. `cursor` is the query's name for `next`.
    pub fn all(
        &self,
        path: &str,
        rows: &str,
        cursor: &str,
        query: Vec<(&str, String)>,
    ) -> Result<Value, Refusal> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut page_query = query.clone();
            page_query.push(("limit", PAGE.to_string()));
            page_query.extend(next.clone().map(|next| (cursor, next)));
            let mut page = self.get(path, &page_query)?;
            let Some(Value::Array(page_rows)) = page.get_mut(rows).map(Value::take) else {
                return Err(strange(path, &format!("without `{rows}`")));
            };
            found.extend(page_rows);
            let following = match page.get("next") {
                None | Some(Value::Null) => return Ok(json!({ rows: found })),
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
