//! What slaves have of a master's tables, by their own word.
//!
//! A slave of ours asks for the master's runtime information, says with that which change of each table it has, and may have the
//! request held until topics or groups change. So a change is on its way at once, and a broker whose SUCCESS means that a slave has
//! the message knows when it has the topic as well ([`crate::tables::Saver`]): whoever takes over must be able to serve it. At a stop
//! the slaves get the rest.
//!
//! Java's slaves say nothing and ask each ten seconds: nobody waits for them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use protocol::header::broker::RuntimeInfoRequestHeader;
use remoting::Request;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lost::OldTable;
use crate::access::UserTable;
use crate::delay::DelayOffsets;
use crate::tables::{Change, ConfigFile, Tables};

/// The longest time that a request is held.
const HELD_MAX: Duration = Duration::from_secs(5);
/// Requests that are held at once: each slave has one.
const REQUESTS_MAX: usize = 64;
/// Longest of them. A slave's says four numbers.
const REQUEST_MAX_BYTES: usize = 4096;

/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 1024;

/// A change is not waited for with a slave that has said nothing for so long: it is frozen, or cut off.
const HEARD_FOR: Duration = Duration::from_secs(5);

/// Numbers of the last changes of topics, groups, offsets, and what is delivered of delayed messages.
type Numbers = [i64; 4];

/// What slaves have of the tables.
pub struct TableCopies {
    tables: Tables,
    delays: Arc<DelayOffsets>,
    users: Option<Arc<UserTable>>,
    /// When the broker was started, ms since 1970: numbers begin anew then.
    started: i64,
    slaves: Mutex<HashMap<IpAddr, Place>>,
    /// Where slaves have asked that say what they have: Java's never do.
    told_by: Mutex<HashSet<IpAddr>>,
    held: Mutex<Vec<HeldLook>>,
    /// A request is held.
    holds: Notify,
    /// A slave has said what it has, or is gone.
    said: Notify,
    /// Nothing is held any more.
    stops: AtomicBool,
    /// A slave has given back what was lost of the tables, or had nothing to give.
    is_whole: AtomicBool,
}

/// The slaves of one address.
struct Place {
    /// By brokerId.
    said: BTreeMap<i64, Said>,
    /// How many copy the log.
    connections: usize,
    /// When the last of them connected.
    since: Instant,
}

/// What a slave has said.
struct Said {
    has: Numbers,
    heard: Instant,
}

impl Place {
    fn new() -> Self {
        Self {
            said: BTreeMap::new(),
            connections: 0,
            since: Instant::now(),
        }
    }

    fn connected(&mut self, connections: usize) {
        if connections > self.connections {
            self.since = Instant::now();
        }
        self.connections = connections;
    }

    fn note(&mut self, id: i64, has: Numbers) {
        let heard = Instant::now();
        self.said.insert(id, Said { has, heard });
        while self.said.len() > self.connections.max(1) {
            let oldest = self.said.iter().min_by_key(|(_, said)| said.heard);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                return;
            };
            self.said.remove(&oldest);
        }
    }

    /// What each slave has that is heard; nothing where one has connected and not said yet.
    fn heard(&self) -> impl Iterator<Item = Numbers> {
        let heard = self.said.values().filter(|said| said.heard.elapsed() < HEARD_FOR);
        let silent = match self.since.elapsed() < HEARD_FOR {
            true => self.connections.saturating_sub(self.said.len()),
            false => 0,
        };
        heard
            .map(|said| said.has)
            .chain(std::iter::repeat_n(Numbers::default(), silent))
    }
}

/// A request that waits for a change.
struct HeldLook {
    request: Request,
    until: Instant,
}

/// The change of a table as slaves are told it and say it themselves.
pub fn text(change: Change, started: i64) -> String {
    format!("{} {started}", change.number())
}

impl TableCopies {
    /// No slave has anything.
    pub fn new(
        tables: Tables,
        delays: Arc<DelayOffsets>,
        users: Option<Arc<UserTable>>,
        started: i64,
    ) -> Self {
        Self {
            tables,
            delays,
            users,
            started,
            slaves: Mutex::default(),
            told_by: Mutex::default(),
            held: Mutex::default(),
            holds: Notify::new(),
            said: Notify::new(),
            stops: AtomicBool::new(false),
            is_whole: AtomicBool::new(false),
        }
    }

    /// Names of the tables whose files were missing at the start, and of delayed messages where their backup lacks the last, until a slave has given back what it has of them.
    pub fn lost(&self) -> Option<String> {
        if self.is_whole.load(Ordering::Acquire) {
            return None;
        }
        let Tables {
            topics,
            groups,
            offsets,
        } = &self.tables;
        let users = self.users.as_ref().map(|users| (super::USERS, users.saver()));
        let tables = [
            (super::TOPICS, topics.saver()),
            (super::GROUPS, groups.saver()),
            (super::OFFSETS, offsets.saver()),
        ];
        let tables = tables.into_iter().chain(users);
        let lost = tables.filter(|(_, saver)| saver.was_missing());
        let lost = lost.map(|(name, _)| name);
        let delays = self.delays.is_lost().then_some(super::DELAYS);
        let lost: Vec<&str> = lost.chain(delays).collect();
        (!lost.is_empty()).then(|| lost.join(" "))
    }

