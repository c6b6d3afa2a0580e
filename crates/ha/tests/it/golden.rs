//! Recordings of Java pairs: `cargo run -p ha --example record -- 4.9.7 5.3.3` makes them.

use crate::recording::{Event, read};
use ha::wire::{HEADER_LEN, Header};
use ha::{
    Comparison, Ends, Extent, Master, MasterSettings, NewSlave, Next, Outcome, Promise, Question, Slave,
    SlaveSettings, Transfer,
};

const FILE_LEN: i64 = 16_384;
const BATCH_LEN: usize = 3_000;
const RECORDINGS: [(&str, &[u8]); 2] = [
    ("4.9.7", include_bytes!("../golden/java-4.9.7.gz")),
    ("5.3.3", include_bytes!("../golden/java-5.3.3.gz")),
];

/// The slave's log: where it begins, its bytes up to the master's end.
fn log_of(events: &[Event]) -> (i64, Vec<u8>) {
    let end = events
        .iter()
        .find_map(|event| match event {
            Event::End(end) => Some(*end),
            _ => None,
        })
        .expect("the recording has an end");
    let mut begin = None;
    let mut bytes = Vec::new();
    for event in events {
        if let Event::File(offset, file) = event {
            let begin = *begin.get_or_insert(*offset);
            assert_eq!(*offset, begin + bytes.len() as i64, "files follow each other");
            bytes.extend_from_slice(file);
        }
    }
    let begin = begin.expect("it has files");
    bytes.truncate((end - begin) as usize);
    (begin, bytes)
}

/// The connections of a recording: the bytes of either side, in order.
fn connections(events: &[Event]) -> Vec<Vec<&Event>> {
    let mut all = Vec::new();
    for event in events {
        match event {
            Event::Connected => all.push(Vec::new()),
            Event::Slave(..) | Event::Master(..) => all.last_mut().expect("connected before").push(event),
            Event::File(..) | Event::View(..) | Event::Min(_) | Event::End(_) => {}
        }
    }
    all
}

fn of_master(events: &[&Event]) -> Vec<u8> {
    let of_master = events.iter().filter_map(|event| match event {
        Event::Master(_, bytes) => Some(&bytes[..]),
        _ => None,
    });
    of_master.collect::<Vec<_>>().concat()
}

fn of_slave(events: &[&Event]) -> Vec<i64> {
    let of_slave = events.iter().filter_map(|event| match event {
        Event::Slave(_, bytes) => Some(&bytes[..]),
        _ => None,
    });
    let bytes = of_slave.collect::<Vec<_>>().concat();
    let units = bytes.chunks(8);
    let whole = units.map(|unit| unit.try_into().expect("whole reports"));
    whole.map(i64::from_be_bytes).collect()
}

/// Transfers, cut out without our parser.
fn transfers(mut stream: &[u8]) -> Vec<(Header, &[u8])> {
    let mut all = Vec::new();
    while let Some((head, rest)) = stream.split_first_chunk::<HEADER_LEN>() {
        let offset = i64::from_be_bytes(head[..8].try_into().expect("8 bytes"));
        let size = i32::from_be_bytes(head[8..].try_into().expect("4 bytes"));
        // The last one may have been cut with the connection.
        let Some((body, after)) = rest.split_at_checked(size as usize) else {
            break;
        };
        all.push((Header { offset, size }, body));
        stream = after;
    }
    all
}

fn settings(promise: Promise) -> SlaveSettings {
    SlaveSettings {
        file_len: FILE_LEN,
        promise,
        ..SlaveSettings::default()
    }
}

#[test]
fn our_slave_makes_the_log_of_javas() {
    for (version, file) in RECORDINGS {
        let events = read(file);
        let (begin, expected) = log_of(&events);
        for stride in [1, 7, 1000, usize::MAX] {
            let mut log = Vec::new();
            for connection in connections(&events) {
                let end = if log.is_empty() {
                    0
                } else {
                    begin + log.len() as i64
                };
                let mut slave = Slave::new(settings(Promise::Appended), end, 0);
                for mut piece in of_master(&connection).chunks(stride) {
                    while let Some(run) = slave.next(&mut piece, 0).expect("Java's is right") {
                        assert_eq!(run.at, begin + log.len() as i64, "Java {version}");
                        log.extend_from_slice(run.bytes);
                    }
                }
            }
            assert!(log == expected, "Java {version}, pieces of {stride}");
        }
    }
}

