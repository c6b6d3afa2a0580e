//! The state machines together.
