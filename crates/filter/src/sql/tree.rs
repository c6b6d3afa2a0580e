//! What an expression is made of, and what may be put together.

use std::fmt::{self, Display, Write};

use super::number;
use super::{DEPTH_MAX, Refused};

/// A value that stands in an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What is looked for in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Anywhere,
    Start,
    End,
}

/// A part of an expression. Properties are numbers of [`super::Expression::names`].
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Constant),
    Property(u16),
    Negative(Box<Node>),
    Not(Box<Node>),
    /// A property that stands where a truth value is wanted.
    Cast(u16),
    All(Vec<Node>),
    Any(Vec<Node>),
    Equal(Box<[Node; 2]>),
    Compare(Order, Box<[Node; 2]>),
    /// A value and its bounds. Java writes the value twice, once for each bound.
    Between(Box<[Node; 3]>),
    NotBetween(Box<[Node; 3]>),
    In {
        property: u16,
        is_negated: bool,
        /// As written.
        list: Box<[Box<str>]>,
    },
    Contains {
        node: Box<Node>,
        part: Part,
        is_negated: bool,
        search: Box<str>,
    },
}

/// A node, and how deep the deepest node below it lies.
pub(super) struct Tree {
    pub(super) node: Node,
    depth: usize,
}

type Outcome = Result<Tree, Refused>;

fn exception(text: impl Display) -> Refused {
    Refused::new(format!("java.lang.RuntimeException: {text}"))
}

impl Tree {
    pub(super) fn leaf(node: Node) -> Tree {
        Tree { node, depth: 1 }
    }

    pub(super) fn constant(constant: Constant) -> Tree {
        Tree::leaf(Node::Constant(constant))
    }

    fn above(node: Node, depth: usize) -> Outcome {
        match depth + 1 {
            depth if depth > DEPTH_MAX => Err(Refused::too_deep()),
            depth => Ok(Tree { node, depth }),
        }
    }

    /// Is what comes out true, false or unknown?
    fn is_truth(&self) -> bool {
        use Constant::{Bool, Null};
        !matches!(&self.node, Node::Property(_) | Node::Negative(_))
            && !matches!(&self.node, Node::Constant(constant) if !matches!(constant, Bool(_) | Null))
    }

    /// For a place where a truth value is wanted.
    pub(super) fn truth(self, names: &[Box<str>]) -> Outcome {
        match self.node {
            Node::Property(name) => Ok(Tree {
                node: Node::Cast(name),
                depth: self.depth,
            }),
            _ if self.is_truth() => Ok(self),
            node => Err(Refused::new(format!(
                "org.apache.rocketmq.filter.parser.ParseException: Expression will not result in a boolean value: {}",
                Shown { node: &node, names }
            ))),
        }
    }

    pub(super) fn negative(self) -> Outcome {
        Tree::above(Node::Negative(Box::new(self.node)), self.depth)
    }

    pub(super) fn not(self) -> Outcome {
        Tree::above(Node::Not(Box::new(self.node)), self.depth)
    }

    /// A chain of ANDs is one node, however long.
    pub(super) fn and(self, right: Tree, names: &[Box<str>]) -> Outcome {
        let (mut left, right) = (self.truth(names)?, right.truth(names)?);
        if let Node::All(all) = &mut left.node {
            all.push(right.node);
            let depth = left.depth.max(right.depth + 1);
            return Tree::above(left.node, depth - 1);
        }
        let depth = left.depth.max(right.depth);
        Tree::above(Node::All(vec![left.node, right.node]), depth)
    }

    /// A chain of ORs, likewise.
    pub(super) fn or(self, right: Tree, names: &[Box<str>]) -> Outcome {
        let (mut left, right) = (self.truth(names)?, right.truth(names)?);
        if let Node::Any(any) = &mut left.node {
            any.push(right.node);
            let depth = left.depth.max(right.depth + 1);
            return Tree::above(left.node, depth - 1);
        }
        let depth = left.depth.max(right.depth);
        Tree::above(Node::Any(vec![left.node, right.node]), depth)
    }

    pub(super) fn equal(self, right: Tree) -> Outcome {
        for side in [&self, &right] {
            if let Node::Constant(Constant::Null) = side.node {
                return Err(exception("'NULL' cannot be compared."));
            }
        }
        if let (Node::Constant(left @ Constant::Bool(_)), Node::Constant(other)) = (&self.node, &right.node)
            && !matches!(other, Constant::Bool(_))
        {
            return Err(exception(format_args!(
                "'{left}' cannot be compared with '{other}'"
            )));
        }
        self.same(right)
    }

    fn same(self, right: Tree) -> Outcome {
        let depth = self.depth.max(right.depth);
        Tree::above(Node::Equal(Box::new([self.node, right.node])), depth)
    }

    pub(super) fn compared_with_null(self) -> Outcome {
        self.same(Tree::constant(Constant::Null))
    }

    /// Only what may turn out to be a number can be ordered.
    fn check_ordered(&self, names: &[Box<str>]) -> Result<(), Refused> {
        use Constant::{Double, Int, Long};
        let is_fit = match &self.node {
            Node::Constant(constant) => matches!(constant, Int(_) | Long(_) | Double(_)),
            _ => !self.is_truth(),
        };
        match is_fit {
            true => Ok(()),
            false => {
                let node = &self.node;
                Err(exception(format_args!(
                    "Value '{}' cannot be compared.",
                    Shown { node, names }
                )))
            }
        }
    }

    pub(super) fn compare(self, order: Order, right: Tree, names: &[Box<str>]) -> Outcome {
        self.check_ordered(names)?;
        right.check_ordered(names)?;
        let depth = self.depth.max(right.depth);
        Tree::above(Node::Compare(order, Box::new([self.node, right.node])), depth)
    }

