//! The language a client says it is written in.

macro_rules! languages {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// Client language, by number in the binary header and by name in the JSON header and in bodies.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum Language {
            $($(#[$doc])* $variant,)*
            /// A name or number that neither 4.9.8 nor 5.3.3 knows; Java turns it into null.
            Unknown,
        }

        impl Language {
            /// The number in the binary header. Unknown is written as `OTHER`.
            pub fn number(self) -> u8 {
                match self {
                    $(Language::$variant => $number,)*
                    Language::Unknown => 7,
                }
            }

            /// The name in JSON. Unknown is written as `OTHER`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Language::$variant => $name,)*
                    Language::Unknown => "OTHER",
                }
            }

            /// By number.
            pub fn from_number(number: i64) -> Language {
                match number {
                    $($number => Language::$variant,)*
                    _ => Language::Unknown,
                }
            }

            /// By name in any case, as fastjson finds it, or by a number in text form.
            pub fn from_text(text: &str) -> Language {
                match text {
                    $($name => Language::$variant,)*
                    _ => Language::from_other_text(text),
                }
            }

            fn from_other_text(text: &str) -> Language {
                $(if text.eq_ignore_ascii_case($name) {
                    return Language::$variant;
                })*
                text.parse().map_or(Language::Unknown, Language::from_number)
            }
        }
    };
}

languages! {
    /// Java, also assumed when nothing is said.
    #[default]
    Java = 0, "JAVA";
    /// C++.
    Cpp = 1, "CPP";
    /// .NET.
    Dotnet = 2, "DOTNET";
    /// Python.
    Python = 3, "PYTHON";
    /// Delphi.
    Delphi = 4, "DELPHI";
    /// Erlang.
    Erlang = 5, "ERLANG";
    /// Ruby.
    Ruby = 6, "RUBY";
    /// Anything else.
    Other = 7, "OTHER";
    /// The HTTP proxy.
    Http = 8, "HTTP";
    /// Go.
    Go = 9, "GO";
    /// PHP.
    Php = 10, "PHP";
    /// OpenMessaging.
    Oms = 11, "OMS";
    /// Rust.
    Rust = 12, "RUST";
    /// Node (since 5.x).
    NodeJs = 13, "NODE_JS";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_and_numbers() {
        for (text, language) in [
            ("GO", Language::Go),
            ("go", Language::Go),
            ("Node_js", Language::NodeJs),
            ("9", Language::Go),
            ("PERL", Language::Unknown),
            ("", Language::Unknown),
            ("99", Language::Unknown),
        ] {
            assert_eq!(Language::from_text(text), language, "{text}");
        }
    }
}
