//! Small text files of our own in the store root, which Java's brokers do not look at. Their last line is the checksum of
//! those before it, so that a damaged one is told from a whole one.

/// Ends a text with its checksum.
pub(crate) fn seal(text: String) -> Vec<u8> {
    let seal = format!("crc32 {:08x}\n", crc32fast::hash(text.as_bytes()));
    (text + &seal).into_bytes()
}

/// The text of a sealed file; `None` for one that is not as it was written.
pub(crate) fn unseal(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let at = text.rfind("crc32 ")?;
    let sum = u32::from_str_radix(text[at..].strip_prefix("crc32 ")?.strip_suffix('\n')?, 16).ok()?;
    (crc32fast::hash(&text.as_bytes()[..at]) == sum).then_some(&text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_not_believed() {
        let sealed = seal("a 1\nb 2\n".to_owned());
        assert_eq!(unseal(&sealed), Some("a 1\nb 2\n"));
        assert_eq!(unseal(&seal(String::new())), Some(""));
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(unseal(&other), None, "byte {at}");
            assert_eq!(unseal(&sealed[..at]), None, "cut at {at}");
        }
    }
}