    pub(super) fn between(self, low: Tree, high: Tree, is_negated: bool, names: &[Box<str>]) -> Outcome {
        if let (Node::Constant(low), Node::Constant(high), false) = (&low.node, &high.node, is_negated) {
            check_bounds(low, high)?;
        }
        for part in [&self, &low, &high] {
            part.check_ordered(names)?;
        }
        let depth = self.depth.max(low.depth).max(high.depth);
        let parts = Box::new([self.node, low.node, high.node]);
        let node = match is_negated {
            true => Node::NotBetween(parts),
            false => Node::Between(parts),
        };
        // Java has two comparisons and what joins them.
        Tree::above(node, depth + 1)
    }

    pub(super) fn within(self, list: Vec<Box<str>>, is_negated: bool, names: &[Box<str>]) -> Outcome {
        let Node::Property(property) = self.node else {
            let node = &self.node;
            let shown = Shown { node, names };
            return Err(exception(format_args!(
                "Expected a property for In expression, got: {shown}"
            )));
        };
        let list = list.into_boxed_slice();
        Ok(Tree::leaf(Node::In {
            property,
            is_negated,
            list,
        }))
    }

    pub(super) fn contains(self, part: Part, search: Box<str>, is_negated: bool) -> Outcome {
        let node = Node::Contains {
            node: Box::new(self.node),
            part,
            is_negated,
            search,
        };
        Tree::above(node, self.depth)
    }
}

/// Constant bounds that no value lies between are refused. What the two are compared by is Java's rule for values.
fn check_bounds(low: &Constant, high: &Constant) -> Result<(), Refused> {
    use super::evaluate::{Value, compare};
    if *low == Constant::Null || *high == Constant::Null {
        return Err(exception("Illegal values of between, values can not be null!"));
    }
    let order = compare(Value::of(high), Value::of(low)).map_err(|failed| failed.refused([low, high]))?;
    if order.is_lt() {
        let (low, high) = (Bare(low), Bare(high));
        return Err(exception(format_args!(
            "Illegal values of between, left value({low}) must less than or equal to right value({high})"
        )));
    }
    Ok(())
}

/// A constant as Java shows its value, not the literal.
struct Bare<'a>(&'a Constant);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Constant::Bool(value) => value.fmt(f),
            Constant::Text(text) => f.write_str(text),
            other => other.fmt(f),
        }
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Null => f.write_str("NULL"),
            Constant::Bool(true) => f.write_str("TRUE"),
            Constant::Bool(false) => f.write_str("FALSE"),
            Constant::Int(value) => value.fmt(f),
            Constant::Long(value) => value.fmt(f),
            Constant::Double(value) => f.write_str(&number::show(*value)),
            Constant::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

/// A node as Java shows it in messages.
struct Shown<'a> {
    node: &'a Node,
    names: &'a [Box<str>],
}

impl<'a> Shown<'a> {
    fn of(&self, node: &'a Node) -> Shown<'a> {
        Shown {
            node,
            names: self.names,
        }
    }

    fn name(&self, property: u16) -> &'a str {
        self.names.get(usize::from(property)).map_or("", |name| name)
    }

    /// `((a || b) || c)`
    fn chain(&self, f: &mut fmt::Formatter<'_>, parts: &'a [Node], sign: &str) -> fmt::Result {
        (1..parts.len()).try_for_each(|_| f.write_char('('))?;
        for (index, part) in parts.iter().enumerate() {
            match index {
                0 => self.of(part).fmt(f)?,
                _ => write!(f, " {sign} {})", self.of(part))?,
            }
        }
        Ok(())
    }
}

impl Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::Greater => ">",
            Order::GreaterOrEqual => ">=",
            Order::Less => "<",
            Order::LessOrEqual => "<=",
        })
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Node::Constant(constant) => constant.fmt(f),
            Node::Property(name) | Node::Cast(name) => f.write_str(self.name(*name)),
            Node::Negative(node) => write!(f, "(- {})", self.of(node)),
            Node::Not(node) => write!(f, "(NOT {})", self.of(node)),
            Node::All(parts) => self.chain(f, parts, "&&"),
            Node::Any(parts) => self.chain(f, parts, "||"),
            Node::Equal(sides) => write!(f, "({} == {})", self.of(&sides[0]), self.of(&sides[1])),
            Node::Compare(order, sides) => {
                write!(f, "({} {order} {})", self.of(&sides[0]), self.of(&sides[1]))
            }
            Node::Between(parts) => {
                let [value, low, high] = [0, 1, 2].map(|at: usize| self.of(&parts[at]));
                write!(f, "(({value} >= {low}) && ({value} <= {high}))")
            }
            Node::NotBetween(parts) => {
                let [value, low, high] = [0, 1, 2].map(|at: usize| self.of(&parts[at]));
                write!(f, "(({value} < {low}) || ({value} > {high}))")
            }
            Node::In {
                property,
                is_negated,
                list,
            } => {
                let not = if *is_negated { "NOT " } else { "" };
                write!(f, "{} {not}IN ( {} )", self.name(*property), list.join(", "))
            }
            Node::Contains {
                node,
                part,
                is_negated,
                ..
            } => {
                let not = if *is_negated { "NOT " } else { "" };
                let word = match part {
                    Part::Anywhere => "CONTAINS",
                    Part::Start => "STARTSWITH",
                    Part::End => "ENDSWITH",
                };
                write!(f, "({not}{word} {})", self.of(node))
            }
        }
    }
}
