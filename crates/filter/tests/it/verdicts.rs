//! What 4.9.7 and 5.3.3 say of each of some hundred expressions over each of some ten messages, or why they refuse it
//! (`tests/java/FilterTool.java`).

use filter::{Expression, Failed};

use super::{lines, unescape};

pub(crate) const MESSAGES: &str = include_str!("../messages.txt");
pub(crate) const EXPRESSIONS: &str = include_str!("../expressions.txt");
const JAVA_4: &str = include_str!("../golden/verdicts-4.9.7.txt");
const JAVA_5: &str = include_str!("../golden/verdicts-5.3.3.txt");

/// Each message as a properties text.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let properties = |line: &str| {
        let pairs = line.split('\t').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            format!("{name}\x01{}", unescape(value))
        });
        pairs.collect::<Vec<_>>().join("\x02").into_bytes()
    };
    lines(MESSAGES).map(properties).collect()
}

/// Our line of the golden file.
pub(crate) fn ours(text: &str, messages: &[Vec<u8>]) -> String {
    let expression = match Expression::compile(text) {
        Ok(expression) => expression,
        Err(refused) => return format!("! {refused}"),
    };
    let letter = |message: &Vec<u8>| match expression.evaluate(message) {
        Ok(Some(true)) => 'T',
        Ok(Some(false)) => 'F',
        Ok(None) => 'N',
        Err(Failed::Number | Failed::Truth | Failed::Long) => 'E',
    };
    messages.iter().map(letter).collect()
}

/// Java's line, read as ours: with its escapes undone where it is a text.
fn java(line: &str) -> String {
    match line.starts_with('!') {
        true => unescape(line),
        false => line.to_owned(),
    }
}

#[test]
fn verdicts_and_texts_are_those_of_5_3_3() {
    let messages = messages();
    let (mut compared, mut differing) = (0, Vec::new());
    for (expression, expected) in lines(EXPRESSIONS).zip(lines(JAVA_5)) {
        let (found, expected) = (ours(&unescape(expression), &messages), java(expected));
        compared += 1;
        if found != expected && !(is_refused_twice(&found, &expected) && sign_looks_ahead(expression)) {
            differing.push(format!("{expression}\n  java {expected:?}\n  ours {found:?}"));
        }
    }
    assert!(
        differing.is_empty(),
        "{} differ:\n{}",
        differing.len(),
        differing.join("\n")
    );
    assert_eq!(
        (compared, lines(JAVA_5).count()),
        (lines(EXPRESSIONS).count(), compared)
    );
    assert!(compared > 600 && messages.len() > 60);
}

/// Whatever an expression asks, and whatever a message has: all of the tables.
#[test]
fn a_message_that_is_looked_at_costs_no_allocation() {
    let messages = messages();
    let (mut looked, mut compiling) = (0, 0);
    for text in lines(EXPRESSIONS).map(unescape) {
        let mut compiled = None;
        let counted = allocation_counter::measure(|| compiled = Some(Expression::compile(&text)));
        compiling += counted.count_total;
        let Some(Ok(expression)) = compiled else { continue };
        let counted = allocation_counter::measure(|| {
            for message in &messages {
                let _verdict = expression.evaluate(message);
                let _passes = expression.matches(message);
            }
        });
        assert_eq!(counted.count_total, 0, "{text}");
        looked += messages.len();
    }
    // The counter counts: most expressions are made of boxes, and a refusal has a text.
    assert!(looked > 20_000 && compiling > 1_000, "{looked} {compiling}");
}

fn is_refused_twice(ours: &str, java: &str) -> bool {
    ours.starts_with('!') && java.starts_with('!')
}

/// Java looks at all that follows a plus sign before it takes the sign, and finds fault with the sign where something is
/// wrong with what follows. We tell what is wrong with what follows.
fn sign_looks_ahead(expression: &str) -> bool {
    ["+", "a = +"].contains(&expression)
}

/// 5.3.3 has three words more, and is as 4.9.7 where they do not occur.
#[test]
fn verdicts_are_those_of_4_9_7_but_for_new_words() {
    let messages = messages();
    let mut new = 0;
    for (expression, expected) in lines(EXPRESSIONS).zip(lines(JAVA_4)) {
        let upper = expression.to_uppercase();
        if ["CONTAINS", "STARTSWITH", "ENDSWITH"]
            .iter()
            .any(|word| upper.contains(word))
        {
            new += 1;
            continue;
        }
        let (found, expected) = (ours(&unescape(expression), &messages), java(expected));
        // What could have stood in a place has more words in it.
        let is_same = found == expected
            || (is_refused_twice(&found, &expected) && first_line(&found) == first_line(&expected));
        assert!(
            is_same || sign_looks_ahead(expression),
            "{expression}: java {expected:?}, ours {found:?}"
        );
    }
    assert!(new > 40, "{new}");
}

fn first_line(text: &str) -> Option<&str> {
    text.lines().next()
}
