//! Policies of 5.x: which actions on which resources from where are allowed or denied.
//!
//! | resource | matches |
//! |---|---|
//! | `*` | everything |
//! | `Topic:*` | every topic |
//! | `Topic:pre*` | topics that begin so |
//! | `Topic:name` | that topic |
//!
//! Of the entries that match a request's resource, action and address the nearest decides: the name itself, then the longest
//! prefix, then all of the kind, then everything; of two as near the one that denies. (5.3.3 means that, but its order depends
//! on how entries are listed.)

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use message::name::RETRY_PREFIX;
use protocol::body::auth::PolicyEntryInfo;

/// Kinds of things that requests are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The broker's cluster: what concerns all of it.
    Cluster,
    /// A namespace; no request is about one.
    Namespace,
    /// A topic.
    Topic,
    /// A group of consumers.
    Group,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Cluster, Kind::Namespace, Kind::Topic, Kind::Group];

    /// Java's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Cluster => "Cluster",
            Kind::Namespace => "Namespace",
            Kind::Topic => "Topic",
            Kind::Group => "Group",
        }
    }

    /// From its name in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let named = |kind: &Kind| kind.name().eq_ignore_ascii_case(text);
        Kind::ALL.into_iter().find(named)
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its name; that of a group is bare.
    pub name: &'a str,
}

impl<'a> Target<'a> {
    /// A topic; a retry topic is its group.
    pub fn topic(name: &'a str) -> Self {
        match name.starts_with(RETRY_PREFIX) {
            true => Target::group(name),
            false => Target {
                kind: Kind::Topic,
                name,
            },
        }
    }

    /// A group, also by the name of its retry topic.
    pub fn group(name: &'a str) -> Self {
        Target {
            kind: Kind::Group,
            name: name.strip_prefix(RETRY_PREFIX).unwrap_or(name),
        }
    }

    /// A cluster.
    pub fn cluster(name: &'a str) -> Self {
        Target {
            kind: Kind::Cluster,
            name,
        }
    }

    /// From `Topic:NAME`, `Group:NAME`, `Cluster:NAME`. None where it names no single thing.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        let name = Some(name).filter(|name| !name.trim().is_empty() && !name.contains('*'))?;
        Some(match Kind::parse(kind)? {
            Kind::Topic => Target::topic(name),
            Kind::Group => Target::group(name),
            kind @ (Kind::Cluster | Kind::Namespace) => Target { kind, name },
        })
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.name)
    }
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(u16);

impl Actions {
    /// Send.
    pub const PUB: Actions = Actions(1);
    /// Consume.
    pub const SUB: Actions = Actions(1 << 1);
    /// Make.
    pub const CREATE: Actions = Actions(1 << 2);
    /// Change.
    pub const UPDATE: Actions = Actions(1 << 3);
    /// Delete.
    pub const DELETE: Actions = Actions(1 << 4);
    /// Read about it.
    pub const GET: Actions = Actions(1 << 5);
    /// List.
    pub const LIST: Actions = Actions(1 << 6);
    /// Everything.
    pub const ALL: Actions = Actions((1 << 7) - 1);

