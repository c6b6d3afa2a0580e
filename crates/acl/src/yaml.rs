//! A YAML document as a tree that knows its lines and how each value was written, and writing one.
//!
//! What a reader does not understand stays in the tree, and is written again. Comments are not in it.

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::collections::HashMap;
use std::fmt::Write;

/// Nodes of a document; an alias counts as all that it stands for.
const NODES_MAX: usize = 200_000;
/// How deep they nest.
const DEPTH_MAX: usize = 32;

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Line, the first is 1; 0 for one that was not read.
    pub(crate) line: usize,
    /// What it is.
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Text; `plain` without quotes, so that it may be a number, a boolean or null.
    Scalar {
        /// As it reads.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map in the order it is written.
    Map(Vec<(Node, Node)>),
}

/// Nodes are equal that say the same, wherever they stand.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct BadYaml {
    /// Line.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) text: String,
}

impl BadYaml {
    fn at(line: usize, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { line, text }
    }
}

impl Node {
    /// One that is not read from a file.
    pub(crate) fn new(value: Value) -> Self {
        Node { line: 0, value }
    }

    /// Text that reads as text, or as a number where it is one.
    pub(crate) fn text(text: &str) -> Self {
        Node::new(Value::Scalar {
            text: text.to_owned(),
            plain: is_safe(text),
        })
    }

    /// A map's value; the last one where a key comes twice, as in Java.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .rev()
            .find(|(k, _)| k.as_text() == Some(key))
            .map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        entries
            .iter_mut()
            .rev()
            .find(|(k, _)| k.as_text() == Some(key))
            .map(|(_, value)| value)
    }

    /// Puts a value where the key is, or at the end.
    pub(crate) fn put(&mut self, key: &str, value: Node) {
        if let Some(old) = self.get_mut(key) {
            *old = value;
        } else if let Value::Map(entries) = &mut self.value {
            entries.push((Node::text(key), value));
        }
    }

    /// A map's entries; none of anything else.
    pub(crate) fn entries(&self) -> &[(Node, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The text of a scalar that is not null.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Is it nothing, `~` or `null`?
    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain: true } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }
}

/// Reads the one document of a text; a text without any is null.
pub(crate) fn parse(text: &str) -> Result<Node, BadYaml> {
    let mut builder = Builder::default();
    let mut documents = 0;
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let (event, span) = event.map_err(|e| BadYaml::at(e.marker().line(), e.info()))?;
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(BadYaml::at(line, "a second document; one file has one"));
                }
            }
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, Some(tag))
            | Event::MappingStart(_, Some(tag))
                if !is_known(&tag) =>
            {
                return Err(BadYaml::at(line, format!("the tag {tag} has no meaning here")));
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let text = text.into_owned();
                builder.add(line, anchor, Value::Scalar { text, plain })?;
            }
            Event::SequenceStart(anchor, _) => builder.open(line, anchor, Value::List(Vec::new()))?,
            Event::MappingStart(anchor, _) => builder.open(line, anchor, Value::Map(Vec::new()))?,
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            Event::Alias(anchor) => builder.alias(line, anchor)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }
    Ok(builder.root.unwrap_or_else(|| {
        Node::new(Value::Scalar {
            text: String::new(),
            plain: true,
        })
    }))
}

/// The tags of plain data. Java's reader made objects of any class for others, once.
fn is_known(tag: &Tag) -> bool {
    let plain = ["str", "int", "float", "bool", "null", "seq", "map"];
    tag.is_yaml_core_schema() && plain.contains(&tag.suffix.as_str())
}

/// A list or map that is being read.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Node>,
    nodes: usize,
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    /// What an alias may stand for, and of how many nodes it is.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Builder {
    fn open(&mut self, line: usize, anchor: usize, value: Value) -> Result<(), BadYaml> {
        if self.open.len() == DEPTH_MAX {
            return Err(BadYaml::at(line, format!("nested deeper than {DEPTH_MAX}")));
        }
        let node = Node { line, value };
        let nodes = self.nodes;
        self.open.push(Open {
            node,
            anchor,
            key: None,
            nodes,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), BadYaml> {
        let Some(Open {
            node, anchor, nodes, ..
        }) = self.open.pop()
        else {
            return Ok(());
        };
        let inside = self.nodes - nodes;
        self.put(node, anchor, inside)
    }

    fn add(&mut self, line: usize, anchor: usize, value: Value) -> Result<(), BadYaml> {
        self.put(Node { line, value }, anchor, 0)
    }

    fn alias(&mut self, line: usize, anchor: usize) -> Result<(), BadYaml> {
        // Within what it names it has no end.
        let Some((node, nodes)) = self.anchors.get(&anchor) else {
            return Err(BadYaml::at(line, "an alias for what is not there, or for itself"));
        };
        let (node, nodes) = (node.clone(), *nodes);
        self.nodes += nodes;
        self.put(Node { line, ..node }, 0, 0)
    }

    fn put(&mut self, node: Node, anchor: usize, inside: usize) -> Result<(), BadYaml> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(BadYaml::at(node.line, format!("more than {NODES_MAX} values")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), inside));
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match parent.key.take() {
                None => parent.key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            Value::Scalar { .. } => {}
        }
        Ok(())
    }
}

