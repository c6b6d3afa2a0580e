//! The grammar, and what is refused.
//!
//! ```text
//! or         = and { OR and }
//! and        = equality { AND equality }
//! equality   = comparison { ( "=" | "<>" ) comparison | IS [ NOT ] NULL }
//! comparison = unary { ( ">" | ">=" | "<" | "<=" ) unary | [ NOT ] ( CONTAINS | STARTSWITH | ENDSWITH ) text
//!            | [ NOT ] BETWEEN unary AND unary | [ NOT ] IN "(" text { "," text } ")" }
//! unary      = ( "+" | "-" | NOT ) unary | literal | name | "(" or ")"
//! ```
//!
//! As in Java an expression ends where nothing continues it: what follows is not looked at, but for the next token, which
//! has to be one. What is put together is judged at once, before the next token is looked at, so that of several faults the
//! same one is told.
//!
//! Rules: RocketMQ 5.3.3, SelectorParser. 4.9.7 has no CONTAINS, STARTSWITH and ENDSWITH.

use super::token::{self, KINDS, Kind, Token};
use super::tree::{Constant, Node, Order, Part, Tree};
use super::{DEPTH_MAX, NAMES_MAX, Refused, number};

type Outcome = Result<Tree, Refused>;

pub(super) struct Parser<'s> {
    whole: &'s str,
    /// Behind what was looked at.
    rest: &'s str,
    /// Tokens that were looked at and not taken.
    next: Option<Token<'s>>,
    after_next: Option<Token<'s>>,
    /// What could have stood in the place of the next token, as bits of [`Kind`].
    expected: u64,
    /// Parentheses and signs around what is parsed.
    nesting: usize,
    names: Vec<Box<str>>,
}

/// Parses an expression; gives what it is and the names of its properties.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Box<str>>), Refused> {
    let mut parser = Parser {
        whole: text,
        rest: text,
        next: None,
        after_next: None,
        expected: 0,
        nesting: 0,
        names: Vec::new(),
    };
    let tree = parser.operators(Bond::Or)?.truth(&parser.names)?;
    Ok((tree.node, parser.names))
}

