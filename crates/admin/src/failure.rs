//! Why a command could not do what it should: one sentence for people.

use protocol::code::response;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line makes no sense, or what it names is not there.
    #[error("{0}")]
    Wrong(String),
    /// A server refuses.
    #[error("{peer} refuses with {}", because(*.code, .remark))]
    Refused {
        /// Who.
        peer: String,
        /// Response code.
        code: i32,
        /// What it said.
        remark: String,
    },
    /// No answer, or none that can be read.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// Some of several servers did not do it; each has been named.
    #[error("{failed} of {all} did not do it")]
    Some {
        /// How many did not.
        failed: usize,
        /// How many were asked.
        all: usize,
    },
    /// A file.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// What went wrong.
        cause: std::io::Error,
    },
}

impl Failure {
    /// A sentence.
    pub fn wrong(why: impl Into<String>) -> Failure {
        Failure::Wrong(why.into())
    }

    /// The response code, where a server refused.
    pub fn code(&self) -> Option<i32> {
        match self {
            Failure::Refused { code, .. } => Some(*code),
            Failure::Client(client::Error::Refused { code, .. }) => Some(*code),
            _ => None,
        }
    }

    /// As Java's tool writes a refusal into a table.
    pub fn described(&self) -> String {
        match self {
            Failure::Refused { code, remark, .. } => format!("CODE:{code} DESC:{remark}"),
            other => other.to_string(),
        }
    }
}

/// The first line of a remark: Java's go on with stacks and links. Without one the code's name, which releases do not agree on.
fn because(code: i32, remark: &str) -> String {
    match remark
        .lines()
        .next()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        Some(line) => format!("code {code}: {line}"),
        None => format!("code {code} ({})", response::name(code).unwrap_or("unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_sentence() {
        let refused = |code, remark: &str| Failure::Refused {
            peer: "127.0.0.1:10911".to_owned(),
            code,
            remark: remark.to_owned(),
        };
        assert_eq!(
            refused(1, "no such topic\nSee http://…\n").to_string(),
            "127.0.0.1:10911 refuses with code 1: no such topic"
        );
        assert_eq!(
            refused(206, "").to_string(),
            "127.0.0.1:10911 refuses with code 206 (CONSUMER_NOT_ONLINE)"
        );
        assert_eq!(refused(206, "gone").described(), "CODE:206 DESC:gone");
    }
}
