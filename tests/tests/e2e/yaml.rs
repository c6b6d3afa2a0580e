//! YAML files of `conf/`, as trees.

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};
use std::path::Path;

/// The documents of a file; every scalar is a text.
pub(crate) fn documents(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut documents = Vec::new();
    // Those that are open, each with the key that waits for its value.
    let mut open: Vec<(Value, Option<String>)> = Vec::new();
    for event in Parser::new_from_str(&text) {
        let (event, _) = event.unwrap_or_else(|bad| panic!("{}: {bad}", file.display()));
        let whole = match event {
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceStart(..) => {
                open.push((Value::Array(Vec::new()), None));
                continue;
            }
            Event::MappingStart(..) => {
                open.push((Value::Object(Map::new()), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().unwrap().0,
            Event::Alias(_) => panic!("{}: an alias", file.display()),
            _ => continue,
        };
        match open.last_mut() {
            None => documents.push(whole),
            Some((Value::Array(items), _)) => items.push(whole),
            Some((Value::Object(fields), key)) => match key.take() {
                None => *key = whole.as_str().map(str::to_owned),
                Some(key) => {
                    let before = fields.insert(key.clone(), whole);
                    assert_eq!(before, None, "{}: {key} twice", file.display());
                }
            },
            Some(_) => unreachable!("only lists and maps are open"),
        }
    }
    documents
}

/// What lies at a path of keys and numbers.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    value
        .pointer(path)
        .unwrap_or_else(|| panic!("no {path} in {value}"))
}

/// The same, a text.
pub(crate) fn text_at<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path)
        .as_str()
        .unwrap_or_else(|| panic!("{path} is no text in {value}"))
}

/// The same, a list.
pub(crate) fn list_at<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    at(value, path)
        .as_array()
        .unwrap_or_else(|| panic!("{path} is no list in {value}"))
}
