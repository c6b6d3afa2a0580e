//! An expression and a message: true, false, unknown, or an exception in Java.
//!
//! Nothing here allocates.

use std::cell::Cell;
use std::cmp::Ordering;

use memchr::memmem;

use super::tree::{Constant, Node, Order, Part};
use super::{Refused, number};

/// A value of an expression or of a message. A message's properties are texts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'a [u8]),
}

/// The expression cannot be evaluated over a message: a text that is to be compared with a number is none, or a truth value
/// is compared with a text. Such a message is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// A text is no number of the wanted kind.
    #[error("a text that is compared with a number is none")]
    Number,
    /// A truth value is compared with a text.
    #[error("TRUE or FALSE is compared with a text")]
    Truth,
    /// Long texts are searched too often.
    #[error("more than {SEARCHED_MAX} bytes of the properties would be searched")]
    Long,
}

/// Of a message: the value of each property that the expression names.
pub(super) struct Properties<'v, 'a> {
    values: &'v [Option<&'a [u8]>],
    /// Bytes that may still be searched.
    left: Cell<usize>,
}

impl<'v, 'a> Properties<'v, 'a> {
    pub(super) fn new(values: &'v [Option<&'a [u8]>]) -> Self {
        let left = Cell::new(SEARCHED_MAX);
        Properties { values, left }
    }

    fn get(&self, name: u16) -> Option<&'a [u8]> {
        self.values.get(usize::from(name)).copied().flatten()
    }

    /// Takes what a search costs.
    fn search(&self, bytes: usize) -> Result<(), Failed> {
        let left = self.left.get().checked_sub(bytes).ok_or(Failed::Long)?;
        self.left.set(left);
        Ok(())
    }
}

/// Bytes of a message's properties that one evaluation searches at most: an expression may search each of them thousands of
/// times.
const SEARCHED_MAX: usize = 1 << 20;

/// What is known of the truth of something.
type Truth = Result<Option<bool>, Failed>;

impl<'a> Value<'a> {
    pub(super) fn of(constant: &'a Constant) -> Self {
        match constant {
            Constant::Null => Value::Null,
            Constant::Bool(value) => Value::Bool(*value),
            Constant::Int(value) => Value::Int(*value),
            Constant::Long(value) => Value::Long(*value),
            Constant::Double(value) => Value::Double(*value),
            Constant::Text(text) => Value::Text(text.as_bytes()),
        }
    }

    fn is_null(self) -> bool {
        matches!(self, Value::Null)
    }

    /// What reading it as a number searches, bytes.
    fn text_len(self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            _ => 0,
        }
    }

    fn negative(self) -> Self {
        match self {
            Value::Int(value) => Value::Int(value.wrapping_neg()),
            Value::Long(value) => Value::Long(value.wrapping_neg()),
            Value::Double(value) => Value::Double(-value),
            _ => Value::Null,
        }
    }
}

impl Failed {
    /// What Java says where these two cannot be compared.
    pub(super) fn refused(self, constants: [&Constant; 2]) -> Refused {
        let text = constants.iter().find_map(|constant| match constant {
            Constant::Text(text) => Some(&**text),
            _ => None,
        });
        let is_real = constants
            .iter()
            .any(|constant| matches!(constant, Constant::Double(_)));
        let text = text.unwrap_or_default();
        Refused::new(match self {
            Failed::Number if is_real && text.trim_matches(|c: char| c <= ' ').is_empty() => {
                "java.lang.RuntimeException: java.lang.NumberFormatException: empty String".to_owned()
            }
            Failed::Number => {
                format!("java.lang.RuntimeException: java.lang.NumberFormatException: For input string: \"{text}\"")
            }
            Failed::Truth | Failed::Long => "java.lang.ClassCastException: class java.lang.Boolean cannot be cast to class java.lang.String \
                              (java.lang.Boolean and java.lang.String are in module java.base of loader 'bootstrap')"
                .to_owned(),
        })
    }
}

/// The order of two values that are not null. Texts are read as what the other side is. Java takes values that cannot be
/// compared for ordered, the left below the right.
pub(super) fn compare(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Failed> {
    use Value::{Bool, Double, Int, Long, Text};
    let wide = |value: Option<i64>| value.ok_or(Failed::Number);
    let narrow = |text| number::int(text).ok_or(Failed::Number);
    let real = |text| number::double(text).ok_or(Failed::Number);
    Ok(match (left, right) {
        (Bool(left), Bool(right)) => left.cmp(&right),
        (Int(left), Int(right)) => left.cmp(&right),
        (Long(left), Long(right)) => left.cmp(&right),
        (Double(left), Double(right)) => number::compare(left, right),
        (Text(left), Text(right)) => compare_texts(left, right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Int(left), Double(right)) => number::compare(f64::from(left), right),
        (Double(left), Int(right)) => number::compare(left, f64::from(right)),
        (Long(left), Double(right)) => number::compare(left as f64, right),
        (Double(left), Long(right)) => number::compare(left, right as f64),
        (Int(left), Text(right)) => left.cmp(&narrow(right)?),
        (Text(left), Int(right)) => narrow(left)?.cmp(&right),
        (Long(left), Text(right)) => left.cmp(&wide(number::long(right))?),
        (Text(left), Long(right)) => wide(number::long(left))?.cmp(&right),
        (Double(left), Text(right)) => number::compare(left, real(right)?),
        (Text(left), Double(right)) => number::compare(real(left)?, right),
        (Text(left), Bool(right)) => left.eq_ignore_ascii_case(b"true").cmp(&right),
        (Bool(_), Text(_)) => return Err(Failed::Truth),
        _ => Ordering::Less,
    })
}

/// Java's order of strings: by UTF-16 units.
fn compare_texts(left: &[u8], right: &[u8]) -> Ordering {
    match (std::str::from_utf8(left), std::str::from_utf8(right)) {
        (Ok(left), Ok(right)) => left.encode_utf16().cmp(right.encode_utf16()),
        _ => left.cmp(right),
    }
}

fn value<'a>(node: &'a Node, properties: &Properties<'_, 'a>) -> Result<Value<'a>, Failed> {
    Ok(match node {
        Node::Constant(constant) => Value::of(constant),
        Node::Property(name) => properties.get(*name).map_or(Value::Null, Value::Text),
        Node::Negative(node) => value(node, properties)?.negative(),
        _ => truth(node, properties)?.map_or(Value::Null, Value::Bool),
    })
}

