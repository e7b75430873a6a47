//! HTTPS, where the configuration names a certificate and its key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, version};

use crate::config::TlsFiles;
use crate::durable::write_atomic;

/// A certificate with its chain and a key is shorter; another file given by mistake may be longer.
const LONGEST: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(
        "{} cannot be read: {source}; give the user that runs sealbox read access to it, or name \
         another file in `[web] {key}`",
        path.display()
    )]
    Unreadable { key: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "{} holds no {wanted} in PEM ({why}); name the right file in `[web] {key}`",
        path.display()
    )]
    Senseless { key: &'static str, path: PathBuf, wanted: &'static str, why: String },
    #[error(
        "the key in {} does not belong to the certificate in {} ({source}); name the two that \
         were made together in `[web] tls_cert` and `tls_key`",
        files.key.display(),
        files.cert.display()
    )]
    Mismatched { files: TlsFiles, source: rustls::Error },
}

/// What connections are taken with. A clone is the same.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    now: Arc<RwLock<Renewed>>,
}

/// Read and checked, and not in effect yet.
#[derive(Clone)]
pub struct Renewed {
    config: Arc<ServerConfig>,
    /// The certificates alone, in PEM.
    certificates: Arc<[u8]>,
}

/// Where the box leaves the certificate that it has in use, for commands beside it: the file that
/// the configuration names may have been renewed since.
pub fn in_use(data_dir: &Path) -> PathBuf {
    data_dir.join("cli.pem")
}

impl Tls {
    /// # Errors
    /// The files cannot be read, or make no sense.
    pub fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { files: files.clone(), now: Arc::new(RwLock::new(read(files)?)) })
    }

    /// Reads the files again: a certificate is renewed every few weeks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read_again(&self) -> Result<Renewed, TlsError> {
        read(&self.files)
    }

    /// From the next connection on.
    pub fn adopt(&self, renewed: Renewed) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = renewed;
    }

    /// Leaves the certificate in use where commands beside the box look for it ([`in_use`]).
    ///
    /// # Errors
    /// If that cannot be written. Then the commands go by the file that the configuration names.
    pub fn leave_certificate(&self, data_dir: &Path) -> io::Result<()> {
        write_atomic(&in_use(data_dir), &self.now().certificates)
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.now().config.into()
    }

    fn now(&self) -> Renewed {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(files: &TlsFiles) -> Result<Renewed, TlsError> {
    let text = bytes("tls_cert", &files.cert)?;
    let chain = certificates(&files.cert, &text)?;
    let key = private_key(&files.key)?;
    let mismatched = |source| TlsError::Mismatched { files: files.clone(), source };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(mismatched)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(mismatched)?;
    Ok(Renewed { config: Arc::new(config), certificates: certificates_alone(&text).into() })
}

/// The file may hold the key, too, which has no business anywhere else.
fn certificates_alone(text: &[u8]) -> Vec<u8> {
    let (begin, end) = (b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----");
    let (mut alone, mut inside) = (Vec::new(), false);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        inside |= line.trim_ascii() == begin;
        if inside {
            alone.extend_from_slice(line.trim_ascii());
            alone.push(b'\n');
        }
        inside &= line.trim_ascii() != end;
    }
    alone
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let senseless = |why: String| TlsError::Senseless {
        key: "tls_cert",
        path: path.into(),
        wanted: "certificate",
        why,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|error| senseless(error.to_string()))?;
    if chain.is_empty() { Err(senseless("there is none in it".to_owned())) } else { Ok(chain) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = bytes("tls_key", path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::Senseless {
        key: "tls_key",
        path: path.into(),
        wanted: "private key",
        // What the reader says of it may quote the file.
        why: "unencrypted PKCS#8, PKCS#1 or SEC1 is".to_owned(),
    })
}

fn bytes(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { key, path: path.into(), source };
    let long = fs::metadata(path).map_err(unreadable)?.len() > LONGEST;
    if long {
        return Err(unreadable(std::io::Error::other("longer than 1 MiB")));
    }
    fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_for_the_commands_is_every_certificate_and_no_key() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let both = format!("a word before\r\n{key}{}{key}{pem}", pem.replace('\n', "\r\n"));
        let alone = certificates_alone(both.as_bytes());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&alone).collect();
        assert_eq!(chain.unwrap(), [made.cert.der().clone(), made.cert.der().clone()]);
        assert!(!String::from_utf8(alone).unwrap().contains("KEY"));
    }
}
