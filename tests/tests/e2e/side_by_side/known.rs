//! Where the answers differ, and why that is so. docs/differences.md says the same to users.

/// A kind of difference.
#[derive(Debug)]
pub(super) struct Known {
    /// The request's name, or `*`.
    request: &'static str,
    /// How what is wrong with it begins.
    what: &'static str,
    /// How the name of the part begins.
    part: &'static str,
    /// How Java's begins: [`ANY`], [`ABSENT`] or a text.
    java: &'static str,
    /// How ours begins.
    ours: &'static str,
    /// Why.
    #[allow(dead_code, reason = "shown when the row is not needed any more")]
    why: &'static str,
}

/// Any value.
const ANY: &str = "*";
/// The part is not there.
const ABSENT: &str = "-";

impl Known {
    /// Whether this is a difference of this kind.
    pub(super) fn is(
        &self,
        (request, what, part, java, ours): (&str, &str, &str, Option<&str>, Option<&str>),
    ) -> bool {
        let matches = |pattern: &str, text: Option<&str>| match (pattern, text) {
            (ABSENT, text) => text.is_none(),
            (ANY, text) => text.is_some(),
            (pattern, text) => text.is_some_and(|text| text.starts_with(pattern)),
        };
        (self.request == ANY || self.request == request)
            && what.starts_with(self.what)
            && part.starts_with(self.part)
            && matches(self.java, java)
            && matches(self.ours, ours)
    }
}

/// The table.
pub(super) const KNOWN: &[Known] = &[];
