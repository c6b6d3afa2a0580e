//! A comparison finds the last common record of any two logs, and asks little.

use crate::logs::{FILE_LEN, Log};
use ha::{Extent, Outcome, Question};
use proptest::prelude::*;

/// Both logs begin with the same records; then each goes its own way.
fn logs(common: &[usize], of_slave: &[usize], of_master: &[usize], torn: usize) -> (Log, Log, i64) {
    let mut both = Log::default();
    for (serial, len) in common.iter().enumerate() {
        both.append(serial as u64, *len);
    }
    let common_end = both.end();
    let (mut slave, mut master) = (both.clone(), both);
    for (serial, len) in of_slave.iter().enumerate() {
        slave.append(1000 + serial as u64, *len);
    }
    for (serial, len) in of_master.iter().enumerate() {
        master.append(2000 + serial as u64, *len);
    }
    // Only what came last is torn, and not so far that a record is gone.
    let whole = slave.records().last().map_or(0, |last| last.1);
    if torn > 0 {
        slave.append(3000, 199);
        let end = slave.end();
        slave.cut((end - torn as i64).max(whole));
    }
    (slave, master, common_end)
}

fn lens(count: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(24_usize..200, 0..count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_common_record_is_found(
        common in lens(60),
        of_slave in lens(40),
        of_master in lens(40),
        torn in 0_usize..180,
        deleted in (0_usize..12, 0_usize..12),
    ) {
        let (mut slave, mut master, common_end) = logs(&common, &of_slave, &of_master, torn);
        (0..deleted.0).for_each(|_| slave.delete_oldest());
        (0..deleted.1).for_each(|_| master.delete_oldest());
        let (outcome, asked) = slave.compare(&master);
        let records = slave.records();
        let both: Vec<_> = records.iter().filter(|record| record.1 <= common_end && record.0 >= master.min).collect();
        // Bisecting over files, over a sample, over what is between two of a sample; each is small here.
        prop_assert!(asked <= 24, "{asked} questions for {} records", records.len());
        if slave.end() == 0 {
            prop_assert_eq!(outcome, Outcome::Keep { until: 0 });
        } else if records.is_empty() || slave.end() <= master.min {
            prop_assert_eq!(outcome, Outcome::BeginAnew);
        } else if let Some(last) = both.last() {
            prop_assert_eq!(outcome, Outcome::Keep { until: last.1 });
        } else {
            prop_assert_eq!(outcome, Outcome::NothingInCommon);
        }
        // What is kept is the master's.
        if let Outcome::Keep { until } = outcome {
            let from = slave.min.max(master.min);
            if until > from {
                let len = (until - from) as usize;
                prop_assert_eq!(slave.slice(from, len), master.slice(from, len));
            }
        }
    }
}

#[test]
fn a_log_that_agrees_costs_two_questions() {
    let (slave, master, end) = logs(&[100; 400], &[], &[50; 7], 0);
    assert_eq!(slave.compare(&master), (Outcome::Keep { until: end }, 2));
}

#[test]
fn a_master_that_lost_its_tail_and_went_on_is_found_out() {
    // Its new record is at the place of the slave's, of the same length.
    let (slave, master, end) = logs(&[64; 10], &[64], &[64], 0);
    assert_eq!(slave.end(), master.end());
    assert_eq!(slave.compare(&master).0, Outcome::Keep { until: end });
}

#[test]
fn a_blank_tail_is_not_taken_for_common() {
    // The slave's next record did not fit into the file; the master's did.
    let (slave, master, end) = logs(&[100, 100], &[100], &[30], 0);
    assert!(slave.end() > FILE_LEN && master.end() < FILE_LEN);
    assert_eq!(slave.compare(&master).0, Outcome::Keep { until: end });
    let mut only_blank = slave.clone();
    only_blank.cut(FILE_LEN);
    assert_eq!(only_blank.compare(&master).0, Outcome::Keep { until: end });
}

#[test]
fn a_log_without_a_record_begins_anew() {
    let (_, master, _) = logs(&[100; 20], &[], &[], 0);
    let begun = Log {
        min: 512,
        bytes: Vec::new(),
    };
    assert_eq!(begun.compare(&master).0, Outcome::BeginAnew);
    let half = Log {
        min: 512,
        bytes: master.slice(512, 50).to_vec(),
    };
    assert_eq!(half.compare(&master).0, Outcome::BeginAnew);
    assert_eq!(Log::default().compare(&master).0, Outcome::Keep { until: 0 });
}

#[test]
fn another_master_and_an_empty_one_have_nothing_in_common() {
    let (slave, master, _) = logs(&[], &[100; 20], &[100; 20], 0);
    assert_eq!(slave.compare(&master).0, Outcome::NothingInCommon);
    assert_eq!(slave.compare(&Log::default()).0, Outcome::NothingInCommon);
}

#[test]
fn answers_to_what_was_not_asked_change_nothing() {
    let log = Extent { min: 0, end: 100 };
    let mut comparison = ha::Comparison::new(log, vec![0], log);
    comparison.answer_compare(b"x", Some(b"x"));
    comparison.answer_records(vec![10]);
    assert_eq!(comparison.question(), Question::LastRecord);
    comparison.answer_last_record(Some(90));
    comparison.answer_last_record(Some(50));
    assert_eq!(comparison.question(), Question::Compare { offset: 90 });
    comparison.answer_compare(b"", Some(b""));
    assert_eq!(
        comparison.question(),
        Question::Compare { offset: 0 },
        "nothing is no record"
    );
}
