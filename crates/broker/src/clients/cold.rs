//! What each group has read lately that had left memory, and how much of it a group may read.
//!
//! Rules: RocketMQ 5.3.3, ColdDataCgCtrService. Unlike Java: whether messages are in memory is asked of the kernel at each pull, not
//! of a sample that is taken each minute. Thresholds that operators set are lost at a restart, as in Java.

use std::collections::HashMap;

use message::name;
use parking_lot::Mutex;
use serde::Serialize;

use crate::settings::Settings;

/// What is read counts for so long, ms.
const WINDOW_MS: i64 = 5_000;
/// A group that has read nothing cold for so long is not shown any more, ms.
const SHOWN_MS: i64 = 60_000;
/// Most groups that operators may give a threshold.
const CONFIGURED_MAX: usize = 100_000;

/// Groups of tools and gateways, which are not limited; neither are those of the system.
const UNLIMITED: [&str; 10] = [
    "DEFAULT_CONSUMER",
    "TOOLS_CONSUMER",
    "SCHEDULE_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PULL",
];

/// Bytes that may be read in a window.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds {
    /// By a group for which operators have set nothing else.
    pub group: i64,
    /// By all groups together.
    pub global: i64,
}

impl Thresholds {
    /// What the settings say.
    pub fn of(settings: &Settings) -> Thresholds {
        Thresholds {
            group: settings.broker.cg_cold_read_threshold,
            global: settings.broker.global_cold_read_threshold,
        }
    }
}

/// No further group can be given a threshold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{CONFIGURED_MAX} groups have thresholds, the most that are kept")]
pub struct Full;

/// What a group has read (Java: AccAndTimeStamp).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    /// Bytes in this window.
    cold_acc: i64,
    create_time_mills: i64,
    last_cold_read_time_mills: i64,
}

#[derive(Default)]
struct State {
    began_ms: i64,
    global: i64,
    groups: HashMap<String, Read>,
    configured: HashMap<String, i64>,
}

impl State {
    /// Begins a new window if the old one is over, also where the clock was set back.
    fn turn(&mut self, now: i64) {
        if (0..WINDOW_MS).contains(&(now - self.began_ms)) {
            return;
        }
        self.began_ms = now;
        self.global = 0;
        self.groups
            .retain(|_, read| now - read.last_cold_read_time_mills < SHOWN_MS);
        for read in self.groups.values_mut() {
            read.cold_acc = 0;
        }
    }
}

/// Cold reads of groups. Only pulls of what has left memory come here.
#[derive(Default)]
pub struct ColdReads {
    state: Mutex<State>,
}

/// Answer to GET_COLD_DATA_FLOW_CTR_INFO.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColdReadsInfo {
    cg_cold_read_threshold: i64,
    config_table: HashMap<String, i64>,
    global_acc: i64,
    global_cold_read_threshold: i64,
    runtime_table: HashMap<String, Read>,
}

impl ColdReads {
    /// Is this a group whose cold reads count?
    pub fn counts(group: &str) -> bool {
        !UNLIMITED.contains(&group) && !name::is_system_group(group)
    }

    /// A group has read so many bytes that were not in memory.
    pub fn note(&self, group: &str, bytes: i64, now: i64) {
        if bytes <= 0 {
            return;
        }
        let mut state = self.state.lock();
        state.turn(now);
        state.global += bytes;
        match state.groups.get_mut(group) {
            Some(read) => {
                read.cold_acc += bytes;
                read.last_cold_read_time_mills = now;
            }
            None => {
                let read = Read {
                    cold_acc: bytes,
                    create_time_mills: now,
                    last_cold_read_time_mills: now,
                };
                state.groups.insert(group.to_owned(), read);
            }
        }
    }

    /// Has the group read all that it may in this window? All groups together may have: then it is those that read cold data
    /// lately who wait.
    pub fn is_limited(&self, group: &str, thresholds: Thresholds, now: i64) -> bool {
        let mut state = self.state.lock();
        state.turn(now);
        let Some(read) = state.groups.get(group) else {
            return false;
        };
        let most = state.configured.get(group).copied().unwrap_or(thresholds.group);
        read.cold_acc >= most || state.global >= thresholds.global
    }

