//! What any bytes may do to what is read before the frames. See the crate `mutate`.

use crate::proxy_header::{of_bytes, of_line, rest_len};

/// A PROXY header, of either version: what is taken for one names an address, or nobody, and never anything beyond its end.
///
/// # Panics
/// It does something else.
pub fn proxy_header(input: &[u8]) {
    if let Ok(Some(source)) = of_line(input) {
        let text = std::str::from_utf8(input).expect("it was read as text");
        let words: Vec<&str> = text.trim_end().split(' ').collect();
        assert_eq!(words.len(), 6);
        assert!(words.get(2).is_some_and(|word| word.parse() == Ok(source.ip())));
    }
    let Some((head, rest)) = input.split_first_chunk::<16>() else {
        return;
    };
    let Ok(len) = rest_len(head) else { return };
    let Some(own) = rest.get(..len) else { return };
    if let Ok(Some(source)) = of_bytes(head, own) {
        assert!(len >= if source.is_ipv4() { 12 } else { 36 });
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn proxy_header() {
        mutate::run("proxy_header", super::proxy_header);
    }
}