    const NAMES: [(Actions, &'static str); 7] = [
        (Actions::PUB, "Pub"),
        (Actions::SUB, "Sub"),
        (Actions::CREATE, "Create"),
        (Actions::UPDATE, "Update"),
        (Actions::DELETE, "Delete"),
        (Actions::GET, "Get"),
        (Actions::LIST, "List"),
    ];

    /// One or all, by the name in any case.
    pub fn parse(text: &str) -> Option<(Self, &'static str)> {
        let mut known = Self::NAMES.into_iter().chain([(Actions::ALL, "All")]);
        known.find(|(_, name)| name.eq_ignore_ascii_case(text))
    }

    /// Both.
    #[must_use]
    pub const fn or(self, other: Actions) -> Actions {
        Actions(self.0 | other.0)
    }

    /// Is one in both?
    pub fn meets(self, other: Actions) -> bool {
        self.0 & other.0 != 0
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Actions::ALL {
            return f.write_str("All");
        }
        let mut separator = "";
        for (action, name) in Actions::NAMES {
            if self.meets(action) {
                write!(f, "{separator}{name}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

/// The resource of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Scope {
    Everything,
    All(Kind),
    Prefix(Kind, String),
    Name(Kind, String),
}

impl Scope {
    /// From text; what does not match what it seems to say is none.
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Scope::Everything);
        }
        let (kind, name) = text.split_once(':')?;
        if kind.eq_ignore_ascii_case("Any") && name == "*" {
            return Some(Scope::Everything);
        }
        let kind = Kind::parse(kind)?;
        match name.split_once('*') {
            None if name.trim().is_empty() => None,
            None => Some(Scope::Name(kind, name.to_owned())),
            Some(("", "")) => Some(Scope::All(kind)),
            Some((prefix, "")) => Some(Scope::Prefix(kind, prefix.to_owned())),
            // Unlike Java, which cuts `Topic:a*b*` to `Topic:a*` and takes `Topic:a*b` for a name that nothing can have.
            Some(_) => None,
        }
    }

    /// How near it is: larger is nearer.
    fn nearness(&self) -> (u8, usize) {
        match self {
            Scope::Everything => (0, 0),
            Scope::All(_) => (1, 0),
            Scope::Prefix(_, prefix) => (2, prefix.len()),
            Scope::Name(..) => (3, 0),
        }
    }

    fn matches(&self, target: Target<'_>) -> bool {
        match self {
            Scope::Everything => true,
            Scope::All(kind) => *kind == target.kind,
            Scope::Prefix(kind, prefix) => {
                *kind == target.kind && target.name.starts_with(bare(*kind, prefix))
            }
            Scope::Name(kind, name) => *kind == target.kind && target.name == bare(*kind, name),
        }
    }
}

/// A group may be named by its retry topic.
fn bare(kind: Kind, name: &str) -> &str {
    match kind {
        Kind::Group => name.strip_prefix(RETRY_PREFIX).unwrap_or(name),
        Kind::Cluster | Kind::Namespace | Kind::Topic => name,
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Everything => f.write_str("*"),
            Scope::All(kind) => write!(f, "{}:*", kind.name()),
            Scope::Prefix(kind, prefix) => write!(f, "{}:{prefix}*", kind.name()),
            Scope::Name(kind, name) => write!(f, "{}:{name}", kind.name()),
        }
    }
}

/// Why an entry can not be: Java's texts, and what is wrong behind them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// Its resource is none.
    #[error("The resource is null.{0}")]
    Resource(String),
    /// It has no action.
    #[error("The actions is empty.")]
    NoAction,
    /// An action that only requests have.
    #[error("The actions can not be Any.")]
    AnyAction,
    /// An action that there is not; Java passes over it, and an entry that denies it would not.
    #[error("The actions is empty. There is no action {0}: Pub, Sub, Create, Update, Delete, Get, List, All")]
    UnknownAction(String),
    /// A source that is no address and no network.
    #[error("The source ip is invalid.")]
    Source,
    /// Neither Allow nor Deny.
    #[error("The decision is null or illegal.")]
    Decision,
}

/// One entry of a policy, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    scope: Scope,
    actions: Actions,
    /// The names in the order in which they were given.
    action_names: Vec<&'static str>,
    sources: Vec<IpNet>,
    source_texts: Vec<String>,
    allows: bool,
}

impl Entry {
    /// From what a tool or a file says.
    pub fn read(info: &PolicyEntryInfo) -> Result<Self, BadEntry> {
        let resource = info.resource.as_deref().unwrap_or_default();
        let scope = Scope::parse(resource).ok_or_else(|| BadEntry::Resource(resource_hint(resource)))?;
        let mut actions = Actions::default();
        let mut action_names = Vec::new();
        for text in &info.actions {
            let text = text.trim();
            if text.eq_ignore_ascii_case("Any") {
                return Err(BadEntry::AnyAction);
            }
            let (action, name) =
                Actions::parse(text).ok_or_else(|| BadEntry::UnknownAction(text.to_owned()))?;
            if !action_names.contains(&name) {
                action_names.push(name);
            }
            actions = actions.or(action);
        }
        if actions.is_empty() {
            return Err(BadEntry::NoAction);
        }
        let mut sources = Vec::with_capacity(info.source_ips.len());
        for text in &info.source_ips {
            sources.push(network(text.trim()).ok_or(BadEntry::Source)?);
        }
        let allows = match info.decision.as_deref() {
            Some(text) if text.eq_ignore_ascii_case("Allow") => true,
            Some(text) if text.eq_ignore_ascii_case("Deny") => false,
            _ => return Err(BadEntry::Decision),
        };
        Ok(Entry {
            scope,
            actions,
            action_names,
            sources,
            source_texts: info
                .source_ips
                .iter()
                .map(|text| text.trim().to_owned())
                .collect(),
            allows,
        })
    }

