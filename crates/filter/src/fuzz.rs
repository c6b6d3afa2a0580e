//! What any bytes may be as an expression: refused, or evaluated. For tests and fuzzers (feature `fuzz`).

use crate::{Expression, Filter};

/// An expression, a zero byte, a properties text. Nothing panics or overflows the stack, and what an expression occupies is
/// bounded by its text.
pub fn expression(input: &[u8]) {
    let split = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (text, properties) = input.split_at(split);
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match Expression::compile(text) {
        Ok(expression) => {
            let first = expression.evaluate(properties);
            assert_eq!(first, expression.evaluate(properties), "the same each time");
            assert_eq!(expression.matches(properties), first == Ok(Some(true)));
            assert!(expression.bytes() < 1024 + 64 * text.len());
        }
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_bytes_are_an_expression_or_refused() {
        mutate::run("expression", super::expression);
    }
}