    /// Gives a group a threshold of its own, bytes in a window.
    pub fn set(&self, group: &str, threshold: i64) -> Result<(), Full> {
        let mut state = self.state.lock();
        if state.configured.len() >= CONFIGURED_MAX && !state.configured.contains_key(group) {
            return Err(Full);
        }
        state.configured.insert(group.to_owned(), threshold);
        Ok(())
    }

    /// The group has the threshold of all others again.
    pub fn remove(&self, group: &str) {
        self.state.lock().configured.remove(group);
    }

    /// All of it, for operators.
    pub fn info(&self, thresholds: Thresholds, now: i64) -> ColdReadsInfo {
        let mut state = self.state.lock();
        state.turn(now);
        ColdReadsInfo {
            cg_cold_read_threshold: thresholds.group,
            config_table: state.configured.clone(),
            global_acc: state.global,
            global_cold_read_threshold: thresholds.global,
            runtime_table: state.groups.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Thresholds = Thresholds {
        group: 100,
        global: 1000,
    };

    #[test]
    fn a_group_may_read_its_threshold_in_a_window() {
        let cold = ColdReads::default();
        assert!(!cold.is_limited("g", BY, 10_000));
        cold.note("g", 99, 10_000);
        assert!(!cold.is_limited("g", BY, 10_000));
        cold.note("g", 1, 12_000);
        assert!(cold.is_limited("g", BY, 14_999) && !cold.is_limited("h", BY, 14_999));
        assert!(!cold.is_limited("g", BY, 15_000), "a new window");
        cold.note("g", 100, 15_000);
        assert!(!cold.is_limited("g", BY, 9_000), "the clock was set back");
    }

    #[test]
    fn operators_give_a_group_its_own_threshold() {
        let cold = ColdReads::default();
        assert_eq!(cold.set("g", 500), Ok(()));
        assert_eq!(cold.set("idle", 0), Ok(()));
        cold.note("g", 499, 5_000);
        assert!(!cold.is_limited("g", BY, 5_000) && !cold.is_limited("idle", BY, 5_000));
        cold.note("g", 1, 5_000);
        assert!(cold.is_limited("g", BY, 5_000));
        cold.remove("g");
        cold.note("h", 99, 5_000);
        assert!(cold.is_limited("g", BY, 5_000) && !cold.is_limited("h", BY, 5_000));
    }

    #[test]
    fn all_groups_together_have_a_threshold() {
        let cold = ColdReads::default();
        for number in 0..11 {
            cold.note(&format!("g{number}"), 90, 5_000);
        }
        assert!(!cold.is_limited("g3", BY, 5_000), "990");
        cold.note("g0", 10, 5_000);
        assert!(cold.is_limited("g3", BY, 5_000));
        assert!(!cold.is_limited("new", BY, 5_000), "it has read nothing cold yet");
    }

    #[test]
    fn operators_see_all_of_it() {
        let cold = ColdReads::default();
        cold.note("g", 7, 5_000);
        cold.note("g", 1, 6_000);
        cold.note("g", 0, 7_000);
        cold.set("h", 3).unwrap();
        let info = |now| serde_json::to_value(cold.info(BY, now)).unwrap();
        let mut expected = serde_json::json!({
            "cgColdReadThreshold": 100, "globalColdReadThreshold": 1000, "globalAcc": 8, "configTable": {"h": 3},
            "runtimeTable": {"g": {"coldAcc": 8, "createTimeMills": 5000, "lastColdReadTimeMills": 6000}},
        });
        assert_eq!(info(9_999), expected);
        expected["globalAcc"] = 0.into();
        expected["runtimeTable"]["g"]["coldAcc"] = 0.into();
        assert_eq!(info(65_999), expected);
        expected["runtimeTable"] = serde_json::json!({});
        assert_eq!(info(71_000), expected);
    }

    #[test]
    fn tools_and_the_system_are_not_limited() {
        for group in ["TOOLS_CONSUMER", "CID_RMQ_SYS_TRANS"] {
            assert!(!ColdReads::counts(group), "{group}");
        }
        assert!(ColdReads::counts("g"));
    }

    #[test]
    fn thresholds_are_bounded() {
        let cold = ColdReads::default();
        for number in 0..CONFIGURED_MAX {
            cold.set(&number.to_string(), 1).unwrap();
        }
        assert_eq!(cold.set("one more", 1), Err(Full));
        assert_eq!(cold.set("7", 2), Ok(()));
    }
}