impl<'s> Parser<'s> {
    /// The next token, which stays.
    fn peek(&mut self) -> Result<Token<'s>, Refused> {
        match self.next {
            Some(token) => Ok(token),
            None => {
                let token = token::take(self.whole, &mut self.rest)?;
                self.next = Some(token);
                Ok(token)
            }
        }
    }

    /// The one behind it.
    fn peek_behind(&mut self) -> Result<Token<'s>, Refused> {
        self.peek()?;
        match self.after_next {
            Some(token) => Ok(token),
            None => {
                let token = token::take(self.whole, &mut self.rest)?;
                self.after_next = Some(token);
                Ok(token)
            }
        }
    }

    /// Takes the next token, which was looked at.
    fn take(&mut self) {
        self.next = self.after_next.take();
        self.expected = 0;
    }

    fn expect(&mut self, kinds: &[Kind]) {
        self.expected |= kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as u64);
    }

    /// Takes the next token if it is of this kind.
    fn accept(&mut self, kind: Kind) -> Result<bool, Refused> {
        let found = self.peek()?.kind == kind;
        match found {
            true => self.take(),
            false => self.expect(&[kind]),
        }
        Ok(found)
    }

    /// Takes the next token, which has to be of this kind.
    fn want(&mut self, kind: Kind) -> Result<Token<'s>, Refused> {
        let token = self.peek()?;
        match self.accept(kind)? {
            true => Ok(token),
            false => Err(self.unexpected(token)),
        }
    }

    fn unexpected(&self, token: Token<'_>) -> Refused {
        let (line, column) = token::place(self.whole, token.start, 1);
        let found = match token.kind {
            Kind::End => "<EOF>".to_owned(),
            kind => {
                let shown = KINDS
                    .iter()
                    .find(|(other, _)| *other == kind)
                    .map_or("", |(_, shown)| shown);
                let image: Vec<u16> = token.text.encode_utf16().collect();
                format!(" {shown} \"{} \"", token::escaped(&image))
            }
        };
        let expected = KINDS
            .iter()
            .filter(|(kind, _)| self.expected & 1 << *kind as u64 != 0);
        let expected: Vec<&str> = expected.map(|(_, shown)| *shown).collect();
        let one_of = if expected.len() > 1 { " one of" } else { "" };
        let list: String = expected
            .iter()
            .map(|shown| format!("    {shown} ...\n"))
            .collect();
        Refused::new(format!(
            "org.apache.rocketmq.filter.parser.ParseException: Encountered \"{found}\" at line {line}, column {column}.\nWas \
             expecting{one_of}:\n{list}    "
        ))
    }

    /// Parses operators that bind at least as strongly as `weakest`, and their operands. One function for all of them: what
    /// nests takes little of the stack.
    fn operators(&mut self, weakest: Bond) -> Outcome {
        let mut left = self.unary()?;
        // What binds more strongly than the last operator belongs to its right side, and IS NULL has none.
        let mut strongest = Bond::Comparison;
        loop {
            let kind = self.peek()?.kind;
            let bond = match kind {
                Kind::Not => Bond::Comparison,
                kind => bond_of(kind),
            };
            if bond < weakest || bond > strongest {
                self.expect_more(weakest, strongest);
                return Ok(left);
            }
            strongest = bond;
            left = match bond {
                Bond::None => return Ok(left),
                Bond::Or | Bond::And | Bond::Equality if kind != Kind::Is => {
                    self.take();
                    let right = self.operators(bond.next())?;
                    self.joined(left, kind, right)?
                }
                Bond::Comparison if !is_ordering(kind) => self.test(left, kind)?,
                Bond::Comparison => {
                    self.take();
                    let right = self.unary()?;
                    self.joined(left, kind, right)?
                }
                _ => self.is_null(left)?,
            }
        }
    }

    /// Notes what could have gone on where nothing did.
    fn expect_more(&mut self, weakest: Bond, strongest: Bond) {
        for (kind, _) in KINDS {
            if (weakest..=strongest).contains(&bond_of(kind)) {
                self.expect(&[kind]);
            }
        }
        if strongest == Bond::Comparison {
            self.expect(&[Kind::Not]);
        }
    }

    fn joined(&self, left: Tree, operator: Kind, right: Tree) -> Outcome {
        let names = &self.names;
        match operator {
            Kind::Or => left.or(right, names),
            Kind::And => left.and(right, names),
            Kind::Equal => left.equal(right),
            Kind::NotEqual => left.equal(right)?.not(),
            Kind::Greater => left.compare(Order::Greater, right, names),
            Kind::GreaterOrEqual => left.compare(Order::GreaterOrEqual, right, names),
            Kind::Less => left.compare(Order::Less, right, names),
            _ => left.compare(Order::LessOrEqual, right, names),
        }
    }

    fn is_null(&mut self, left: Tree) -> Outcome {
        self.take();
        if self.accept(Kind::Null)? {
            return left.compared_with_null();
        }
        self.want(Kind::Not)?;
        self.want(Kind::Null)?;
        left.compared_with_null()?.not()
    }

    /// What may have a NOT before it: `kind` is that, or what is tested for.
    fn test(&mut self, left: Tree, kind: Kind) -> Outcome {
        let is_negated = kind == Kind::Not;
        let kind = match is_negated {
            true => self.peek_behind()?.kind,
            false => kind,
        };
        if !is_test(kind) {
            // Java blames the NOT.
            self.expect_more(Bond::Comparison, Bond::Comparison);
            self.expected &= !(1 << Kind::Not as u64);
            let token = self.peek()?;
            return Err(self.unexpected(token));
        }
        if is_negated {
            self.take();
        }
        self.take();
        let part = match kind {
            Kind::Contains => Part::Anywhere,
            Kind::StartsWith => Part::Start,
            Kind::EndsWith => Part::End,
            Kind::Between => {
                let low = self.unary()?;
                self.want(Kind::And)?;
                let high = self.unary()?;
                return left.between(low, high, is_negated, &self.names);
            }
            _ => {
                let list = self.list()?;
                return left.within(list, is_negated, &self.names);
            }
        };
        let search = self.text()?;
        left.contains(part, search, is_negated)
    }

    fn list(&mut self) -> Result<Vec<Box<str>>, Refused> {
        self.want(Kind::Open)?;
        let mut list = vec![self.text()?];
        while self.accept(Kind::Comma)? {
            list.push(self.text()?);
        }
        self.want(Kind::Close)?;
        Ok(list)
    }

    fn text(&mut self) -> Result<Box<str>, Refused> {
        Ok(token::text_of(self.want(Kind::Text)?.text))
    }

    fn unary(&mut self) -> Outcome {
        let token = self.peek()?;
        if !matches!(token.kind, Kind::Plus | Kind::Minus | Kind::Not | Kind::Open) {
            return self.operand(token);
        }
        if self.nesting == DEPTH_MAX {
            return Err(Refused::too_deep());
        }
        self.take();
        self.nesting += 1;
        let mut inside = match token.kind {
            Kind::Open => self.operators(Bond::Or)?,
            _ => self.unary()?,
        };
        self.nesting -= 1;
        match token.kind {
            Kind::Open => drop(self.want(Kind::Close)?),
            Kind::Minus => inside = inside.negative()?,
            Kind::Not => inside = inside.truth(&self.names)?.not()?,
            _ => {}
        }
        Ok(inside)
    }

    fn operand(&mut self, token: Token<'s>) -> Outcome {
        let constant = match token.kind {
            Kind::Name => {
                self.take();
                return Ok(Tree::leaf(Node::Property(self.name(token.text)?)));
            }
            Kind::Text => Constant::Text(token::text_of(token.text)),
            Kind::Whole => whole(token.text)?,
            Kind::Fraction => fraction(token.text)?,
            Kind::True => Constant::Bool(true),
            Kind::False => Constant::Bool(false),
            Kind::Null => Constant::Null,
            _ => {
                self.expect(&OPERANDS);
                return Err(self.unexpected(token));
            }
        };
        self.take();
        Ok(Tree::constant(constant))
    }

    /// The number of a property.
    fn name(&mut self, name: &str) -> Result<u16, Refused> {
        let number = match self.names.iter().position(|known| **known == *name) {
            Some(number) => number,
            None if self.names.len() == NAMES_MAX => return Err(Refused::too_many_names()),
            None => {
                self.names.push(name.into());
                self.names.len() - 1
            }
        };
        Ok(number as u16)
    }
}