#[test]
fn our_slave_reports_what_javas_reported() {
    for (version, file) in RECORDINGS {
        let events = read(file);
        let mut end = 0;
        for connection in connections(&events) {
            let mut slave = Slave::new(settings(Promise::Appended), end, 0);
            let stream = of_master(&connection);
            let mut ours = Vec::new();
            let mut ends = Ends {
                appended: end,
                synced: 0,
            };
            ours.extend(slave.report(ends, 0).expect("open"));
            for (header, body) in transfers(&stream) {
                let bytes = [&header.encode()[..], body].concat();
                let mut input = &bytes[..];
                while let Some(run) = slave.next(&mut input, 0).expect("Java's is right") {
                    ends.appended = run.at + run.bytes.len() as i64;
                }
                ours.extend(slave.report(ends, 0).expect("open"));
            }
            end = ends.appended;
            let mut ours: Vec<i64> = ours.into_iter().map(i64::from_be_bytes).collect();
            let mut javas = of_slave(&connection);
            // Heartbeats repeat: who sends how many is a matter of time.
            ours.dedup();
            javas.dedup();
            assert_eq!(ours, javas, "Java {version}");
        }
    }
}

/// Asks for what is sent next where Java sent `header`, at a time at which that is due.
fn sends(master: &mut Master, header: Header, min: i64, now_ms: &mut i64) -> Transfer {
    let log = Extent {
        min,
        end: header.offset + i64::from(header.size),
    };
    match master.next(log, *now_ms).expect("open") {
        Next::Send(transfer) => transfer,
        Next::Wait { until_ms } => {
            assert_eq!(header.size, 0, "bytes of the log wait for nothing");
            assert!((*now_ms + 1..=*now_ms + 5_000).contains(&until_ms));
            *now_ms = until_ms;
            match master.next(log, *now_ms).expect("open") {
                Next::Send(transfer) => transfer,
                wait => panic!("{wait:?} instead of a heartbeat"),
            }
        }
    }
}

#[test]
fn our_master_sends_javas_slave_what_javas_sent() {
    for (version, file) in RECORDINGS {
        let events = read(file);
        for connection in connections(&events) {
            let master_settings = MasterSettings {
                file_len: FILE_LEN,
                batch_len: BATCH_LEN,
                new_slave: NewSlave::NewestFile,
                ..MasterSettings::default()
            };
            let stream = of_master(&connection);
            let transfers = transfers(&stream);
            let min = 0;
            let mut now_ms = 0;
            let mut master = Master::new(master_settings, now_ms);
            let mut javas = transfers.iter();
            let (mut javas_len, mut ours_len) = (0, 0);
            for event in &connection {
                match event {
                    Event::Slave(_, bytes) => {
                        // The log at that time; only the first report makes a difference.
                        let end = javas.as_slice().first().map_or(i64::MAX, |(next, _)| next.offset);
                        let log = Extent { min, end };
                        master.receive(bytes, log, now_ms).expect("Java's is right");
                        let standing = master.standing();
                        assert_eq!(
                            standing.claim,
                            bytes.last_chunk().map(|last| i64::from_be_bytes(*last))
                        );
                    }
                    Event::Master(_, bytes) => {
                        javas_len += bytes.len();
                        while ours_len < javas_len
                            && let Some((header, body)) = javas.next()
                        {
                            let mut ours = sends(&mut master, *header, min, &mut now_ms);
                            // Ours begins with a heartbeat; Java's only where it has waited for 5 s.
                            if ours_len == 0 && ours.len == 0 && header.size > 0 {
                                assert_eq!(Header::decode(ours.header).offset, header.offset);
                                master.hand_over(HEADER_LEN);
                                ours = sends(&mut master, *header, min, &mut now_ms);
                            }
                            assert_eq!(Header::decode(ours.header), *header, "Java {version}");
                            assert_eq!((ours.from, ours.len), (header.offset, body.len()));
                            master.hand_over(HEADER_LEN + ours.len);
                            ours_len += HEADER_LEN + ours.len;
                        }
                    }
                    _ => unreachable!("only bytes are in a connection"),
                }
            }
            assert!(javas.next().is_none(), "all was sent");
            let last = of_slave(&connection).last().copied();
            assert_eq!(master.standing().acknowledged, last, "Java {version}");
            assert!(last > Some(begin_of(&events)));
        }
    }
}

fn begin_of(events: &[Event]) -> i64 {
    log_of(events).0
}

