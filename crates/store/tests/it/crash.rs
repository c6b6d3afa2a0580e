//! Random lives of a store against a model: append, flush, roll, reput, checkpoint, kill, pull the plug, reopen.
//!
//! `SEED=17 cargo test -p store crash -- --nocapture` replays one seed with what it does printed;
//! `SEEDS=20000` runs more than the usual number.

use crate::harness::*;
use disk::{Disk, Injection, Operation, SimDisk, SimRandom};
use filter::TagFilter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use store::{DeleteTopicError, FlushType, NewRecord, Store, StoreSettings};

/// Lives per run; each takes about a millisecond or two.
const SEEDS: u64 = 2000;
const TOPICS: [&str; 3] = ["A", "B", "%RETRY%group"];
/// Light message queues that a message may be in, too.
const LIGHT: [&[&str]; 4] = [&[], &["%LMQ%x"], &["%LMQ%y"], &["%LMQ%x", "%LMQ%y"]];

/// One message as the model knows it.
struct Sent {
    body: Vec<u8>,
    end: i64,
    tag: &'static str,
    /// A power cut tore it, and something sound stands behind it.
    lost: bool,
}

const TAGS: [&str; 3] = ["t0", "t1", "t2"];

struct Life {
    seed: u64,
    random: SimRandom,
    loud: bool,
    settings: StoreSettings,
    disk: SimDisk,
    store: Option<Store<SimDisk>>,
    /// What each queue must hold, by offset.
    model: BTreeMap<(&'static str, i32), Vec<Sent>>,
    /// Queue ends that a consumer has seen.
    seen: BTreeMap<(&'static str, i32), i64>,
    /// Everything below was acknowledged as durable.
    acknowledged: i64,
    serial: u64,
    /// Queues of a topic; with many of them they are flushed all at once.
    queues: u64,
    /// Queues that the last power cut may have torn messages of.
    torn: BTreeSet<(&'static str, i32)>,
    /// A device failure was planned: errors are expected from now on until the next open.
    broken: bool,
    /// Something fails that is no lost data.
    troubled: bool,
    /// There is little space.
    full: bool,
}

/// What the system says; the numbers of Linux.
mod libc_like {
    pub(super) const EIO: i32 = 5;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EACCES: i32 = 13;
}

impl Life {
    fn new(seed: u64, loud: bool) -> Life {
        let mut random = SimRandom::new(seed);
        let flush_type = if random.one_in(3) {
            FlushType::Async
        } else {
            FlushType::Sync
        };
        let settings = StoreSettings {
            // Small enough to roll often, large enough for the longest record.
            commitlog_file_size: [8192, 12288, 16384][random.below(3) as usize],
            consumequeue_file_size: [100, 320, 4000][random.below(3) as usize],
            max_message_size: 3000,
            ext: random.one_in(2),
            ext_file_size: [64, 200, 4000][random.below(3) as usize],
            multi_dispatch: random.one_in(3),
            lmq: true,
            ..small(flush_type)
        };
        let queues = if random.one_in(6) { 60 } else { 2 };
        let disk = SimDisk::new();
        disk.set_now(NOW);
        disk.set_torn_renames(random.one_in(2));
        let (store, _) = open(&disk, &settings);
        Life {
            seed,
            random,
            loud,
            settings,
            disk,
            store: Some(store),
            model: BTreeMap::new(),
            seen: BTreeMap::new(),
            acknowledged: 0,
            serial: 0,
            queues,
            torn: BTreeSet::new(),
            broken: false,
            troubled: false,
            full: false,
        }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.loud {
            println!("{:>4} {}", self.serial, text());
        }
    }

    fn store(&self) -> &Store<SimDisk> {
        self.store.as_ref().expect("open between steps")
    }

    fn step(&mut self) {
        self.serial += 1;
        match self.random.below(100) {
            0..45 => self.append(),
            45..65 => self.flush(),
            65..75 => self.reput(),
            75..80 => self.checkpoint(),
            80..83 => {
                self.say(|| "index".into());
                let result = self.store().build_index();
                assert!(result.is_ok() || self.broken);
            }
            83..85 => self.store().prepare_ahead(NOW, &mut || {}),
            85..87 => self.trouble(),
            87..88 => self.delete_nothing(),
            88..89 => {
                let nth = 1 + self.random.below(12);
                self.say(|| format!("operation {nth} from now fails"));
                self.disk.fail_nth(nth);
                self.broken = true;
            }
            89..91 => {
                let free = self.random.below(20_000);
                self.say(|| format!("{free} bytes left on the disk"));
                self.disk.set_free(Some(free));
                self.full = true;
            }
            91..92 => {
                self.disk.set_free(None);
                self.full = false;
                self.disk.set_descriptors(true);
                self.disk.clear_injections();
                self.troubled = false;
            }
            92..94 => self.check(),
            94..96 => self.stop(),
            96..98 => self.kill(),
            _ => self.crash(),
        }
        self.look();
    }

    /// Something fails for a while that is no lost data: whatever needs it is refused or waits, and works again afterwards.
    fn trouble(&mut self) {
        self.troubled = true;
        let injection = |operations: &[Operation], below: &str, errno| Injection {
            operations: operations.to_vec(),
            below: below.into(),
            errno,
        };
        let (what, injection) = match self.random.below(5) {
            0 => {
                self.say(|| "no descriptors".into());
                return self.disk.set_descriptors(false);
            }
            1 => (
                "no memory to map",
                injection(
                    &[Operation::Reserve, Operation::Create],
                    "/store",
                    libc_like::ENOMEM,
                ),
            ),
            2 => (
                "files can not be made",
                injection(
                    &[Operation::Create, Operation::CreateDirectory],
                    "/store",
                    libc_like::EACCES,
                ),
            ),
            3 => (
                "reads fail",
                injection(&[Operation::Read], "/store", libc_like::EIO),
            ),
            _ => (
                "names can not be removed",
                injection(
                    &[Operation::Remove, Operation::Rename],
                    "/store",
                    libc_like::EACCES,
                ),
            ),
        };
        self.say(|| what.into());
        self.disk.inject(injection);
    }

    /// Deletes a topic that nobody sends to: only what deleting leaves behind is of interest here.
    fn delete_nothing(&mut self) {
        self.say(|| "delete a topic".into());
        match self.store().delete_topic("other") {
            // It needs a small file, which may not be had now.
            Ok(()) | Err(DeleteTopicError::NotNoted(_)) => {}
            Err(DeleteTopicError::Latched(latched)) => assert!(self.broken, "{latched}"),
        }
        let more = self.store().remove_deleted();
        assert!(more.is_ok() || self.broken);
    }

    fn append(&mut self) {
        let mut bodies = Vec::new();
        let count = 1 + self.random.below(if self.queues > 2 { 12 } else { 4 }) as usize;
        let batch = self.random.one_in(4);
        let queues = self.queues;
        let target = |random: &mut SimRandom| (TOPICS[random.below(3) as usize], random.below(queues) as i32);
        let first = target(&mut self.random);
        for index in 0..count {
            let place = if batch { first } else { target(&mut self.random) };
            // Equal lengths are what brings leftovers of a cut log into step with new records.
            let len = if self.random.one_in(3) {
                self.random.below(2500) as usize
            } else {
                400
            };
            let mut body = format!("{}-{}-{index}-", self.seed, self.serial).into_bytes();
            body.resize(body.len().max(len), self.random.next_u64() as u8);
            let prepared = !batch && self.random.one_in(12);
            let tag = TAGS[self.random.below(3) as usize];
            // Only messages of topics that are not the system's own are there, too.
            let light = match self.settings.multi_dispatch && place.0.len() == 1 && !prepared {
                true => LIGHT[self.random.below(4) as usize],
                false => LIGHT[0],
            };
            let mut properties = format!("KEYS\x01k\x02TAGS\x01{tag}\x02");
            if !light.is_empty() {
                properties += &format!("INNER_MULTI_DISPATCH\x01{}\x02", light.join(","));
            }
            bodies.push((place, body, prepared, tag, light, properties));
        }
        let records: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(
                |(index, ((topic, queue), body, prepared, .., properties))| NewRecord {
                    joined: batch && index > 0,
                    sys_flag: if *prepared { 4 } else { 0 },
                    ..record(topic, *queue, body, properties.as_bytes())
                },
            )
            .collect();
        let results = try_send(self.store(), &records, NOW + self.serial as i64);
        self.say(|| format!("append {count} batch {batch}: {results:?}"));
        let failed = results.iter().filter(|result| result.is_err()).count();
        assert!(!batch || failed == 0 || failed == count, "half a batch");
        for ((place, body, prepared, tag, light, _), result) in bodies.into_iter().zip(results) {
            let Ok(appended) = result else { continue };
            if prepared {
                continue;
            }
            let queue = self.model.entry(place).or_default();
            if self.torn.remove(&place) {
                // The places of torn messages are not given out again.
                let places = queue.len() as i64..appended.queue_offset.0;
                queue.extend(places.map(|_| Sent {
                    body: Vec::new(),
                    end: 0,
                    tag,
                    lost: true,
                }));
            }
            assert_eq!(appended.queue_offset.0, queue.len() as i64, "{place:?}");
            for place in light.iter().map(|name| (*name, 0)).chain([place]) {
                self.model.entry(place).or_default().push(Sent {
                    body: body.clone(),
                    end: appended.end.0,
                    tag,
                    lost: false,
                });
            }
        }
    }

    fn flush(&mut self) {
        let result = self.store().flush(0);
        self.say(|| format!("flush: {result:?}"));
        match result {
            Ok(flushed) => self.acknowledged = self.acknowledged.max(flushed.0),
            Err(_) => assert!(self.broken),
        }
    }

    fn reput(&mut self) {
        let result = self.store().reput(&mut |_| {});
        self.say(|| format!("reput: {result:?} to {}", self.store().reput_end()));
        assert!(result.is_ok() || self.broken);
    }

    fn checkpoint(&mut self) {
        let save = self.random.one_in(2);
        let result = self.store().flush_consumequeues(0, save);
        self.say(|| format!("flush queues, checkpoint {save}: {result:?}"));
        assert!(result.is_ok() || self.broken);
    }

    /// Notes what a consumer can see; it must be right, and stay.
    fn look(&mut self) {
        for (&(topic, queue), sent) in &self.model {
            let end = self.store().queue_max_offset(topic, queue).0;
            assert!(end <= sent.len() as i64, "{topic} {queue} has more than was sent");
            let seen = self.seen.entry((topic, queue)).or_default();
            *seen = end.max(*seen);
        }
    }

    /// Compares every message.
    fn check(&mut self) {
        if self.broken || self.troubled {
            return;
        }
        for (&(topic, queue), sent) in &self.model {
            let max = self.store().queue_max_offset(topic, queue).0;
            assert!(max <= sent.len() as i64, "{topic} {queue}");
            let messages = drain_places(self.store(), topic, queue);
            let expected = (0..max).zip(sent).filter(|(_, sent)| !sent.lost);
            let expected = expected.map(|(offset, sent)| (offset, &sent.body));
            assert!(
                messages.iter().map(|(offset, body)| (*offset, body)).eq(expected),
                "{topic} {queue} has other messages"
            );
            self.check_tags(topic, queue, &sent[..max as usize]);
        }
    }

    /// Compares what a filter for a tag finds.
    fn check_tags(&self, topic: &str, queue: i32, sent: &[Sent]) {
        let tag = TAGS[self.serial as usize % 3];
        let filter = TagFilter::parse(tag).unwrap();
        let mut found = Vec::new();
        let mut offset = 0;
        while offset < sent.len() as i64 {
            let (result, slices) = read_with(self.store(), topic, queue, offset, ALL, &filter);
            found.extend(records(&slices).iter().map(|view| view.body().to_vec()));
            assert!(result.next_begin_offset.0 > offset, "{topic} {queue}: {result:?}");
            offset = result.next_begin_offset.0;
        }
        let tagged = sent.iter().filter(|sent| sent.tag == tag && !sent.lost);
        assert!(
            found.iter().eq(tagged.map(|sent| &sent.body)),
            "{topic} {queue}: messages with {tag}"
        );
    }

    fn stop(&mut self) {
        let result = self.store().shutdown();
        self.say(|| format!("shut down: {result:?}"));
        assert!(result.is_ok() || self.broken);
        self.store = None;
        if result.is_ok() {
            let disk = self.disk.kill();
            let lost_nothing = self
                .model
                .values()
                .flatten()
                .map(|sent| sent.end)
                .max()
                .unwrap_or(0);
            self.acknowledged = self.acknowledged.max(lost_nothing);
            self.lose_queue_files(&disk);
            self.reopen(disk);
        } else {
            let disk = self.disk.crash(self.random.next_u64());
            self.reopen(disk);
        }
    }

    fn kill(&mut self) {
        self.say(|| "kill".into());
        self.store = None;
        // Nothing is lost but what the process had not written: all that was appended is in the page cache.
        if !self.broken {
            self.acknowledged = self
                .model
                .values()
                .flatten()
                .map(|sent| sent.end)
                .max()
                .unwrap_or(0);
        }
        let disk = self.disk.kill();
        self.lose_queue_files(&disk);
        self.reopen(disk);
    }

    /// Somebody removes a queue's file, or all of its files, while nobody looks. The checkpoint says what was there, unless it
    /// could not be written whole.
    fn lose_queue_files(&mut self, disk: &SimDisk) {
        if self.broken || self.troubled || self.full || !self.random.one_in(3) {
            return;
        }
        let mut paths = disk.paths();
        paths.retain(|path| path.starts_with("/store/consumequeue"));
        if paths.is_empty() {
            return;
        }
        let lost = paths[self.random.below(paths.len() as u64) as usize].clone();
        // The file, its queue, its topic.
        let above = self.random.below(3) as usize;
        let lost = lost.ancestors().nth(above).expect("a queue has a topic");
        self.say(|| format!("{} is lost", lost.display()));
        for path in paths.iter().filter(|path| path.starts_with(lost)) {
            disk.take(path);
        }
        if above > 0 {
            disk.remove_dir_all(lost).unwrap();
        }
    }

    fn crash(&mut self) {
        self.store = None;
        let seed = self.random.next_u64();
        self.say(|| format!("power cut {seed}, acknowledged {}", self.acknowledged));
        let disk = self.disk.crash(seed);
        self.reopen(disk);
    }

    fn reopen(&mut self, disk: SimDisk) {
        self.disk = disk;
        // Extensions may come and go.
        if self.random.one_in(8) {
            self.settings.ext = !self.settings.ext;
        }
        let mut cut = 0;
        // A crash during recovery, and again, must do no harm.
        while self.random.one_in(4) {
            self.disk.fail_nth(1 + self.random.below(60));
            drop(open_backwards(&self.disk, &self.settings));
            self.disk = self.disk.crash(self.random.next_u64());
            cut += 1;
        }
        let opened = match self.random.one_in(2) {
            true => open_backwards(&self.disk, &self.settings).unwrap(),
            false => open(&self.disk, &self.settings),
        };
        let (store, report) = opened;
        self.say(|| format!("reopened after {cut} failed tries: {report:?}"));
        self.broken = false;
        self.troubled = false;
        self.full = false;
        let end = store.max_physical().0;
        assert!(
            end >= self.acknowledged,
            "acknowledged up to {}, but the log ends at {end}",
            self.acknowledged
        );
        for (&(topic, queue), sent) in &mut self.model {
            let max = store.queue_max_offset(topic, queue).0;
            let acknowledged = sent
                .iter()
                .rposition(|sent| !sent.lost && sent.end <= self.acknowledged);
            let acknowledged = acknowledged.map_or(0, |last| last + 1);
            assert!(
                max >= acknowledged as i64,
                "{topic} {queue} ends at {max}, {acknowledged} were acknowledged"
            );
            assert!(max <= sent.len() as i64, "{topic} {queue} has more than was sent");
            if self.settings.flush_type == FlushType::Sync {
                let seen = self.seen.get(&(topic, queue)).copied().unwrap_or(0);
                assert!(
                    max >= seen,
                    "{topic} {queue} ends at {max}, but a consumer had seen {seen}"
                );
            }
            sent.truncate(max as usize);
            let there: BTreeSet<i64> = drain_places(&store, topic, queue)
                .into_iter()
                .map(|(offset, _)| offset)
                .collect();
            for (offset, sent) in sent.iter_mut().enumerate() {
                let is_lost = !there.contains(&(offset as i64));
                assert!(
                    !is_lost || sent.lost || sent.end > self.acknowledged,
                    "{topic} {queue}: {offset}, which ends at {}, was acknowledged up to {}; of {max} there are {there:?}",
                    sent.end,
                    self.acknowledged
                );
                sent.lost |= is_lost;
            }
        }
        self.torn = self.model.keys().copied().collect();
        self.seen.clear();
        self.acknowledged = end;
        self.store = Some(store);
        self.check();
    }
}

fn live(seed: u64, loud: bool) {
    let mut life = Life::new(seed, loud);
    let steps = 20 + life.random.below(120);
    for _ in 0..steps {
        life.step();
    }
    life.disk.set_free(None);
    life.disk.set_descriptors(true);
    life.disk.clear_injections();
    life.troubled = false;
    if !life.broken {
        assert_eq!(life.store().latched(), None);
        life.flush();
        life.reput();
        life.check();
        for (&(topic, queue), sent) in &life.model {
            assert_eq!(
                life.store().queue_max_offset(topic, queue).0,
                sent.len() as i64,
                "all is readable at the end"
            );
        }
        life.store().build_index().unwrap();
        for topic in TOPICS {
            let indexed = life.store().query_by_key(topic, "k", 64, 0, i64::MAX).unwrap();
            let sent: usize = (0..2)
                .filter_map(|queue| life.model.get(&(topic, queue)))
                .flatten()
                .filter(|sent| !sent.lost)
                .count();
            assert!(
                indexed.len() >= sent.min(64),
                "{topic}: {} of {sent} in the index",
                indexed.len()
            );
        }
    }
    life.crash();
}

#[test]
fn nothing_acknowledged_is_lost() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    if let Some(seed) = number("SEED") {
        return live(seed, true);
    }
    let (seeds, next) = (number("SEEDS").unwrap_or(SEEDS), AtomicU64::new(0));
    let some = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            if let Err(panic) = std::panic::catch_unwind(|| live(seed, false)) {
                eprintln!("replay with: SEED={seed} cargo test -p store nothing_acknowledged -- --nocapture");
                next.store(seeds, Ordering::Relaxed);
                std::panic::resume_unwind(panic);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(some))));
}

#[test]
fn the_same_seed_lives_the_same_life() {
    let end = |seed| {
        let mut life = Life::new(seed, false);
        (0..60).for_each(|_| life.step());
        (
            life.disk.operations(),
            life.store().max_physical(),
            life.store().reput_end(),
            life.acknowledged,
        )
    };
    for seed in 0..20 {
        assert_eq!(end(seed), end(seed));
    }
}
