//! A certificate that a server makes for itself (`tls.test.mode.enable`): CN=localhost, for anybody who checks nothing.
//!
//! Java makes an RSA one, with which a start takes half a second; this one has a key of P-256. Written as DER by hand: it is the same
//! but for the key and the signature each time.

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::TlsError;

/// ecdsa-with-SHA256
const SIGNED_BY: &[u8] = &[
    0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02,
];
/// id-ecPublicKey, prime256v1
const KEY_KIND: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE,
    0x3D, 0x03, 0x01, 0x07,
];
/// commonName
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8: u8 = 0x0C;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A new key and a certificate for it.
pub(super) fn make() -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
    let random = SystemRandom::new();
    let made = |_| TlsError::Made;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(made)?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random)
        .map_err(|_| TlsError::Made)?;
    let mut serial = [0; 8];
    random.fill(&mut serial).map_err(made)?;
    // Positive, and without a leading zero.
    serial[0] = serial[0] & 0x7F | 0x40;
    let name = tagged(
        SEQUENCE,
        &[&tagged(
            SET,
            &[&tagged(SEQUENCE, &[COMMON_NAME, &tagged(UTF8, &[b"localhost"])])],
        )],
    );
    let validity = tagged(
        SEQUENCE,
        &[
            &tagged(UTC_TIME, &[b"200101000000Z"]),
            &tagged(GENERALIZED_TIME, &[b"99991231235959Z"]),
        ],
    );
    let public = tagged(
        SEQUENCE,
        &[KEY_KIND, &tagged(BIT_STRING, &[&[0], key.public_key().as_ref()])],
    );
    let version_3 = tagged(0xA0, &[&tagged(INTEGER, &[&[2]])]);
    let contents = tagged(
        SEQUENCE,
        &[
            &version_3,
            &tagged(INTEGER, &[&serial]),
            SIGNED_BY,
            &name,
            &validity,
            &name,
            &public,
        ],
    );
    let signature = key.sign(&random, &contents).map_err(made)?;
    let whole = tagged(
        SEQUENCE,
        &[
            &contents,
            SIGNED_BY,
            &tagged(BIT_STRING, &[&[0], signature.as_ref()]),
        ],
    );
    let key = PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec());
    Ok((CertificateDer::from(whole), PrivateKeyDer::Pkcs8(key)))
}

/// Tag, length, contents.
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let mut der = vec![tag];
    match contents.len() {
        short @ ..0x80 => der.push(short as u8),
        long @ ..0x100 => der.extend([0x81, long as u8]),
        longer => {
            der.push(0x82);
            der.extend((longer as u16).to_be_bytes());
        }
    }
    der.extend(contents);
    der
}
