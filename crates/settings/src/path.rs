//! Paths in settings. Whatever a person can mean by a text is read so; what nobody can mean is refused.
//!
//! Unlike Java, which makes a folder named `~` or `"` of such a text, beside the store that was meant.

use crate::host;
use crate::value::BadValue;
use std::path::PathBuf;

/// Reads a path: quotes around it go, `~`, `~user` and `$NAME` are filled in.
///
/// # Errors
/// A variable or user that does not exist, a lone quote, a Windows path, a URL, and characters that nobody sees.
pub fn path(text: &str) -> Result<String, BadValue> {
    expand(text, &Surroundings::real())
}

/// The same for a row that may be empty.
///
/// # Errors
/// See [`path`].
pub fn optional_path(text: &str) -> Result<Option<String>, BadValue> {
    if text.trim().is_empty() {
        Ok(None)
    } else {
        path(text).map(Some)
    }
}

/// Several paths separated by `,`, each as [`path`] reads it.
///
/// # Errors
/// See [`path`].
pub fn optional_paths(text: &str) -> Result<Option<String>, BadValue> {
    // Quotes around the whole list, or around each path.
    let text = unquote(text.trim()).unwrap_or(text);
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let paths: Vec<String> = parts.map(path).collect::<Result<_, _>>()?;
    Ok((!paths.is_empty()).then(|| paths.join(",")))
}

struct Surroundings<'a> {
    home: &'a dyn Fn() -> Option<PathBuf>,
    home_of: &'a dyn Fn(&str) -> Option<PathBuf>,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'static> {
    fn real() -> Self {
        Surroundings {
            home: &host::home,
            home_of: &host::home_of_user,
            variable: &host::variable,
        }
    }
}

fn expand(text: &str, around: &Surroundings<'_>) -> Result<String, BadValue> {
    let text = unquote(text.trim())?;
    if text.trim().is_empty() {
        return Err(BadValue::new("a path"));
    }
    if let Some(why) = refused(text) {
        return Err(BadValue::new(format!("a path ({why})")));
    }
    let text = with_home(text, around)?;
    with_variables(&text, around)
}

/// Takes off quotes that stand around the whole text.
fn unquote(text: &str) -> Result<&str, BadValue> {
    let inner = ['"', '\''].iter().find_map(|&quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some(inner)
    });
    match inner {
        Some(inner) => Ok(inner.trim()),
        None if text.contains(['"', '\'']) => Err(BadValue::new("a path without quotes")),
        None => Ok(text),
    }
}

/// Why nobody can mean this as a path of this machine.
fn refused(text: &str) -> Option<&'static str> {
    let mut letters = text.chars();
    let drive = letters.next().is_some_and(|c| c.is_ascii_alphabetic()) && letters.next() == Some(':');
    let unseen = |c: char| {
        c.is_control() || matches!(c, '\u{FEFF}' | '\u{200B}'..='\u{200F}' | '\u{2028}' | '\u{2029}')
    };
    match () {
        () if text.chars().any(unseen) => Some("it has a character that nobody sees"),
        () if drive || text.contains('\\') => {
            Some("this is one of Windows; a backslash has to be doubled besides")
        }
        () if text.contains("://") => Some("this is a URL"),
        () if text.contains(['*', '?', '<', '>', '|']) => {
            Some("it has a character that stands for something else")
        }
        () => None,
    }
}

/// `~`, `~/x` and `~user/x`.
fn with_home(text: &str, around: &Surroundings<'_>) -> Result<String, BadValue> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(text.to_owned());
    };
    let (user, below) = rest
        .split_once('/')
        .map_or((rest, None), |(user, below)| (user, Some(below)));
    let home = match user {
        "" => (around.home)(),
        user => (around.home_of)(user),
    };
    let home = home.ok_or_else(|| BadValue::new(format!("a path (`~{user}` is no home directory here)")))?;
    let path = below.map_or_else(|| home.clone(), |below| home.join(below.trim_start_matches('/')));
    Ok(path.to_string_lossy().into_owned())
}

/// `$NAME` and `${NAME}`.
fn with_variables(text: &str, around: &Surroundings<'_>) -> Result<String, BadValue> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let (name, after) = match after.strip_prefix('{') {
            Some(inner) => inner
                .split_once('}')
                .ok_or_else(|| BadValue::new("a path (`${` has no `}`)"))?,
            None => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !word(c)).unwrap_or(after.len()))
            }
        };
        let value = (around.variable)(name)
            .ok_or_else(|| BadValue::new(format!("a path (the environment has no `{name}`)")))?;
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, BadValue> {
        let around = Surroundings {
            home: &|| Some(PathBuf::from("/home/mq")),
            home_of: &|user| (user == "rocketmq").then(|| PathBuf::from("/var/lib/rocketmq")),
            variable: &|name| (name == "HOME").then(|| "/home/mq".to_owned()),
        };
        expand(text, &around)
    }

    #[test]
    fn what_a_person_means() {
        for (text, meant) in [
            ("/data/store", "/data/store"),
            ("./../data/master1", "./../data/master1"),
            ("/data/my store", "/data/my store"),
            ("  /data/store\t", "/data/store"),
            ("\"/data/store\"", "/data/store"),
            ("'/data/store '", "/data/store"),
            ("~", "/home/mq"),
            ("~/store", "/home/mq/store"),
            ("\"~//store\"", "/home/mq/store"),
            ("~rocketmq/store", "/var/lib/rocketmq/store"),
            ("$HOME/store", "/home/mq/store"),
            ("${HOME}/store", "/home/mq/store"),
            ("/a~b/c", "/a~b/c"),
            ("/数据/store", "/数据/store"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn what_nobody_means() {
        for (text, why) in [
            ("", "a path"),
            ("\"\"", "a path"),
            ("\"/data", "without quotes"),
            ("/da'ta", "without quotes"),
            ("~nobody/store", "`~nobody` is no home"),
            ("$DATA/store", "no `DATA`"),
            ("${DATA}/store", "no `DATA`"),
            ("${DATA/store", "no `}`"),
            ("/a/$", "no ``"),
            ("D:/rocketmq/store", "Windows"),
            ("D:", "Windows"),
            ("/a\\b", "Windows"),
            ("/data\r/x", "nobody sees"),
            ("\u{FEFF}/data", "nobody sees"),
            ("file:///data", "URL"),
            ("/data/*", "stands for something else"),
            ("<path>/store", "stands for something else"),
        ] {
            let refused = read(text).expect_err(text).allowed;
            assert!(refused.contains(why), "{text:?}: {refused}");
        }
    }

    #[test]
    fn several_paths() {
        assert_eq!(optional_paths(""), Ok(None));
        assert_eq!(optional_paths(" , "), Ok(None));
        assert_eq!(optional_paths("/a, '/b' ,/c"), Ok(Some("/a,/b,/c".to_owned())));
        assert_eq!(optional_paths("\"/a,/b\""), Ok(Some("/a,/b".to_owned())));
        assert!(optional_paths("/a,D:/b").is_err());
        assert_eq!(optional_path("  "), Ok(None));
        assert_eq!(optional_path("/a"), Ok(Some("/a".to_owned())));
    }
}
