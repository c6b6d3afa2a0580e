//! What an account may do with a topic or a group.

use std::fmt;

/// PUB, SUB, both, or DENY (RocketMQ 4.9.8, Permission).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permission {
    /// Nothing.
    #[default]
    Deny,
    /// Send.
    Pub,
    /// Consume.
    Sub,
    /// Both.
    PubSub,
}

impl Permission {
    /// From the text of a file. `None` for a text that is no permission, which denies, as in Java.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "DENY" => Some(Permission::Deny),
            "PUB" => Some(Permission::Pub),
            "SUB" => Some(Permission::Sub),
            "PUB|SUB" | "SUB|PUB" => Some(Permission::PubSub),
            _ => None,
        }
    }

    /// Does it allow what is `needed`? One of both is enough where both are needed, as in Java; nothing needs both.
    pub fn allows(self, needed: Permission) -> bool {
        matches!(
            (self, needed),
            (Permission::Pub, Permission::Pub | Permission::PubSub)
                | (Permission::Sub, Permission::Sub | Permission::PubSub)
                | (
                    Permission::PubSub,
                    Permission::Pub | Permission::Sub | Permission::PubSub
                )
        )
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Permission::Deny => "DENY",
            Permission::Pub => "PUB",
            Permission::Sub => "SUB",
            Permission::PubSub => "PUB|SUB",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_what_they_allow() {
        for (text, publish, subscribe) in [
            ("PUB", true, false),
            (" SUB ", false, true),
            ("PUB|SUB", true, true),
            ("SUB|PUB", true, true),
            ("DENY", false, false),
        ] {
            let permission = Permission::parse(text).expect(text);
            assert_eq!(permission.allows(Permission::Pub), publish, "{text}");
            assert_eq!(permission.allows(Permission::Sub), subscribe, "{text}");
            assert_eq!(Permission::parse(&permission.to_string()), Some(permission));
        }
        for text in ["pub", "PUB | SUB", "ANY", ""] {
            assert_eq!(Permission::parse(text), None, "{text}");
        }
    }
}
