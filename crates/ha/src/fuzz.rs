//! What any bytes may do to either side: nothing. One function a target, for tests and fuzzers (feature `fuzz`).

use crate::{Ends, Extent, Master, MasterSettings, Next, Slave, SlaveSettings};

const LOG: Extent = Extent {
    min: 1000,
    end: 50_000,
};
const FILE_LEN: i64 = 1000;

/// What a slave sends, in pieces whose lengths the bytes say. The master believes nothing that it has not handed over, and keeps no
/// more than its outbox.
pub fn slave_bytes(input: &[u8]) {
    let settings = MasterSettings {
        file_len: FILE_LEN,
        batch_len: 700,
        outbox_len: 2000,
        ..MasterSettings::default()
    };
    let mut master = Master::new(settings, 0);
    let mut rest = input;
    let mut now_ms = 0;
    while let Some((&stride, bytes)) = rest.split_first() {
        let (piece, after) = bytes.split_at(bytes.len().min(usize::from(stride % 16)));
        rest = after;
        now_ms += i64::from(stride);
        if master.receive(piece, LOG, now_ms).is_err() {
            return;
        }
        let believed = master.standing().acknowledged;
        if let Some(end) = believed {
            let sent = master.sent().expect("nothing is believed before something went");
            assert!((sent.min..=sent.end).contains(&end), "{end} of {sent:?}");
        }
        while let Ok(Next::Send(transfer)) = master.next(LOG, now_ms) {
            let end = transfer.from + transfer.len as i64;
            assert!(transfer.from >= LOG.min && end <= LOG.end);
            assert!(transfer.from % FILE_LEN + transfer.len as i64 <= FILE_LEN);
        }
        assert!(master.waiting_len() <= 2000);
        master.hand_over(master.waiting_len().min(usize::from(stride) * 8));
        assert_eq!(
            master.standing().acknowledged,
            believed,
            "only a report acknowledges"
        );
    }
}

/// What a master sends: in one piece and byte by byte it is the same log, in order, and inside files.
pub fn master_bytes(input: &[u8]) {
    let Some((&start, stream)) = input.split_first() else {
        return;
    };
    let start = i64::from(start);
    let whole = appended(start, stream.len().max(1), stream);
    assert_eq!(whole, appended(start, 1, stream));
    assert_eq!(whole, appended(start, 13, stream));
}

/// Where the log begins, what is appended and what was wrong at last.
fn appended(start: i64, stride: usize, stream: &[u8]) -> (Option<i64>, Vec<u8>, Option<String>) {
    let settings = SlaveSettings {
        file_len: FILE_LEN,
        ..SlaveSettings::default()
    };
    let mut slave = Slave::new(settings, start, 0);
    let (mut begin, mut log) = ((start > 0).then_some(start), Vec::new());
    for mut piece in stream.chunks(stride) {
        loop {
            match slave.next(&mut piece, 0) {
                Ok(Some(run)) => {
                    let begin = *begin.get_or_insert(run.at);
                    assert_eq!(run.at, begin + log.len() as i64, "at the end of the log");
                    assert!(run.at % FILE_LEN + run.bytes.len() as i64 <= FILE_LEN);
                    log.extend_from_slice(run.bytes);
                }
                Ok(None) => break,
                Err(close) => return (begin, log, Some(close.to_string())),
            }
        }
        assert!(piece.is_empty(), "what is not understood yet is kept");
        let end = begin.map_or(0, |begin| begin + log.len() as i64);
        assert_eq!(slave.end(), end);
        let ends = Ends {
            appended: end,
            synced: 0,
        };
        let report = slave.report(ends, 0).expect("no time has passed");
        assert!(report.is_none_or(|report| i64::from_be_bytes(report) <= end));
    }
    (begin, log, None)
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_bytes_of_a_slave() {
        mutate::run("ha_slave", super::slave_bytes);
    }

    #[test]
    fn any_bytes_of_a_master() {
        mutate::run("ha_master", super::master_bytes);
    }
}
