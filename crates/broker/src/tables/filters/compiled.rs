//! Compiled expressions by their texts: clients that pull with an expression of their own send its text each time.

use std::collections::HashMap;
use std::sync::Arc;

use filter::{Expression, Filter, Refused};
use parking_lot::Mutex;

/// Texts of one generation, and what they and what was made of them may occupy, bytes.
const GENERATION: usize = 256;
const GENERATION_BYTES: usize = 8 << 20;

/// What became of a text.
type Outcome = Result<Arc<Expression>, Refused>;

/// Two generations. A text that is asked for is in the younger one afterwards; when that is full the older one is forgotten.
#[derive(Default)]
pub(super) struct Compiled {
    generations: Mutex<[Generation; 2]>,
}

#[derive(Default)]
struct Generation {
    outcomes: HashMap<Box<str>, Outcome>,
    bytes: usize,
}

impl Compiled {
    /// The expression of a text, compiled now if it is not known.
    pub(super) fn get(&self, text: &str) -> Outcome {
        {
            let mut generations = self.generations.lock();
            let [young, old] = &mut *generations;
            if let Some(known) = young.outcomes.get(text) {
                return known.clone();
            }
            if let Some((text, known)) = old.outcomes.remove_entry(text) {
                generations.keep(text, known.clone());
                return known;
            }
        }
        // Without the lock: others need not wait for a long text. Who asks for the same one meanwhile compiles it, too.
        let outcome = Expression::compile(text).map(Arc::new);
        if text.len() * 8 < GENERATION_BYTES / GENERATION {
            self.generations.lock().keep(text.into(), outcome.clone());
        }
        outcome
    }
}

trait Keep {
    fn keep(&mut self, text: Box<str>, outcome: Outcome);
}

impl Keep for [Generation; 2] {
    fn keep(&mut self, text: Box<str>, outcome: Outcome) {
        let made = match &outcome {
            Ok(expression) => expression.bytes(),
            Err(refused) => refused.to_string().len(),
        };
        let [young, old] = self;
        if young.outcomes.len() >= GENERATION || young.bytes >= GENERATION_BYTES {
            *old = std::mem::take(young);
        }
        young.bytes += text.len() + made;
        young.outcomes.insert(text, outcome);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_compiled_once_while_it_is_asked_for() {
        let compiled = Compiled::default();
        let first = compiled.get("a > 1").unwrap();
        for number in 0..10 * GENERATION {
            compiled.get(&format!("a = {number}")).unwrap();
            if number % 100 == 0 {
                assert!(Arc::ptr_eq(&first, &compiled.get("a > 1").unwrap()), "{number}");
            }
        }
        let kept: usize = compiled
            .generations
            .lock()
            .iter()
            .map(|one| one.outcomes.len())
            .sum();
        assert!(kept <= 2 * GENERATION, "{kept}");
        // What nobody asks for is forgotten.
        for number in 0..3 * GENERATION {
            compiled.get(&format!("b = {number}")).unwrap();
        }
        assert!(!Arc::ptr_eq(&first, &compiled.get("a > 1").unwrap()));
    }

    #[test]
    fn refusals_are_remembered_and_long_texts_are_not() {
        let compiled = Compiled::default();
        let kept = |compiled: &Compiled| compiled.generations.lock()[0].outcomes.len();
        let refused = compiled.get("a >").unwrap_err();
        assert_eq!((compiled.get("a >").unwrap_err(), kept(&compiled)), (refused, 1));
        let long = format!("a = '{}'", "x".repeat(8000));
        assert!(compiled.get(&long).is_ok());
        assert_eq!(kept(&compiled), 1);
    }
}
