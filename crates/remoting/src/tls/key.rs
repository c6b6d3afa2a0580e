//! Private keys in the forms that Java's servers take.

use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::TlsError;

/// The way out of an encryption that is not known here.
const ANEW: &str =
    "where its encryption is older than PBES2, `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes it anew";

/// Reads the first private key of a PEM file.
///
/// Unlike Java's, a password that is given for a key that needs none is no error: the key is there.
pub(super) fn read(
    path: &Path,
    pem: &[u8],
    password: Option<&str>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let wrong = |what: String| TlsError::Contents {
        path: path.to_owned(),
        what,
    };
    if let Some(der) = encrypted(pem) {
        let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice())
            // An algorithm older than PBES2 is not even read.
            .map_err(|e| wrong(format!("the encrypted key can not be read ({e}); {ANEW}")))?;
        let password = password.ok_or_else(|| {
            wrong("the key is encrypted, and no password is given (tls.server.keyPassword, tls.client.keyPassword)".to_owned())
        })?;
        let key = info.decrypt(password).map_err(|_| {
            wrong(format!(
                "the key can not be decrypted: the password is wrong, or {ANEW}"
            ))
        })?;
        return Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
            key.as_bytes().to_vec(),
        )));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        wrong("there is no private key in it (BEGIN PRIVATE KEY, ENCRYPTED PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY)".to_owned())
    })
}

/// The contents of the first section if it is an encrypted key, whose sections have no kind of their own.
fn encrypted(pem: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once(BEGIN)?;
    let (base64, _) = rest.split_once(END)?;
    // As a section of a kind that is known, so that the one reader of Base64 reads it.
    let known = format!("-----BEGIN CERTIFICATE-----{base64}-----END CERTIFICATE-----\n");
    let section = <(SectionKind, Vec<u8>)>::from_pem_slice(known.as_bytes()).ok()?;
    Some(section.1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::process::Command;

    pub(in crate::tls) fn openssl(dir: &Path, arguments: &str) {
        let ran = Command::new("openssl")
            .current_dir(dir)
            .args(arguments.split_whitespace())
            .output();
        let ran = ran.expect("openssl is there");
        assert!(
            ran.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    #[test]
    fn forms_of_keys() {
        let dir = tempfile::tempdir().expect("a folder");
        openssl(
            dir.path(),
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out plain.key",
        );
        openssl(dir.path(), "rsa -in plain.key -traditional -out pkcs1.key");
        openssl(
            dir.path(),
            "pkcs8 -topk8 -in plain.key -v2 aes-256-cbc -passout pass:secret -out pbes2.key",
        );
        openssl(
            dir.path(),
            "pkcs8 -topk8 -in plain.key -v1 PBE-SHA1-3DES -passout pass:secret -out pbe.key",
        );
        openssl(
            dir.path(),
            "ecparam -name prime256v1 -genkey -noout -out sec1.key",
        );
        let read = |name: &str, password| {
            let path = dir.path().join(name);
            super::read(&path, &std::fs::read(&path).expect("a file"), password)
        };
        for (name, password) in [
            ("plain.key", None),
            ("plain.key", Some("not needed")),
            ("pkcs1.key", None),
            ("sec1.key", None),
            ("pbes2.key", Some("secret")),
        ] {
            let key = read(name, password).expect(name);
            rustls::crypto::ring::sign::any_supported_type(&key).expect(name);
        }
        for (name, password, part) in [
            ("pbes2.key", None, "no password is given"),
            ("pbes2.key", Some("wrong"), "the password is wrong"),
            ("pbe.key", Some("secret"), "openssl pkcs8 -topk8"),
        ] {
            let refused = read(name, password).expect_err(name).to_string();
            assert!(refused.contains(part) && refused.contains(name), "{refused}");
            assert!(!refused.contains("secret"));
        }
        let none = super::read(Path::new("x.key"), b"no key", None)
            .expect_err("no key")
            .to_string();
        assert!(none.starts_with("x.key: there is no private key"), "{none}");
    }
}
