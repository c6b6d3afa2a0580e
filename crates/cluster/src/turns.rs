//! Tests that measure time run while no other test has a process.
//!
//! A test is known by the name of its thread, which the test runner gives. Threads that a test makes have none, and are let through.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

static TURNS: Turns = Turns {
    state: Mutex::new(None),
    changed: Condvar::new(),
};

#[derive(Debug)]
struct Turns {
    state: Mutex<Option<State>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Test to its processes.
    running: HashMap<String, usize>,
    /// Who has the machine.
    alone: Option<String>,
    /// How many wait for it: nobody else begins.
    waiting: usize,
}

impl State {
    fn may_run(&self, test: &str) -> bool {
        match &self.alone {
            Some(alone) => alone == test,
            None => self.waiting == 0 || self.running.contains_key(test),
        }
    }

    fn may_be_alone(&self, test: &str) -> bool {
        self.alone.is_none() && self.running.keys().all(|other| other == test)
    }
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is so, and changes the state.
    fn when(&self, may: impl Fn(&State) -> bool, change: impl FnOnce(&mut State)) {
        let mut guard = self.lock();
        while !may(guard.get_or_insert_default()) {
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        change(guard.get_or_insert_default());
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(self.lock().get_or_insert_default());
        self.changed.notify_all();
    }

    fn begin(&'static self, test: Option<String>) -> Turn {
        if let Some(test) = &test {
            let count = |state: &mut State| *state.running.entry(test.clone()).or_default() += 1;
            self.when(|state| state.may_run(test), count);
        }
        Turn { turns: self, test }
    }

    fn alone(&'static self, test: &str) -> Alone {
        self.change(|state| state.waiting += 1);
        self.when(
            |state| state.may_be_alone(test),
            |state| {
                state.waiting -= 1;
                state.alone = Some(test.to_owned());
            },
        );
        Alone { turns: self }
    }
}

fn this_test() -> Option<String> {
    std::thread::current().name().map(str::to_owned)
}

/// A process of a test runs, or something else that takes the machine.
#[derive(Debug)]
pub struct Turn {
    turns: &'static Turns,
    test: Option<String>,
}

impl Turn {
    /// Waits for a test that has the machine for itself.
    pub fn begin() -> Turn {
        TURNS.begin(this_test())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(test) = self.test.take() else { return };
        self.turns.change(|state| {
            if let Some(count) = state.running.get_mut(&test) {
                *count -= 1;
                if *count == 0 {
                    state.running.remove(&test);
                }
            }
        });
    }
}

/// A test has the machine for itself.
#[derive(Debug)]
pub struct Alone {
    turns: &'static Turns,
}

/// Waits until no other test has a process, and lets none start one until this is dropped. Call it before anything is started.
pub fn alone() -> Alone {
    TURNS.alone(&this_test().unwrap_or_default())
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.turns.change(|state| state.alone = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_waits_for_others_and_keeps_them_waiting() {
        let mut state = State::default();
        assert!(state.may_run("a") && state.may_be_alone("b"));
        state.running.insert("a".into(), 1);
        state.waiting = 1;
        assert!(!state.may_be_alone("b"));
        assert!(
            state.may_run("a") && !state.may_run("c"),
            "who has begun goes on, nobody begins"
        );
        state.running.clear();
        assert!(state.may_be_alone("b"));
        (state.waiting, state.alone) = (0, Some("b".into()));
        assert!(state.may_run("b") && !state.may_run("a") && !state.may_be_alone("c"));
    }

    #[test]
    fn a_turn_ends_with_its_process() {
        static TURNS: Turns = Turns {
            state: Mutex::new(None),
            changed: Condvar::new(),
        };
        let first = TURNS.begin(Some("a".into()));
        let second = TURNS.begin(Some("a".into()));
        drop(first);
        assert!(!TURNS.lock().as_ref().is_some_and(|state| state.may_be_alone("b")));
        drop(second);
        let alone = TURNS.alone("b");
        let own = TURNS.begin(Some("b".into()));
        let nameless = TURNS.begin(None);
        drop((alone, own, nameless));
        drop(TURNS.begin(Some("a".into())));
    }
}