    /// As tools are told, and as it stands in the file.
    pub fn info(&self) -> PolicyEntryInfo {
        PolicyEntryInfo {
            actions: self.action_names.iter().map(|name| (*name).to_owned()).collect(),
            decision: Some(self.decision().to_owned()),
            resource: Some(self.scope.to_string()),
            source_ips: self.source_texts.clone(),
        }
    }

    /// Does it allow what it matches?
    pub fn allows(&self) -> bool {
        self.allows
    }

    fn decision(&self) -> &'static str {
        if self.allows { "Allow" } else { "Deny" }
    }

    /// Is it about this resource, as an entry names it?
    pub(crate) fn is_named(&self, resource: &str) -> bool {
        Scope::parse(resource).is_some_and(|scope| scope == self.scope)
    }

    /// Bytes that it keeps.
    pub(crate) fn weight(&self) -> usize {
        let resource = match &self.scope {
            Scope::Prefix(_, name) | Scope::Name(_, name) => 2 * name.len(),
            Scope::Everything | Scope::All(_) => 0,
        };
        let sources: usize = self.source_texts.iter().map(String::len).sum();
        size_of::<Entry>() + resource + sources + size_of::<IpNet>() * self.sources.len()
    }

    fn matches(&self, target: Target<'_>, wanted: Actions, from: IpAddr) -> bool {
        self.actions.meets(wanted)
            && (self.sources.is_empty() || self.sources.iter().any(|network| network.contains(&from)))
            && self.scope.matches(target)
    }
}

/// As the log and a refusal name it: `Topic:T1 Pub,Sub from 10.0.0.0/8 Deny`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.scope, self.actions)?;
        if !self.source_texts.is_empty() {
            write!(f, " from {}", self.source_texts.join(","))?;
        }
        write!(f, " {}", self.decision())
    }
}

/// Does a text name the resource of an entry?
pub(crate) fn is_resource(text: &str) -> bool {
    Scope::parse(text).is_some()
}

fn resource_hint(text: &str) -> String {
    match text {
        "" => String::new(),
        _ => format!(
            " `{}` is none: Topic:NAME, Group:NAME, Cluster:NAME, a prefix and `*` in place of NAME, or `*` alone",
            text.chars().take(64).collect::<String>()
        ),
    }
}

/// An address or a network, both kinds of IP.
fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address.to_canonical())),
        Err(_) => text.parse().ok(),
    }
}

/// The entries of one policy, in the order in which they are listed.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    entries: Vec<Entry>,
    /// Places of entries for one name.
    names: HashMap<String, Vec<usize>>,
    /// Places of all others, the nearest first.
    wide: Vec<usize>,
}