#[test]
fn a_recording_has_what_it_is_for() {
    for (version, file) in RECORDINGS {
        let events = read(file);
        let connections = connections(&events);
        assert_eq!(connections.len(), 2, "Java {version}");
        let (begin, log) = log_of(&events);
        assert!(begin > 0, "the newest file only");
        assert!(log.len() as i64 > 3 * FILE_LEN, "over file ends");
        let stream = of_master(&connections[0]);
        let transfers = transfers(&stream);
        assert!(transfers.iter().any(|(_, body)| body.len() == BATCH_LEN));
        assert!(
            transfers.iter().filter(|(header, _)| header.size == 0).count() >= 2,
            "heartbeats"
        );
        assert_eq!(of_slave(&connections[0])[0], 0, "a slave without a log");
        assert!(of_slave(&connections[1])[0] > begin, "a slave with one");
    }
}

/// Answers a comparison of `own`, whose records begin at `records`, with what the recorded master gave.
fn compare(events: &[Event], own: &[u8], begin: i64, records: &[i64]) -> Outcome {
    let of_log = |kind: fn(&Event) -> Option<i64>| events.iter().find_map(kind).expect("recorded");
    let master = Extent {
        min: of_log(|event| match event {
            Event::Min(min) => Some(*min),
            _ => None,
        }),
        end: of_log(|event| match event {
            Event::End(end) => Some(*end),
            _ => None,
        }),
    };
    let extent = Extent {
        min: begin,
        end: begin + own.len() as i64,
    };
    let mut files = records.to_vec();
    files.dedup_by_key(|at| *at / FILE_LEN);
    let mut comparison = Comparison::new(extent, files, master);
    loop {
        match comparison.question() {
            Question::LastRecord => comparison.answer_last_record(records.last().copied()),
            Question::Records { from, to, at_most } => {
                let all = records.iter().copied().filter(|at| (from..to).contains(at));
                let all: Vec<i64> = all.collect();
                assert!(all.len() <= at_most);
                comparison.answer_records(all);
            }
            Question::Compare { offset } => {
                let masters = events.iter().find_map(|event| match event {
                    Event::View(at, bytes) if *at == offset => Some(bytes.as_deref()),
                    _ => None,
                });
                let at = (offset - begin) as usize;
                let len = u32::from_be_bytes(own[at..at + 4].try_into().expect("4 bytes"));
                comparison.answer_compare(
                    &own[at..at + len as usize],
                    masters.expect("asked while recording"),
                );
            }
            Question::None(outcome) => return outcome,
        }
    }
}

#[test]
fn a_comparison_with_javas_master_finds_the_first_change() {
    for (version, file) in RECORDINGS {
        let events = read(file);
        let (begin, log) = log_of(&events);
        // Where records begin, without the blank tails of files.
        let mut records = Vec::new();
        let mut at = 0;
        while let Some(head) = log[at..].first_chunk::<8>() {
            let [a, b, c, d, magic @ ..] = *head;
            if magic != [0xCB, 0xD4, 0x31, 0x94] {
                records.push(begin + at as i64);
            }
            at += u32::from_be_bytes([a, b, c, d]) as usize;
        }
        let end = begin + log.len() as i64;
        assert_eq!(
            compare(&events, &log, begin, &records),
            Outcome::Keep { until: end }
        );
        for changed in 1..records.len() {
            let mut other = log.clone();
            for record in &records[changed..] {
                other[(record - begin) as usize + 60] ^= 1;
            }
            let outcome = compare(&events, &other, begin, &records);
            let Outcome::Keep { until } = outcome else {
                panic!("Java {version}: {outcome:?}");
            };
            // Up to a blank tail at most.
            let last = records[changed - 1];
            let head = &log[(last - begin) as usize..];
            let len = u32::from_be_bytes(head[..4].try_into().expect("4 bytes"));
            assert_eq!(until, last + i64::from(len), "Java {version}, record {changed}");
        }
    }
}

#[test]
fn javas_masters_give_bytes_for_records_alone() {
    for (version, file) in RECORDINGS {
        let events = read(file);
        let (begin, log) = log_of(&events);
        let mut given = (0, 0);
        for event in &events {
            match event {
                Event::View(offset, Some(bytes)) => {
                    let at = (offset - begin) as usize;
                    assert_eq!(bytes[..], log[at..at + bytes.len()], "Java {version} at {offset}");
                    given.0 += 1;
                }
                Event::View(..) => given.1 += 1,
                _ => {}
            }
        }
        assert!(given.0 > 100 && given.1 == 6, "Java {version}: {given:?}");
    }
}
