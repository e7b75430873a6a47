//! Where the files come from: HTTP gateways of IPFS, which have a file by its CID.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use serde::Serialize;
use ureq::Agent;
use ureq::http::{HeaderMap, header};

/// The variable that names further gateways, one or more with commas between. The field's other
/// programs read it too.
pub const GATEWAYS: &str = "IPFS_GATEWAY";

/// Asked after those of [`GATEWAYS`].
pub const DEFAULT_MIRRORS: [&str; 2] =
    ["https://proofs.filecoin.io/ipfs/", "https://ipfs.io/ipfs/"];

/// Twice and more what the longest file of the set-up has. A mirror that offers more is not to
/// be believed.
const LONGEST: u64 = 256 << 30;

/// A gateway's address, to which a CID is appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Mirror(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the address of a gateway")]
pub struct BadMirror(String);

impl Mirror {
    /// As in `https://proofs.filecoin.io/ipfs/`; the last slash may be left out.
    ///
    /// # Errors
    /// If it is no address of HTTP.
    pub fn parse(address: &str) -> Result<Self, BadMirror> {
        let address = address.trim();
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        let bad = |rest: &str| rest.is_empty() || rest.contains(|c: char| c.is_whitespace());
        if rest.is_none_or(bad) {
            return Err(BadMirror(address.to_owned()));
        }
        let slash = if address.ends_with('/') { "" } else { "/" };
        Ok(Self(format!("{address}{slash}")))
    }

    /// The gateways of the variable first, then the others.
    ///
    /// # Errors
    /// If one of the variable's is no address.
    pub fn all(gateways: &str) -> Result<Vec<Self>, BadMirror> {
        let named = gateways.split(',').filter(|address| !address.trim().is_empty());
        let mut all = Vec::new();
        for address in named.chain(DEFAULT_MIRRORS) {
            let mirror = Self::parse(address)?;
            if !all.contains(&mirror) {
                all.push(mirror);
            }
        }
        Ok(all)
    }

    fn url(&self, cid: &str) -> String {
        format!("{}{cid}", self.0)
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long mirrors are waited for.
#[derive(Debug, Clone)]
pub struct Patience {
    pub connect: Duration,
    /// Without a single byte, before and within an answer.
    pub silence: Duration,
    /// So many bytes have to come in that time: with less, the next mirror is tried.
    pub slowest: u64,
    /// Between the rounds in which no mirror gives anything, once one has: an outage in the
    /// middle of hours need not end them. As many rounds as pauses, then it is given up.
    pub pauses: Vec<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            // A gateway may have to look for a file before it answers.
            silence: Duration::from_secs(60),
            // The longest file would take a month.
            slowest: 1 << 20,
            pauses: [5, 15, 60, 180, 300].map(Duration::from_secs).to_vec(),
        }
    }
}

/// The mirrors, in the order in which they are asked, and the means to ask them.
#[derive(Debug)]
pub struct Source {
    agent: Agent,
    pub(super) mirrors: Vec<Mirror>,
    pub(super) patience: Patience,
}

/// What a mirror has of a file from some byte on.
pub(super) enum Answer {
    /// The body begins with byte `from` of `total`, which may be before what was asked for.
    Body { from: u64, total: u64, body: Box<dyn Read> },
    /// The file does not go on there.
    NothingMore,
}

impl Source {
    pub fn new(mirrors: Vec<Mirror>, patience: Patience) -> Self {
        let config = Agent::config_builder()
            // What a status means for the file is decided here.
            .http_status_as_error(false)
            .user_agent(concat!("sealbox/", env!("CARGO_PKG_VERSION")))
            // There are minutes between requests: a kept connection would mostly be a dead one.
            .max_idle_connections(0)
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.silence))
            .timeout_recv_response(Some(patience.silence))
            .build();
        Self { agent: config.into(), mirrors, patience }
    }

    /// How long the file is, by the first mirror that tells.
    pub(super) fn length(&self, cid: &str) -> Option<u64> {
        self.mirrors.iter().find_map(|mirror| {
            let answer = self.agent.head(mirror.url(cid)).call().ok()?;
            let length = answer.status().is_success().then(|| content_length(answer.headers()));
            length.flatten().filter(|length| *length <= LONGEST)
        })
    }

    /// Asks for the file from byte `have` on.
    ///
    /// # Errors
    /// Why nothing can be taken from this answer.
    pub(super) fn open(&self, mirror: &Mirror, cid: &str, have: u64) -> Result<Answer, String> {
        let mut request = self.agent.get(mirror.url(cid));
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| match error {
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        })?;
        let headers = response.headers();
        let (from, total) = match response.status().as_u16() {
            200 => (0, content_length(headers).ok_or("it does not say how long the file is")?),
            206 => content_range(headers).ok_or("it does not say which part it sends")?,
            // A mirror that only says so must not cost what is here.
            416 if ends_by(headers, have) => return Ok(Answer::NothingMore),
            status => return Err(format!("status {status}")),
        };
        if from > have {
            return Err(format!("asked for byte {have}, it sends from {from} on"));
        }
        if total > LONGEST {
            return Err(format!("it offers {total} bytes, which is no parameter file"));
        }
        if total < have {
            return Err(format!("it offers {total} bytes, and {have} are here already"));
        }
        Ok(Answer::Body { from, total, body: Box::new(response.into_body().into_reader()) })
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// First byte and length of the whole, from `bytes 10-99/100`.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (part, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = part.split_once('-')?;
    Some((from.parse().ok()?, total.parse().ok()?))
}

/// Whether the file is no longer than this, from `bytes */100`.
fn ends_by(headers: &HeaderMap, have: u64) -> bool {
    let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let total = range.and_then(|range| range.strip_prefix("bytes */")?.parse::<u64>().ok());
    total.is_some_and(|total| total <= have)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(gateways: &str) -> Vec<String> {
        Mirror::all(gateways).unwrap().iter().map(Mirror::to_string).collect()
    }

    #[test]
    fn gateways_of_the_variable_are_asked_first() {
        assert_eq!(shown(""), DEFAULT_MIRRORS);
        let named = shown("http://10.0.0.5:8080/ipfs, https://ipfs.io/ipfs/,");
        assert_eq!(named, ["http://10.0.0.5:8080/ipfs/", DEFAULT_MIRRORS[1], DEFAULT_MIRRORS[0]]);
    }

    #[test]
    fn what_is_no_address_is_named() {
        for bad in ["proofs.filecoin.io", "https://", "ftp://x/", "http://a b/"] {
            assert_eq!(Mirror::all(bad), Err(BadMirror(bad.to_owned())));
        }
    }

    #[test]
    fn a_part_is_taken_only_if_it_says_which_it_is() {
        let headers = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, value.parse().unwrap());
            headers
        };
        let of = |value: &str| content_range(&headers(value));
        assert!(ends_by(&headers("bytes */100"), 100) && ends_by(&headers("bytes */100"), 101));
        for not_there_yet in ["bytes */101", "bytes */*", "", "bytes 10-99/100"] {
            assert!(!ends_by(&headers(not_there_yet), 100), "{not_there_yet}");
        }
        assert_eq!(of("bytes 10-99/100"), Some((10, 100)));
        for bad in ["bytes */100", "bytes 10-99/*", "10-99/100", "bytes x-99/100", ""] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