    /// Tables that are their backups, which lack the last changes, each with the version of that where it has one: `change_topics:7:1700000000000`.
    /// Until a slave has given back what it has of them.
    pub fn old(&self) -> Option<String> {
        if self.is_whole.load(Ordering::Acquire) {
            return None;
        }
        let Tables {
            topics,
            groups,
            offsets,
        } = &self.tables;
        let versions = [
            (super::TOPICS, topics.backup()),
            (super::GROUPS, groups.backup()),
            (super::USERS, self.users.as_ref().and_then(|users| users.backup())),
        ];
        let versions = versions.into_iter();
        let versions = versions.filter_map(|(name, version)| {
            Some(OldTable {
                name,
                version: Some(version?),
            })
        });
        let offsets = offsets.saver().was_backup().then_some(OldTable {
            name: super::OFFSETS,
            version: None,
        });
        let old: Vec<String> = versions.chain(offsets).map(|old| old.to_string()).collect();
        (!old.is_empty()).then(|| old.join(" "))
    }

    fn latest(&self) -> Numbers {
        let Tables {
            topics,
            groups,
            offsets,
        } = &self.tables;
        let delays = self.delays.latest();
        [
            topics.saver().latest(),
            groups.saver().latest(),
            offsets.saver().latest(),
            delays,
        ]
        .map(Change::number)
    }

