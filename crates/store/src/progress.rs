//! How opening a store runs its work, and how it tells how far it is.

/// Runs what can be done at once. The store has no threads of its own; whoever opens it may lend some.
pub trait Parallel: Sync {
    /// How many tasks are worth having at a time, at least 1.
    fn width(&self) -> usize;
    /// Runs all the tasks, in any order and at once if it likes, and returns when all are done.
    fn run<'a>(&self, tasks: Vec<Box<dyn FnOnce() + Send + 'a>>);
}

/// Runs one task after the other, so that a run with the same input is the same run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Parallel for Inline {
    fn width(&self) -> usize {
        1
    }

    fn run<'a>(&self, tasks: Vec<Box<dyn FnOnce() + Send + 'a>>) {
        tasks.into_iter().for_each(|task| task());
    }
}

/// What an opening store is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opens the consumequeues; counted in topics.
    Queues,
    /// Reads the log, checks it and builds units; counted in bytes.
    Log,
}

/// How far an opening store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// What of it is done: topics or bytes.
    pub done: u64,
    /// What there is to do, at most: the log may end earlier.
    pub total: u64,
}

/// What [`crate::Store::open_with`] is lent.
#[derive(Clone, Copy)]
pub struct Helpers<'a> {
    /// Runs what can be done at once.
    pub parallel: &'a dyn Parallel,
    /// Is told how far the opening is: often, and from any of the threads.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

impl Helpers<'static> {
    /// One thing after the other, without a word.
    pub const NONE: Helpers<'static> = Helpers {
        parallel: &Inline,
        progress: &|_| {},
    };
}
