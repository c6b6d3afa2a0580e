//! What any bytes in a properties file must not break; see the crate `mutate`.

use crate::{Properties, edit, path};

/// A properties file: it is read, an edit of it reads back, and leaves every other key as it was.
pub fn properties(input: &[u8]) {
    let before = Properties::parse(input);
    let _ = path(&String::from_utf8_lossy(input));
    let (key, value) = ("listenPort", " 1 = 2 \\ #");
    let edited = edit(input, [(key, value)]);
    let after = Properties::parse(&edited);
    assert_eq!(
        after.get(key),
        Some(value.trim()),
        "{}",
        String::from_utf8_lossy(&edited)
    );
    for entry in before.entries.iter().filter(|entry| entry.key != key) {
        assert_eq!(
            after.get(&entry.key),
            before.get(&entry.key),
            "{:?}: {}",
            entry.key,
            String::from_utf8_lossy(&edited)
        );
    }
    for pair in before.entries.windows(2) {
        assert!(pair[0].line <= pair[0].last_line && pair[0].last_line < pair[1].line);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn properties() {
        mutate::run("properties", super::properties);
    }
}
