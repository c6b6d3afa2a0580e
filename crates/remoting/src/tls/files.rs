//! The files of certificates and keys.
#![expect(
    clippy::disallowed_methods,
    reason = "what a server shows of itself is in files that are nobody else's"
)]

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Identity, TlsError, key};

/// A certificate with its chain, and its key.
pub(super) type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Bytes of the files that count, to be compared with what they were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Contents(Vec<Option<Vec<u8>>>);

/// Reads what the files say now; one that is away for a moment is nothing.
pub(super) fn contents(paths: &[Option<&PathBuf>]) -> Contents {
    Contents(paths.iter().map(|path| read_bytes(path.as_ref()?).ok()).collect())
}

/// A FIFO without a writer would hold up the reader for ever.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.file_type().is_fifo() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        ));
    }
    std::fs::read(path)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    read_bytes(path).map_err(|cause| TlsError::File {
        path: path.to_owned(),
        cause,
    })
}

pub(super) fn identity(identity: &Identity) -> Result<Option<Shown>, TlsError> {
    let (cert, key) = match (&identity.cert_path, &identity.key_path) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        (None, Some(_)) => {
            return Err(TlsError::Setting(
                "a key is given (keyPath) and no certificate (certPath)",
            ));
        }
        (Some(_), None) => {
            return Err(TlsError::Setting(
                "a certificate is given (certPath) and no key (keyPath)",
            ));
        }
    };
    let chain = certificates(cert)?;
    let key = key::read(key, &read(key)?, identity.key_password.as_deref())?;
    Ok(Some((chain, key)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |what: &str| TlsError::Contents {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let pem = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(wrong("there is no certificate in it (BEGIN CERTIFICATE)")),
        Err(_) => Err(wrong("a certificate in it can not be read")),
    }
}

pub(super) fn trusted(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| TlsError::Contents {
            path: path.to_owned(),
            what: format!("a certificate in it can not be trusted: {e}"),
        })?;
    }
    Ok(roots)
}
