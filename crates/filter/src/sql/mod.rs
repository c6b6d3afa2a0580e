//! SQL92 expressions over a message's properties, such as `a > 5 AND b IS NOT NULL`.
//!
//! [`parse`] says what is an expression, [`tree`] what may be put together, [`evaluate`] what comes out for a message. A
//! property's value is a text, and read as a number where it is compared with one. Three truth values: a comparison with what is
//! not there is unknown, and only what is true is let through.
//!
//! Rules: RocketMQ 5.3.3, module filter; `tests/golden` has what Java says to some hundred expressions. Unlike Java: there are
//! limits ([`TEXT_MAX`], [`DEPTH_MAX`], [`NAMES_MAX`]); Java takes what its stack bears.

mod evaluate;
mod number;
mod parse;
mod token;
mod tree;

use message::properties;
use message::record::View;

use crate::{Filter, Verdict};
pub use evaluate::Failed;
use evaluate::Properties;
use tree::Node;

/// Longest expression, bytes.
pub(crate) const TEXT_MAX: usize = 64 << 10;
/// How deep an expression may nest: its parentheses, and what is made of it.
pub(crate) const DEPTH_MAX: usize = 200;
/// Different properties that an expression may name.
pub(crate) const NAMES_MAX: usize = 128;
/// Properties for which there is room at little cost.
const FEW: usize = 8;
/// Longest expression that is quick to ask, bytes.
const QUICK_MAX: usize = 2 << 10;
/// Longest text of a refusal, bytes: it may show the expression.
const REFUSAL_MAX: usize = 4096;

/// An expression was refused; the text is Java's for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(Box<str>);

impl Refused {
    fn new(mut text: String) -> Self {
        if text.len() > REFUSAL_MAX {
            let end = (0..=REFUSAL_MAX).rev().find(|&end| text.is_char_boundary(end));
            text.truncate(end.unwrap_or_default());
        }
        Refused(text.into())
    }

    fn too_long() -> Self {
        Self::new(format!("the expression is longer than {TEXT_MAX} bytes"))
    }

    fn too_deep() -> Self {
        Self::new(format!("the expression nests deeper than {DEPTH_MAX} levels"))
    }

    fn too_many_names() -> Self {
        Self::new(format!("the expression names more than {NAMES_MAX} properties"))
    }
}

/// An expression, ready to be asked about messages.
#[derive(Debug)]
pub struct Expression {
    root: Node,
    /// The properties it names.
    names: Box<[Box<str>]>,
    /// Length of its text.
    text_len: usize,
}

impl Expression {
    /// Makes an expression of its text.
    pub fn compile(text: &str) -> Result<Self, Refused> {
        if text.len() > TEXT_MAX {
            return Err(Refused::too_long());
        }
        let (root, names) = parse::parse(text)?;
        Ok(Expression {
            root,
            names: names.into(),
            text_len: text.len(),
        })
    }

    /// Is a message with these properties (a properties text) let through?
    pub fn matches(&self, properties: &[u8]) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }

    /// What the expression says of a message; `None` where that is unknown. Does not allocate.
    pub fn evaluate(&self, properties: &[u8]) -> Result<Option<bool>, Failed> {
        match self.names.len() {
            ..=FEW => self.evaluate_with([None; FEW], properties),
            _ => self.evaluate_with([None; NAMES_MAX], properties),
        }
    }

    fn evaluate_with<'a, const N: usize>(
        &'a self,
        mut values: [Option<&'a [u8]>; N],
        properties: &'a [u8],
    ) -> Result<Option<bool>, Failed> {
        for (name, value) in properties::pairs(properties) {
            let known = self.names.iter().position(|known| known.as_bytes() == name);
            if let Some(place) = known.and_then(|known| values.get_mut(known)) {
                *place = Some(value);
            }
        }
        evaluate::truth(&self.root, &Properties::new(&values))
    }
}

impl Filter for Expression {
    fn by_unit(&self, _tags_code: i64) -> Verdict {
        Verdict::AskRecord
    }

    fn by_record(&self, record: &View<'_>) -> bool {
        self.matches(record.properties())
    }

    fn is_slow(&self) -> bool {
        self.text_len > QUICK_MAX
    }

    fn bytes(&self) -> usize {
        // Of six bytes of text, `a=1OR `, come four nodes at most.
        size_of::<Self>() + self.text_len * size_of::<Node>()
    }
}
