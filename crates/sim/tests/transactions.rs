//! Transactions, cut off at every operation of the disk.

use sim::Mode;
use sim::transactions::{Cut, cut_off, operations};

/// Ways in which the power may take what is not synced.
const WAYS: u64 = 8;

fn every_operation(mode: Mode) {
    let count = operations(mode);
    assert!(count > 100, "{count}: the run does something");
    for nth in 1..=count {
        for way in 0..WAYS {
            cut_off(mode, nth, Cut::Power(nth * WAYS + way));
        }
        cut_off(mode, nth, Cut::Kill);
    }
}

#[test]
fn under_sync_flush_every_transaction_comes_to_its_end() {
    every_operation(Mode::Sync);
}

#[test]
fn under_async_flush_every_transaction_that_is_left_comes_to_its_end() {
    every_operation(Mode::Async);
}