    /// What a slave says that it has; 0 where it says nothing, or speaks of a time before this broker's start.
    fn numbers(&self, header: &RuntimeInfoRequestHeader<'_>) -> Numbers {
        let number = |text: &Option<std::borrow::Cow<'_, str>>| {
            let mut words = text.as_deref()?.split(' ').map(str::parse::<i64>);
            let (Some(Ok(number)), Some(Ok(started))) = (words.next(), words.next()) else {
                return None;
            };
            (started == self.started).then_some(number)
        };
        let RuntimeInfoRequestHeader {
            has_topics,
            has_groups,
            has_offsets,
            has_delays,
            ..
        } = header;
        [has_topics, has_groups, has_offsets, has_delays].map(|text| number(text).unwrap_or(0))
    }

    /// A slave at this address, which need not be connected yet, says what it has. Slaves do so before they connect.
    pub fn asks(&self, slave: IpAddr) {
        // One after the other, as everywhere here.
        let is_full = self.told_by.lock().len() >= ADDRESSES_MAX;
        let connected: Vec<IpAddr> = match is_full {
            true => self.slaves.lock().keys().copied().collect(),
            false => Vec::new(),
        };
        let mut told_by = self.told_by.lock();
        if is_full {
            // Whoever else asks as a slave does must not keep a real one out.
            told_by.retain(|address| connected.contains(address));
        }
        told_by.insert(slave);
    }

    /// A slave at this address is connected, the last of so many, and its next report counts. If it is one that says what it has, it has
    /// nothing before it does, and its look is answered at once so that the next one says it. `waits`: SUCCESS means that a slave has it.
    pub fn connected(&self, slave: IpAddr, connections: usize, waits: bool) {
        if !self.told_by.lock().contains(&slave) {
            return;
        }
        let mut slaves = self.slaves.lock();
        let place = slaves.entry(slave).or_insert_with(Place::new);
        place.connected(connections);
        drop(slaves);
        for saver in [self.tables.topics.saver(), self.tables.groups.saver()] {
            saver.wait_for_copies(waits);
        }
        for look in self.held.lock().iter_mut() {
            if look.request.responder.peer().address().ip().to_canonical() == slave {
                look.until = Instant::now();
            }
        }
        self.holds.notify_one();
    }

    /// A slave at this address, where so many are connected, says what it has. `waits`: SUCCESS means that a slave has it.
    ///
    /// A change is safe when every slave has it that is heard: whichever of them has the message may be the one that takes over.
    pub fn note(
        &self,
        slave: IpAddr,
        connections: usize,
        header: &RuntimeInfoRequestHeader<'_>,
        waits: bool,
    ) {
        let numbers = self.numbers(header);
        if header.given_back == Some(self.started) {
            self.is_whole.store(true, Ordering::Release);
            self.delays.settle_loss();
        }
        let mut slaves = self.slaves.lock();
        let place = slaves.entry(slave).or_insert_with(Place::new);
        // One that is about to report for the first time is among them already.
        place.connected(connections.max(place.connections));
        place.note(header.slave_id.unwrap_or(0), numbers);
        let all = slaves.values().flat_map(Place::heard);
        let least = all.reduce(|a, b| std::array::from_fn(|table| a[table].min(b[table])));
        drop(slaves);
        let [topics, groups, ..] = least.unwrap_or(numbers);
        for (saver, number) in [
            (self.tables.topics.saver(), topics),
            (self.tables.groups.saver(), groups),
        ] {
            saver.copied(number);
            saver.wait_for_copies(waits);
        }
        self.said.notify_waiters();
    }

    /// A slave at this address is gone, and so many are left there.
    pub fn left(&self, slave: IpAddr, connections: usize) {
        let is_last = {
            let mut slaves = self.slaves.lock();
            match slaves.get_mut(&slave) {
                Some(place) if connections > 0 => place.connected(connections),
                _ => {}
            }
            connections == 0 && slaves.remove(&slave).is_some() && slaves.is_empty()
        };
        if is_last {
            self.tables.topics.saver().wait_for_copies(false);
            self.tables.groups.saver().wait_for_copies(false);
        }
        self.said.notify_waiters();
    }

    /// Keeps a slave's request until topics or groups are others than it has, or its time is over. Gives back one that is to be
    /// answered now.
    pub fn hold(&self, mut request: Request, header: &RuntimeInfoRequestHeader<'_>) -> Option<Request> {
        let wait = Duration::from_millis(u64::try_from(header.wait_ms.unwrap_or(0)).unwrap_or(0));
        let is_long = request.frame.len_bytes() > REQUEST_MAX_BYTES;
        if wait.is_zero() || is_long || self.has_news(&self.numbers(header)) {
            return Some(request);
        }
        let mut held = self.held.lock();
        if held.len() >= REQUESTS_MAX || self.stops.load(Ordering::Acquire) {
            return Some(request);
        }
        let until = Instant::now() + wait.min(HELD_MAX);
        // What waits is not slow, and these have a bound of their own.
        request.responder.release_weight();
        held.push(HeldLook { request, until });
        drop(held);
        self.holds.notify_one();
        None
    }

    fn has_news(&self, numbers: &Numbers) -> bool {
        let [topics, groups, ..] = self.latest();
        numbers[0] != topics || numbers[1] != groups
    }

    /// Waits until requests that were held are to be answered, and gives them.
    pub async fn due(&self) -> Vec<Request> {
        loop {
            // Before the look: a change in between is not missed.
            let topics = self.tables.topics.saver().touched();
            let groups = self.tables.groups.saver().touched();
            let (mut topics, mut groups) = (std::pin::pin!(topics), std::pin::pin!(groups));
            topics.as_mut().enable();
            groups.as_mut().enable();
            let (due, next) = self.take_due(Instant::now());
            if !due.is_empty() {
                return due;
            }
            let time = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = topics => {}
                () = groups => {}
                () = self.holds.notified() => {}
                () = time => {}
            }
        }
    }

    /// What is to be answered at `now`, and when the first of the others is.
    fn take_due(&self, now: Instant) -> (Vec<Request>, Option<Instant>) {
        let stops = self.stops.load(Ordering::Acquire);
        let mut held = self.held.lock();
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut *held).into_iter().partition(|look| {
            let header = look.request.frame.header::<RuntimeInfoRequestHeader<'_>>();
            let has_news = header.is_ok_and(|header| self.has_news(&self.numbers(&header)));
            stops || has_news || look.until <= now
        });
        *held = rest;
        let next = held.iter().map(|look| look.until).min();
        (due.into_iter().map(|look| look.request).collect(), next)
    }

    /// Waits until the slaves have what the tables are now, but no longer than `within`.
    pub async fn drain(&self, within: Duration) {
        self.stops.store(true, Ordering::Release);
        self.holds.notify_one();
        let goal = self.latest();
        let drained = async {
            loop {
                let mut said = std::pin::pin!(self.said.notified());
                said.as_mut().enable();
                if self.lacking(&goal).is_empty() {
                    return;
                }
                said.await;
            }
        };
        if tokio::time::timeout(within, drained).await.is_err() {
            for slave in self.lacking(&goal) {
                tracing::warn!(
                    "replication: slave {slave} lacks the last changes of topics, groups or offsets, and is waited for no longer"
                );
            }
        }
    }

    /// Does the broker stop, and wait for its slaves?
    pub fn is_draining(&self) -> bool {
        self.stops.load(Ordering::Acquire)
    }

    fn lacking(&self, goal: &Numbers) -> Vec<IpAddr> {
        let slaves = self.slaves.lock();
        let lacks = |has: &Numbers| has.iter().zip(goal).any(|(has, goal)| has < goal);
        let lacking = |place: &Place| {
            let silent = place.said.len() < place.connections;
            silent || place.said.values().any(|said| lacks(&said.has))
        };
        let lacking = slaves.iter().filter(|(_, place)| lacking(place));
        lacking.map(|(slave, _)| *slave).collect()
    }
}
