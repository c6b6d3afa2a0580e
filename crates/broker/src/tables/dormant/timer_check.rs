//! `timercheck`: how far the timer wheel of 5.x has come; 4096 bytes, big endian.
//!
//! | bytes | field |
//! |---|---|
//! | 0–7 | lastReadTimeMs |
//! | 8–15 | lastTimerLogFlushPos |
//! | 16–23 | lastTimerQueueOffset |
//! | 24–31 | masterTimerQueueOffset |
//! | 32–39 | stateVersion of the data version |
//! | 40–47 | timestamp of the data version |
//! | 48–55 | counter of the data version |
//!
//! The rest is zero. (RocketMQ 5.3.3, TimerCheckpoint.) Nobody here changes it, so it stays as it lies; Java keeps no backup
//! of it, and what it says of a damaged one is made again from the wheel.

use std::path::Path;

use disk::Disk;
use protocol::body::topic::DataVersion;

/// Length of the file, one page.
pub const LEN: usize = 4096;
/// Longest file that is read, bytes.
const READ_MAX: u64 = 1 << 20;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimerCheck {
    /// The wheel was read up to here, ms since 1970.
    pub last_read_time_ms: i64,
    /// The timer log is flushed up to here, bytes.
    pub last_timer_log_flush_pos: i64,
    /// The next offset of the queue of timed messages.
    pub last_timer_queue_offset: i64,
    /// The master's, on a slave.
    pub master_timer_queue_offset: i64,
    /// Version of the timer's metrics.
    pub data_version: DataVersion,
}

/// Why a file is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// Too short.
    #[error("it has {0} bytes, {LEN} are needed")]
    Short(usize),
    /// A number that cannot be.
    #[error("{0} is {1}, which is below 0")]
    Negative(&'static str, i64),
}

impl TimerCheck {
    /// Reads it from the file's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        if bytes.len() < LEN {
            return Err(Damaged::Short(bytes.len()));
        }
        let long = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
            i64::from_be_bytes(eight)
        };
        let read = Self {
            last_read_time_ms: long(0),
            last_timer_log_flush_pos: long(1),
            last_timer_queue_offset: long(2),
            master_timer_queue_offset: long(3),
            data_version: DataVersion {
                state_version: long(4),
                timestamp: long(5),
                counter: long(6),
            },
        };
        for (name, value) in [
            ("lastReadTimeMs", read.last_read_time_ms),
            ("lastTimerLogFlushPos", read.last_timer_log_flush_pos),
            ("lastTimerQueueOffset", read.last_timer_queue_offset),
            ("masterTimerQueueOffset", read.master_timer_queue_offset),
        ] {
            if value < 0 {
                return Err(Damaged::Negative(name, value));
            }
        }
        Ok(read)
    }
}

/// Looks at the file and reports what is wrong with it, or that messages wait which nobody delivers.
pub fn check<D: Disk>(disk: &D, path: &Path) -> disk::Result<()> {
    let Some(bytes) = disk.read_small(path, READ_MAX)? else {
        return Ok(());
    };
    match TimerCheck::decode(&bytes) {
        Ok(check) if check.last_timer_queue_offset > 0 => tracing::warn!(
            "{}: the timer wheel of 5.x was used up to offset {}; this release delivers no timed messages, those that \
             wait are kept until they expire",
            path.display(),
            check.last_timer_queue_offset
        ),
        Ok(_) => {}
        Err(why) => tracing::error!("{} is damaged: {why}; it is left as it is", path.display()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_file_is_read_and_others_are_named() {
        let bytes = include_bytes!("../../../tests/golden/java-5.3.3/timercheck");
        let check = TimerCheck::decode(bytes).expect("as Java wrote it");
        let longs = [
            check.last_read_time_ms,
            check.last_timer_log_flush_pos,
            check.last_timer_queue_offset,
            check.master_timer_queue_offset,
            check.data_version.state_version,
            check.data_version.counter,
        ];
        assert_eq!(longs, [1_700_000_000_000, 520, 10, 11, 3, 0]);
        assert_eq!(TimerCheck::decode(&bytes[..100]), Err(Damaged::Short(100)));
        let mut odd = bytes.to_vec();
        odd[16] = 0xff;
        assert!(matches!(
            TimerCheck::decode(&odd),
            Err(Damaged::Negative("lastTimerQueueOffset", _))
        ));
    }
}