/// How strongly an operator binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bond {
    /// It is no operator.
    None,
    Or,
    And,
    Equality,
    Comparison,
}

impl Bond {
    fn next(self) -> Bond {
        match self {
            Bond::None => Bond::Or,
            Bond::Or => Bond::And,
            Bond::And => Bond::Equality,
            Bond::Equality | Bond::Comparison => Bond::Comparison,
        }
    }
}

fn bond_of(kind: Kind) -> Bond {
    match kind {
        Kind::Or => Bond::Or,
        Kind::And => Bond::And,
        Kind::Equal | Kind::NotEqual | Kind::Is => Bond::Equality,
        kind if is_ordering(kind) || is_test(kind) => Bond::Comparison,
        _ => Bond::None,
    }
}

fn is_ordering(kind: Kind) -> bool {
    use Kind::{Greater, GreaterOrEqual, Less, LessOrEqual};
    matches!(kind, Greater | GreaterOrEqual | Less | LessOrEqual)
}

/// Whether it tests the value before it, and may have a NOT before it.
fn is_test(kind: Kind) -> bool {
    use Kind::{Between, Contains, EndsWith, In, StartsWith};
    matches!(kind, Contains | StartsWith | EndsWith | Between | In)
}

/// What an operand starts with.
const OPERANDS: [Kind; 11] = [
    Kind::Not,
    Kind::True,
    Kind::False,
    Kind::Null,
    Kind::Whole,
    Kind::Fraction,
    Kind::Text,
    Kind::Name,
    Kind::Open,
    Kind::Minus,
    Kind::Plus,
];

/// A whole number: of 32 bits if it fits, else of 64.
fn whole(literal: &str) -> Result<Constant, Refused> {
    let digits = literal.trim_end_matches(['l', 'L']);
    match number::long(digits.as_bytes()) {
        Some(value) => Ok(i32::try_from(value).map_or(Constant::Long(value), Constant::Int)),
        None => Err(Refused::new(format!(
            "java.lang.NumberFormatException: For input string: \"{digits}\""
        ))),
    }
}

/// Infinity and zero are beyond what Java takes.
fn fraction(literal: &str) -> Result<Constant, Refused> {
    let refused = |why, limit| {
        Err(Refused::new(format!(
            "java.lang.RuntimeException: {literal} is {why} than {limit}"
        )))
    };
    match number::double(literal.as_bytes()) {
        Some(f64::INFINITY) => refused("greater", "1.7976931348623157E308"),
        Some(0.0) | None => refused("less", "4.9E-324"),
        Some(value) => Ok(Constant::Double(value)),
    }
}