/// Evaluates a node that is true, false or unknown.
pub(super) fn truth(node: &Node, properties: &Properties<'_, '_>) -> Truth {
    match node {
        Node::Constant(Constant::Bool(value)) => Ok(Some(*value)),
        // A property is a text, and no text is true.
        Node::Cast(name) => Ok(properties.get(*name).map(|_| false)),
        Node::Not(node) => Ok(truth(node, properties)?.map(|value| !value)),
        Node::All(parts) => first_of(parts, false, properties),
        Node::Any(parts) => first_of(parts, true, properties),
        Node::Equal(sides) => {
            let (left, right) = (value(&sides[0], properties)?, value(&sides[1], properties)?);
            equal(left, right, properties)
        }
        Node::Compare(order, sides) => {
            let left = value(&sides[0], properties)?;
            ordered(*order, left, &sides[1], properties)
        }
        Node::Between(parts) => between(
            parts,
            (Order::GreaterOrEqual, Order::LessOrEqual),
            false,
            properties,
        ),
        Node::NotBetween(parts) => between(parts, (Order::Less, Order::Greater), true, properties),
        Node::In {
            property: name,
            is_negated,
            list,
        } => Ok(properties.get(*name).map(|value| {
            let found = list.iter().any(|text| text.as_bytes() == value);
            found != *is_negated
        })),
        Node::Contains {
            node,
            part,
            is_negated,
            search,
        } => contains(node, *part, search.as_bytes(), *is_negated, properties),
        Node::Constant(_) | Node::Property(_) | Node::Negative(_) => Ok(None),
    }
}

/// A chain: decided by the first part that is `decisive`, else unknown if a part is. Parts behind the decisive one are not
/// looked at, and do not fail.
fn first_of(parts: &[Node], decisive: bool, properties: &Properties<'_, '_>) -> Truth {
    let mut all = Some(!decisive);
    for part in parts {
        match truth(part, properties)? {
            Some(value) if value == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => all = None,
        }
    }
    Ok(all)
}

/// A value that is there is not equal to one that is not; the other way round it is unknown.
fn equal(left: Value<'_>, right: Value<'_>, properties: &Properties<'_, '_>) -> Truth {
    Ok(match (left, right) {
        (Value::Null, Value::Null) => Some(true),
        (Value::Null, _) => None,
        (_, Value::Null) => Some(false),
        (Value::Text(left), Value::Text(right)) => {
            properties.search(left.len().min(right.len()))?;
            Some(left == right)
        }
        (left, right) => {
            properties.search(left.text_len() + right.text_len())?;
            Some(compare(left, right)?.is_eq())
        }
    })
}

/// The right side is not looked at where the left is not there.
fn ordered<'a>(order: Order, left: Value<'a>, right: &'a Node, properties: &Properties<'_, 'a>) -> Truth {
    if left.is_null() {
        return Ok(None);
    }
    let right = value(right, properties)?;
    if right.is_null() {
        return Ok(None);
    }
    properties.search(left.text_len() + right.text_len())?;
    let found = match (left, right) {
        (Value::Text(left), Value::Text(right)) => {
            let left = number::double(left).ok_or(Failed::Number)?;
            number::compare(left, number::double(right).ok_or(Failed::Number)?)
        }
        (left, right) => compare(left, right)?,
    };
    Ok(Some(match order {
        Order::Greater => found.is_gt(),
        Order::GreaterOrEqual => found.is_ge(),
        Order::Less => found.is_lt(),
        Order::LessOrEqual => found.is_le(),
    }))
}

/// Two comparisons, joined as [`first_of`] joins.
fn between(
    parts: &[Node; 3],
    (low, high): (Order, Order),
    decisive: bool,
    properties: &Properties<'_, '_>,
) -> Truth {
    let compared = value(&parts[0], properties)?;
    let first = ordered(low, compared, &parts[1], properties)?;
    if first == Some(decisive) {
        return Ok(first);
    }
    let second = ordered(high, compared, &parts[2], properties)?;
    Ok(match (first, second) {
        (_, Some(second)) if second == decisive => Some(decisive),
        (Some(_), Some(_)) => Some(!decisive),
        _ => None,
    })
}

/// Never unknown: what is not there contains nothing, nor does it not contain something.
fn contains(
    node: &Node,
    part: Part,
    search: &[u8],
    is_negated: bool,
    properties: &Properties<'_, '_>,
) -> Truth {
    // Java does not look at the value then, which could fail.
    if search.is_empty() {
        return Ok(Some(false));
    }
    let Value::Text(text) = value(node, properties)? else {
        return Ok(Some(false));
    };
    let found = match part {
        Part::Anywhere => {
            properties.search(text.len())?;
            memmem::find(text, search).is_some()
        }
        Part::Start => text.starts_with(search),
        Part::End => text.ends_with(search),
    };
    Ok(Some(found != is_negated))
}
