//! HTTPS, where the configuration names a certificate and its key.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, version};

use crate::config::TlsFiles;

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
    now: Arc<RwLock<Arc<ServerConfig>>>,
}

/// Read and checked, and not in effect yet.
pub struct Renewed(Arc<ServerConfig>);

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
        read(&self.files).map(Renewed)
    }

    /// From the next connection on.
    pub fn adopt(&self, Renewed(config): Renewed) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.cert)?;
    let key = private_key(&files.key)?;
    let mismatched = |source| TlsError::Mismatched { files: files.clone(), source };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(mismatched)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(mismatched)?;
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = bytes("tls_cert", path)?;
    let senseless = |why: String| TlsError::Senseless {
        key: "tls_cert",
        path: path.into(),
        wanted: "certificate",
        why,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
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