/// Writes a document in block style, as Java's broker does.
pub(crate) fn write(root: &Node) -> String {
    let mut out = String::new();
    match &root.value {
        Value::Map(entries) if !entries.is_empty() => write_map(&mut out, entries, 0),
        Value::List(items) if !items.is_empty() => write_list(&mut out, items, 0),
        _ => {
            write_flat(&mut out, root);
            out.push('\n');
        }
    }
    out
}

/// The first entry stands where the writer is, the others begin lines.
fn write_map(out: &mut String, entries: &[(Node, Node)], indent: usize) {
    for (at, (key, value)) in entries.iter().enumerate() {
        if at > 0 {
            let _ = write!(out, "{:indent$}", "");
        }
        write_flat(out, key);
        out.push(':');
        match &value.value {
            Value::Map(inner) if !inner.is_empty() => {
                let indent = indent + 2;
                let _ = write!(out, "\n{:indent$}", "");
                write_map(out, inner, indent);
            }
            Value::List(items) if !items.is_empty() => {
                let _ = write!(out, "\n{:indent$}", "");
                write_list(out, items, indent);
            }
            _ => {
                out.push(' ');
                write_flat(out, value);
                out.push('\n');
            }
        }
    }
}

fn write_list(out: &mut String, items: &[Node], indent: usize) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            let _ = write!(out, "{:indent$}", "");
        }
        out.push_str("- ");
        match &item.value {
            Value::Map(inner) if !inner.is_empty() => write_map(out, inner, indent + 2),
            Value::List(inner) if !inner.is_empty() => write_list(out, inner, indent + 2),
            _ => {
                write_flat(out, item);
                out.push('\n');
            }
        }
    }
}

/// On one line: scalars, what is empty, and lists and maps that are keys.
fn write_flat(out: &mut String, node: &Node) {
    match &node.value {
        _ if node.is_null() => out.push_str("null"),
        Value::Scalar { text, plain: true } if is_safe(text) => out.push_str(text),
        Value::Scalar { text, .. } => write_quoted(out, text),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_flat(out, item);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_flat(out, key);
                out.push_str(": ");
                write_flat(out, value);
            }
            out.push('}');
        }
    }
}

/// Can it stand without quotes, and read as it is? What may be taken for something else is quoted.
fn is_safe(text: &str) -> bool {
    let plain = |c: char| {
        c.is_alphanumeric() || matches!(c, '_' | '.' | '|' | '=' | '/' | '$' | '^' | '+' | ';' | '-')
    };
    let first = text.chars().next();
    first.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '/' | '$' | '^'))
        && text.chars().all(plain)
        && !["null", "~"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", c as u32);
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_anchors_and_quotes() {
        let text = "a: &x [1, '2']\nb: *x\n'c d': ~\ne:\n  - f: yes\n    g: \"1\"\n";
        let root = parse(text).expect("yaml");
        assert_eq!(root.get("b"), root.get("a"));
        assert_eq!(root.get("b").map(|node| node.line), Some(2));
        assert!(root.get("c d").is_some_and(Node::is_null));
        let Some(Value::List(items)) = root.get("e").map(|node| &node.value) else {
            panic!("a list");
        };
        assert_eq!(items[0].get("g").map(|node| node.line), Some(6));
        assert_eq!(
            write(&root),
            "a:\n- 1\n- \"2\"\nb:\n- 1\n- \"2\"\n\"c d\": null\ne:\n- f: yes\n  g: \"1\"\n"
        );
    }

    #[test]
    fn what_is_no_document_is_named_with_its_line() {
        for (text, line, part) in [
            ("a: [1\n", 2, "]"),
            ("a: 1\n--- \nb: 2\n", 2, "second document"),
            ("a:\n  !!javax.script.ScriptEngineManager [x]\n", 2, "tag"),
            ("a: 1\nb: *nothing\n", 2, ""),
        ] {
            let e = parse(text).expect_err(text);
            assert!(e.text.contains(part), "{text:?}: {e}");
            assert!(e.line == line || e.line + 1 == line, "{text:?}: line {}", e.line);
        }
        let deep = "[".repeat(DEPTH_MAX + 1);
        assert!(parse(&deep).expect_err("deep").text.contains("deeper"));
    }

    #[test]
    fn aliases_do_not_multiply_without_end() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..10 {
            let many = vec![format!("*a{}", level - 1); 10].join(",");
            let _ = writeln!(text, "a{level}: &a{level} [{many}]");
        }
        assert!(parse(&text).expect_err("a bomb").text.contains("more than"));
        assert!(parse("a: &a [*a]\n").is_err());
    }

    fn node() -> impl Strategy<Value = Node> {
        let scalar = (
            "[-a-z0-9:#'\"~|>@`%!&*?{}\\[\\], \n\u{e9}\u{1F600}\t]{0,6}",
            any::<bool>(),
        )
            .prop_map(|(text, plain)| {
                let plain = plain && is_safe(&text);
                Node::new(Value::Scalar { text, plain })
            });
        scalar.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| Node::new(Value::List(items))),
                proptest::collection::vec(("[a-z ]{1,4}", inner), 0..5).prop_map(|entries| {
                    let entries = entries.into_iter().map(|(key, value)| (Node::text(&key), value));
                    Node::new(Value::Map(entries.collect()))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(node in node()) {
            let text = write(&node);
            prop_assert_eq!(parse(&text).expect(&text), node, "{}", text);
        }
    }
}
