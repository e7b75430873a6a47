//! `[web]`: where the pages are, by which names, and behind which certificate.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::table::Table;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3456);

/// The files of a certificate with its chain, and of its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

pub struct Web {
    pub listen: SocketAddr,
    pub hosts: Vec<String>,
    pub tls: Option<TlsFiles>,
}

impl Web {
    pub fn read(root: &Table, base: &Path, notes: &mut Vec<String>) -> Self {
        let web = root.table("web", |web| Self {
            listen: listen(web),
            hosts: hosts(web),
            tls: tls(web, base),
        });
        if !web.listen.ip().is_loopback() && web.tls.is_none() {
            notes.push(format!(
                "[web] listens on {} without `tls_cert` and `tls_key`: whoever can read along on \
                 that network reads passwords and tokens too",
                web.listen
            ));
        }
        web
    }

    /// Where this machine reaches it. A certificate is for a name: the first of `hosts`.
    pub fn url(listen: SocketAddr, hosts: &[String], tls: bool) -> String {
        match (tls, hosts.first()) {
            (true, Some(host)) => format!("https://{host}:{}", listen.port()),
            (true, None) => format!("https://{listen}"),
            (false, _) => format!("http://{listen}"),
        }
    }
}

fn listen(web: &Table) -> SocketAddr {
    let got = web.text("listen", |text| {
        text.parse()
            .map_err(|_| format!("expected an address and a port, as in \"{DEFAULT_LISTEN}\""))
    });
    got.map_or(DEFAULT_LISTEN, |got| got.value)
}

fn hosts(web: &Table) -> Vec<String> {
    let expected = "expected a list of names by which this box is opened, without scheme and port, \
                    as in [\"sealbox.lan\"]; addresses need not be named";
    let hosts = web.list("hosts", expected, |value| {
        let name = value.as_str().unwrap_or_default().trim_end_matches('.');
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(plain)
        };
        let is_name = name.len() <= 253 && name.split('.').all(label);
        // What looks like an address is none of a name's business.
        let is_address = name.rsplit('.').next().is_some_and(|last| last.parse::<u32>().is_ok());
        let good = is_name && !is_address;
        good.then(|| name.to_ascii_lowercase()).ok_or_else(|| expected.to_owned())
    });
    hosts.unwrap_or_default()
}

fn tls(web: &Table, base: &Path) -> Option<TlsFiles> {
    let (cert, key) = (web.path("tls_cert", base), web.path("tls_key", base));
    match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert: cert.value, key: key.value }),
        (Some(_), None) if !web.is_given("tls_key") => {
            web.missing("tls_key", "expected the file of the key that belongs to `tls_cert`");
            None
        }
        (None, Some(_)) if !web.is_given("tls_cert") => {
            web.missing("tls_cert", "expected the file of the certificate that `tls_key` is of");
            None
        }
        (Some(_), None) | (None, Some(_)) | (None, None) => None,
    }
}