impl Policy {
    /// With these entries.
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        let mut wide = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            match &entry.scope {
                Scope::Name(kind, name) => names.entry(bare(*kind, name).to_owned()).or_default().push(at),
                Scope::Everything | Scope::All(_) | Scope::Prefix(..) => wide.push(at),
            }
        }
        let order = |at: &usize| {
            entries.get(*at).map(|entry| {
                let (step, len) = entry.scope.nearness();
                (std::cmp::Reverse((step, len)), entry.allows)
            })
        };
        wide.sort_by_key(order);
        for places in names.values_mut() {
            places.sort_by_key(order);
        }
        Self { entries, names, wide }
    }

    /// Its entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry that decides, if one matches.
    pub fn find(&self, target: Target<'_>, wanted: Actions, from: IpAddr) -> Option<&Entry> {
        let named = self.names.get(target.name).into_iter().flatten();
        named
            .chain(&self.wide)
            .filter_map(|at| self.entries.get(*at))
            .find(|entry| entry.matches(target, wanted, from))
    }

    /// What a request says of resources takes the place of what was said of them; everything else stays.
    #[must_use]
    pub fn merged(&self, new: Vec<Entry>) -> Self {
        let mut named: HashMap<Scope, Vec<Entry>> = HashMap::new();
        let mut order = Vec::new();
        for entry in new {
            let same = named.entry(entry.scope.clone()).or_default();
            if same.is_empty() {
                order.push(entry.scope.clone());
            }
            same.push(entry);
        }
        let mut entries = Vec::with_capacity(self.entries.len() + order.len());
        for old in &self.entries {
            match named.get_mut(&old.scope) {
                // Once: of several old ones the first gives the place.
                Some(same) => entries.append(same),
                None => entries.push(old.clone()),
            }
        }
        for scope in &order {
            entries.append(named.entry(scope.clone()).or_default());
        }
        Policy::new(entries)
    }

    /// Without what is said of this resource.
    #[must_use]
    pub fn without(&self, resource: &str) -> Self {
        let entries = self.entries.iter().filter(|entry| !entry.is_named(resource));
        Policy::new(entries.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn info(resource: &str, actions: &str, decision: &str, sources: &str) -> PolicyEntryInfo {
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect()
        };
        PolicyEntryInfo {
            actions: list(actions),
            decision: Some(decision.to_owned()),
            resource: Some(resource.to_owned()),
            source_ips: list(sources),
        }
    }

    fn policy(entries: &[(&str, &str, &str)]) -> Policy {
        let read = |(resource, actions, decision): &(&str, &str, &str)| {
            Entry::read(&info(resource, actions, decision, "")).expect(resource)
        };
        Policy::new(entries.iter().map(read).collect())
    }

    fn allowed(policy: &Policy, target: &str, wanted: Actions) -> Option<bool> {
        let target = Target::parse(target).expect(target);
        policy.find(target, wanted, HERE).map(Entry::allows)
    }

    /// Where 5.3.3 lets the order of the list decide: the nearest does, however they are listed.
    #[test]
    fn the_nearest_entry_decides() {
        for (entries, expected) in [
            (&[("Topic:T1", "Deny"), ("Topic:T*", "Allow")][..], false),
            (&[("Topic:T1", "Allow"), ("Topic:T*", "Deny")], true),
            (&[("Topic:T*", "Allow"), ("Topic:T1*", "Deny")], false),
            (&[("Topic:T*", "Deny"), ("Topic:T1*", "Allow")], true),
            (&[("*", "Deny"), ("Topic:T1", "Allow")], true),
            (&[("*", "Deny"), ("Topic:*", "Allow")], true),
            (&[("Topic:*", "Allow"), ("Topic:T1", "Deny")], false),
            (&[("Topic:*", "Deny"), ("Topic:T*", "Allow")], true),
            (&[("Any:*", "Allow"), ("*", "Deny")], false),
            (&[("Topic:T1", "Allow"), ("Topic:T1", "Deny")], false),
        ] {
            let mut listed: Vec<_> = entries
                .iter()
                .map(|(name, decision)| (*name, "Pub", *decision))
                .collect();
            for _ in 0..2 {
                assert_eq!(
                    allowed(&policy(&listed), "Topic:T1", Actions::PUB),
                    Some(expected),
                    "{listed:?}"
                );
                listed.reverse();
            }
        }
    }

    #[test]
    fn entries_match_by_resource_action_and_address() {
        let all = policy(&[
            ("Topic:T1", "Pub", "Allow"),
            ("topic:pre*", "ALL", "allow"),
            ("Group:%RETRY%g", "Sub", "Allow"),
            ("Group:T1", "Get", "Deny"),
        ]);
        for (target, wanted, expected) in [
            ("Topic:T1", Actions::PUB, Some(true)),
            ("Topic:T1", Actions::SUB, None),
            ("Topic:T1", Actions::SUB.or(Actions::PUB), Some(true)),
            ("Topic:T12", Actions::PUB, None),
            ("Topic:prefixed", Actions::DELETE, Some(true)),
            ("Topic:pre", Actions::LIST, Some(true)),
            ("Topic:%RETRY%g", Actions::SUB, Some(true)),
            ("Group:g", Actions::SUB, Some(true)),
            ("Group:T1", Actions::GET, Some(false)),
            ("Group:T1", Actions::PUB, None),
            ("Cluster:T1", Actions::PUB, None),
        ] {
            assert_eq!(allowed(&all, target, wanted), expected, "{target} {wanted}");
        }
        // An entry for another action is not in the way of one that is less near.
        let layered = policy(&[("Topic:T1", "Sub", "Deny"), ("*", "All", "Allow")]);
        assert_eq!(allowed(&layered, "Topic:T1", Actions::PUB), Some(true));
        assert_eq!(
            allowed(&layered, "Topic:T1", Actions::SUB.or(Actions::GET)),
            Some(false)
        );
        let near =
            Entry::read(&info("Topic:T1", "Pub", "Allow", "10.1.0.0/16,::1,192.168.1.7")).expect("an entry");
        let near = Policy::new(vec![near]);
        for (from, matches) in [
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("::1", true),
            ("::2", false),
            ("192.168.1.7", true),
        ] {
            let from = from.parse().expect(from);
            let found = near.find(Target::topic("T1"), Actions::PUB, from);
            assert_eq!(found.is_some(), matches, "{from}");
        }
    }

    #[test]
    fn what_can_be_no_entry() {
        for (resource, actions, decision, sources, text) in [
            ("", "Pub", "Allow", "", "The resource is null."),
            ("T1", "Pub", "Allow", "", "The resource is null. `T1` is none: "),
            ("Queue:q", "Pub", "Allow", "", "The resource is null. `Queue:q`"),
            ("Topic:", "Pub", "Allow", "", "The resource is null. `Topic:`"),
            (
                "Topic:a*b",
                "Pub",
                "Allow",
                "",
                "The resource is null. `Topic:a*b`",
            ),
            (
                "Topic:a*b*",
                "Pub",
                "Allow",
                "",
                "The resource is null. `Topic:a*b*`",
            ),
            ("Topic:T1", "", "Allow", "", "The actions is empty."),
            ("Topic:T1", "Pub,Any", "Allow", "", "The actions can not be Any."),
            (
                "Topic:T1",
                "Pub,Shout",
                "Deny",
                "",
                "The actions is empty. There is no action Shout",
            ),
            (
                "Topic:T1",
                "Pub",
                "Allow",
                "10.1.*.*",
                "The source ip is invalid.",
            ),
            (
                "Topic:T1",
                "Pub",
                "Allow",
                "10.1.1.1/33",
                "The source ip is invalid.",
            ),
            ("Topic:T1", "Pub", "Maybe", "", "The decision is null or illegal."),
        ] {
            let refused = Entry::read(&info(resource, actions, decision, sources)).expect_err(resource);
            assert!(refused.to_string().starts_with(text), "{refused}");
        }
    }

    #[test]
    fn a_request_replaces_what_it_names_and_nothing_else() {
        let stored = policy(&[("Topic:T1", "Pub", "Allow"), ("Topic:T2", "Pub", "Allow")]);
        let read = |decision| Entry::read(&info("topic:T1", "Sub,Get", decision, "")).expect("an entry");
        let merged = stored.merged(vec![read("Allow"), read("Deny")]);
        let texts: Vec<String> = merged.entries().iter().map(Entry::to_string).collect();
        assert_eq!(
            texts,
            [
                "Topic:T1 Sub,Get Allow",
                "Topic:T1 Sub,Get Deny",
                "Topic:T2 Pub Allow"
            ],
            "a denial beside it is not lost"
        );
        assert_eq!(merged.without("Topic:T1").entries().len(), 1);
        assert_eq!(merged.without("Topic:T*").entries().len(), 3);
    }

    /// The rule in one line, without an index.
    fn by_rule(policy: &Policy, target: Target<'_>) -> Option<bool> {
        let matching = policy
            .entries()
            .iter()
            .filter(|entry| entry.matches(target, Actions::PUB, HERE));
        matching
            .max_by_key(|entry| (entry.scope.nearness(), !entry.allows))
            .map(Entry::allows)
    }

    proptest! {
        #[test]
        fn the_index_finds_what_the_rule_says(
            entries in proptest::collection::vec(("(\\*|(Topic|Group):[ab]{0,3}\\*|(Topic|Group):[ab]{1,3})", any::<bool>()), 0..12),
            name in "(Topic|Group):[ab]{1,3}",
        ) {
            let decision = |allows| if allows { "Allow" } else { "Deny" };
            let read = entries.iter().map(|(resource, allows)| (resource.as_str(), "Pub", decision(*allows)));
            let policy = policy(&read.collect::<Vec<_>>());
            let target = Target::parse(&name).expect("a target");
            let found = policy.find(target, Actions::PUB, HERE).map(Entry::allows);
            prop_assert_eq!(found, by_rule(&policy, target));
        }

        #[test]
        fn an_entry_reads_as_it_is_written(resource in "(\\*|Topic:[a-z%*]{1,8}|Group:[A-Z]{1,4}\\*?)", allows in any::<bool>()) {
            let decision = if allows { "Allow" } else { "Deny" };
            if let Ok(entry) = Entry::read(&info(&resource, "Sub,Pub,Sub", decision, "10.0.0.0/8")) {
                prop_assert_eq!(Entry::read(&entry.info()), Ok(entry));
            }
        }
    }
}
