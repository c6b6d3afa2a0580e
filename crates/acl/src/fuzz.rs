//! What any bytes may be: as a file of accounts, a pattern, a signed request. For tests and fuzzers (feature `fuzz`).

use bytes::Bytes;
use protocol::Frame;
use std::net::{IpAddr, Ipv6Addr};

use crate::{Accounts, AclFile, Document, Pattern, Reason};

/// A file of accounts: it is read or refused with a line; what an edit writes reads the same.
pub fn file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let read = AclFile::read("f", &text);
    if let Ok(mut document) = Document::parse("f", &text) {
        let written = document.text();
        let again = AclFile::read("f", &written);
        match (&read, again) {
            (Ok(before), Ok(after)) => {
                let configs =
                    |file: &AclFile| -> Vec<_> { file.accounts.iter().map(|a| a.config.clone()).collect() };
                assert!(configs(before) == configs(&after), "{written:?}");
                assert_eq!(before.white, after.white);
                assert_eq!(before.version, after.version);
            }
            (Err(_), Err(_)) => {}
            (before, after) => panic!("{before:?} became {after:?}: {written:?}"),
        }
        document.set_white(&["10.1.1.1".to_owned()]);
        assert!(Document::parse("f", &document.text()).is_ok());
    }
}

/// A pattern: what is refused says why; what is taken matches without a panic.
pub fn pattern(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match Pattern::parse(&text) {
        Ok(pattern) => {
            for address in [IpAddr::from([10, 1, 2, 3]), Ipv6Addr::LOCALHOST.into()] {
                assert_eq!(pattern.matches(address), pattern.clone().matches(address));
            }
        }
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
}

/// A request that nobody signed: whatever stands in it, it is refused.
pub fn request(input: &[u8]) {
    let Ok(frame) = Frame::decode(Bytes::copy_from_slice(input)) else {
        return;
    };
    let file = "accounts:\n- {accessKey: RocketMQ, secretKey: 'a secret that no input has'}\n";
    let (accounts, _) = Accounts::new(vec![AclFile::read("f", file).expect("a file")]);
    let refused = accounts
        .judge(&frame, [127, 0, 0, 1].into())
        .expect_err("nobody signed it");
    assert!(matches!(
        refused.reason,
        Reason::NoAccount | Reason::UnknownAccount | Reason::Signature
    ));
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_bytes_are_a_file_or_refused() {
        mutate::run("acl_file", super::file);
    }

    #[test]
    fn any_bytes_are_a_pattern_or_refused() {
        mutate::run("acl_pattern", super::pattern);
    }

    #[test]
    fn no_bytes_are_signed() {
        mutate::run("acl_request", super::request);
    }
}
