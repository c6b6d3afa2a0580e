//! Patterns of addresses that need no key: `10.1.*.*`, `192.168.1.{5,6}`, `10.1.2.3-9`, `fe80::{1,2}`, `*`.
//!
//! What a pattern says is what it matches. Java compares texts, and its patterns match more or less than they say where a range
//! is not in the last part or an IPv6 address is abbreviated (RemoteAddressStrategyFactory; docs/differences.md).

use std::net::IpAddr;

/// Most patterns that a group in braces, or a list, may stand for.
const ALTERNATIVES_MAX: usize = 1024;

/// Addresses that need no key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pattern {
    /// None.
    #[default]
    Nothing,
    /// All, of both kinds.
    Any,
    /// These.
    Listed(Vec<IpAddr>),
    /// IPv4 addresses with each part in its range.
    V4([(u8, u8); 4]),
    /// IPv6 addresses with each group in its range.
    V6([(u16, u16); 8]),
}

/// Why a text is no pattern. The beginnings are Java's texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// No address, no range.
    #[error("Netaddress examine Exception netaddress is {0}{1}")]
    Address(String, &'static str),
    /// A range that ends before it starts, or beyond what a part can be.
    #[error("RangeRemoteAddressStrategy netaddress examine scope Exception start is {0} , end is {1}")]
    Range(String, String),
    /// Braces where they can not be.
    #[error(
        "MultipleRemoteAddressStrategy netaddress examine scope Exception netaddress: {0}: braces are for the last part alone"
    )]
    Braces(String),
    /// More alternatives than there can be accounts.
    #[error("{0}: more than {ALTERNATIVES_MAX} addresses")]
    TooMany(String),
}

impl Pattern {
    /// From the text of a file.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let text = text.trim();
        match text {
            "" => Ok(Pattern::Nothing),
            "*" | "*.*.*.*" | "*:*:*:*:*:*:*:*" => Ok(Pattern::Any),
            _ if text.ends_with('}') => braces(text),
            _ if text.contains(',') => listed(text, text.split(',').map(str::to_owned)),
            _ if text.contains(['*', '-']) && text.contains(':') => v6(text),
            _ if text.contains(['*', '-']) => v4(text),
            _ => listed(text, std::iter::once(text.to_owned())),
        }
    }

    /// Does it match?
    pub fn matches(&self, address: IpAddr) -> bool {
        // An IPv4 peer of a socket for both is an IPv4 peer.
        match (self, address.to_canonical()) {
            (Pattern::Nothing, _) => false,
            (Pattern::Any, _) => true,
            (Pattern::Listed(all), address) => all.contains(&address),
            (Pattern::V4(parts), IpAddr::V4(address)) => in_ranges(parts, address.octets()),
            (Pattern::V6(groups), IpAddr::V6(address)) => in_ranges(groups, address.segments()),
            (Pattern::V4(_) | Pattern::V6(_), _) => false,
        }
    }
}

fn in_ranges<T: PartialOrd + Copy, const N: usize>(ranges: &[(T, T); N], parts: [T; N]) -> bool {
    let mut pairs = ranges.iter().zip(parts);
    pairs.all(|((start, end), part)| (*start..=*end).contains(&part))
}

fn listed(whole: &str, addresses: impl Iterator<Item = String>) -> Result<Pattern, BadPattern> {
    let mut all = Vec::new();
    for text in addresses {
        if all.len() == ALTERNATIVES_MAX {
            return Err(BadPattern::TooMany(whole.to_owned()));
        }
        match text.parse::<IpAddr>() {
            Ok(address) => all.push(address.to_canonical()),
            Err(_) if whole.contains(',') => return Err(no_item(&text)),
            Err(_) => return Err(no_address(&text)),
        }
    }
    Ok(Pattern::Listed(all))
}

fn no_address(text: &str) -> BadPattern {
    let hint = match text.contains('/') {
        true => " (a network is written 10.1.*.*)",
        false => "",
    };
    BadPattern::Address(text.to_owned(), hint)
}

fn no_item(text: &str) -> BadPattern {
    match () {
        () if text.contains(' ') => BadPattern::Address(text.to_owned(), " (no blanks in a list)"),
        () if text.contains(['*', '-']) => BadPattern::Address(text.to_owned(), " (no ranges in a list)"),
        () => no_address(text),
    }
}

/// `10.1.2.{3,4}`, `1:2:3:4:5:6:7:{8,9}`, `fe80::{1,2}`.
fn braces(text: &str) -> Result<Pattern, BadPattern> {
    let wrong = || BadPattern::Braces(text.to_owned());
    let (head, inner) = text.split_once('{').ok_or_else(wrong)?;
    let inner = inner.strip_suffix('}').ok_or_else(wrong)?;
    let is_last = match head.contains(':') {
        true => head.ends_with(':'),
        false => head.ends_with('.'),
    };
    if !is_last || inner.contains(['{', '}', '.', ':']) {
        return Err(wrong());
    }
    listed(text, inner.split(',').map(|last| format!("{head}{last}")))
}

fn v4(text: &str) -> Result<Pattern, BadPattern> {
    let parts: Vec<&str> = text.split('.').map(str::trim).collect();
    let parts: &[&str; 4] = parts.as_slice().try_into().map_err(|_| no_address(text))?;
    let mut ranges = [(0, u8::MAX); 4];
    for (range, part) in ranges.iter_mut().zip(parts) {
        *range = ranged(part, u8::MAX, |part| part.parse().ok())?.ok_or_else(|| no_address(text))?;
    }
    Ok(Pattern::V4(ranges))
}

fn v6(text: &str) -> Result<Pattern, BadPattern> {
    let split = |half: &str| -> Vec<String> {
        let groups = half.split(':').filter(|group| !group.is_empty());
        groups.map(|group| group.trim().to_owned()).collect()
    };
    let wrong = || no_address(text);
    let groups = match text.split_once("::") {
        Some((head, tail)) => {
            let (head, tail) = (split(head), split(tail));
            // An abbreviation stands for one group of zeros at least.
            let zeros = 8usize
                .checked_sub(head.len() + tail.len())
                .filter(|zeros| *zeros > 0);
            let zeros = vec!["0".to_owned(); zeros.ok_or_else(wrong)?];
            [head, zeros, tail].concat()
        }
        None => text.split(':').map(|group| group.trim().to_owned()).collect(),
    };
    let groups: &[String; 8] = groups.as_slice().try_into().map_err(|_| wrong())?;
    let mut ranges = [(0, u16::MAX); 8];
    for (range, group) in ranges.iter_mut().zip(groups) {
        let number = |text: &str| {
            u16::from_str_radix(text, 16)
                .ok()
                .filter(|_| !text.starts_with('+'))
        };
        *range = ranged(group, u16::MAX, number)?.ok_or_else(wrong)?;
    }
    Ok(Pattern::V6(ranges))
}

/// One part: a number, `*`, or `start-end`. `None` where it is nothing of that.
fn ranged<T: PartialOrd + Copy + Default>(
    part: &str,
    most: T,
    number: impl Fn(&str) -> Option<T>,
) -> Result<Option<(T, T)>, BadPattern> {
    if part == "*" {
        return Ok(Some((T::default(), most)));
    }
    let Some((start, end)) = part.split_once('-') else {
        return Ok(number(part).map(|number| (number, number)));
    };
    let (start, end) = (start.trim(), end.trim());
    match (number(start), number(end)) {
        (Some(from), Some(to)) if from <= to => Ok(Some((from, to))),
        _ => Err(BadPattern::Range(start.to_owned(), end.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, address: &str) -> bool {
        let address = address.parse().expect(address);
        Pattern::parse(pattern).expect(pattern).matches(address)
    }

    #[test]
    fn patterns_that_java_reads_the_same_way() {
        for (pattern, yes, no) in [
            ("", &[][..], &["127.0.0.1", "::1"][..]),
            ("  ", &[], &["127.0.0.1"]),
            ("*", &["1.2.3.4", "::1"], &[]),
            ("*.*.*.*", &["1.2.3.4", "2001:db8::1"], &[]),
            ("*:*:*:*:*:*:*:*", &["1.2.3.4", "2001:db8::1"], &[]),
            ("10.1.2.3", &["10.1.2.3"], &["10.1.2.4", "10.1.2.30"]),
            ("10.1.2.3,10.1.2.5", &["10.1.2.3", "10.1.2.5"], &["10.1.2.4"]),
            (
                "192.168.1.{1,2,3}",
                &["192.168.1.1", "192.168.1.3"],
                &["192.168.1.4", "192.168.1.12"],
            ),
            (
                "1:2:3:4:5:6:7:{8,9}",
                &["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:9"],
                &["1:2:3:4:5:6:7:a"],
            ),
            ("fe80::{1,2}", &["fe80::1", "fe80::2"], &["fe80::3"]),
            ("192.168.1.*", &["192.168.1.0", "192.168.1.255"], &["192.168.2.1"]),
            ("192.168.*.*", &["192.168.7.9"], &["192.169.7.9"]),
            ("192.*.*.*", &["192.1.2.3"], &["193.1.2.3"]),
            (
                "192.168.1.2-20",
                &["192.168.1.2", "192.168.1.20"],
                &["192.168.1.1", "192.168.1.21"],
            ),
            ("192.168.1-3.*", &["192.168.2.9"], &["192.168.4.9"]),
            (
                "1:2:3:4:5:6:7:*",
                &["1:2:3:4:5:6:7:ffff"],
                &["1:2:3:4:5:6:8:1", "1.2.3.4"],
            ),
            ("1:2:3:4:5:6:1-8:*", &["1:2:3:4:5:6:8:1"], &["1:2:3:4:5:6:9:1"]),
            ("2001:DB8::a", &["2001:db8::A"], &["2001:db8::b"]),
            ("::ffff:10.0.0.1", &["10.0.0.1"], &["10.0.0.2"]),
        ] {
            for address in yes {
                assert!(matches(pattern, address), "{pattern} {address}");
            }
            for address in no {
                assert!(!matches(pattern, address), "{pattern} {address}");
            }
        }
    }

    #[test]
    fn patterns_that_java_gets_wrong() {
        // Behind the first range everything would match.
        assert!(!matches("192.168.1-3.5", "192.168.2.9"));
        assert!(matches("192.168.1-3.5", "192.168.2.5"));
        // All of 2001:db8:0::/48, and not what it says.
        assert!(!matches("2001:db8::*", "2001:db8:0:1::1"));
        assert!(matches("2001:db8::*", "2001:db8::abcd"));
        assert!(matches("2001:db8::1-20", "2001:db8::1f"));
        assert!(!matches("2001:db8::1-20", "2001:db8::21"));
        // A null pointer for every request.
        assert!(matches("*.1.1.1", "9.1.1.1") && !matches("*.1.1.1", "9.1.1.2"));
        assert!(matches("192.168.1.0-0", "192.168.1.0") && !matches("192.168.1.0-0", "192.168.1.1"));
        // Brackets in the text of the peer.
        assert!(matches("::1", "::1"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_javas_text() {
        for (pattern, text) in [
            ("1.2.3", "Netaddress examine Exception netaddress is 1.2.3"),
            ("host", "Netaddress examine Exception netaddress is host"),
            (
                "10.1.0.0/16",
                "Netaddress examine Exception netaddress is 10.1.0.0/16 (a network is written 10.1.*.*)",
            ),
            (
                "1.2.3.4, 1.2.3.5",
                "Netaddress examine Exception netaddress is  1.2.3.5 (no blanks in a list)",
            ),
            (
                "1.2.3.4,1.2.3.*",
                "Netaddress examine Exception netaddress is 1.2.3.* (no ranges in a list)",
            ),
            (
                "192.168.1.5-2",
                "RangeRemoteAddressStrategy netaddress examine scope Exception start is 5 , end is 2",
            ),
            (
                "1:2:3:4:5:6:9-7:*",
                "RangeRemoteAddressStrategy netaddress examine scope Exception start is 9 , end is 7",
            ),
            (
                "10.1.{2,3}.{4,5}",
                "MultipleRemoteAddressStrategy netaddress examine scope Exception netaddress: 10.1.{2,3}.{4,5}: braces are for \
                 the last part alone",
            ),
            ("1:2:3:*", "Netaddress examine Exception netaddress is 1:2:3:*"),
        ] {
            let refused = Pattern::parse(pattern).expect_err(pattern);
            assert_eq!(refused.to_string(), text);
        }
        let long = vec!["1.2.3.4"; ALTERNATIVES_MAX + 1].join(",");
        assert!(matches!(Pattern::parse(&long), Err(BadPattern::TooMany(_))));
    }

    proptest! {
        #[test]
        fn an_address_matches_itself_and_no_other(a in any::<std::net::IpAddr>(), b in any::<std::net::IpAddr>()) {
            let pattern = Pattern::parse(&a.to_string()).expect("an address");
            prop_assert!(pattern.matches(a));
            prop_assert_eq!(pattern.matches(b), a.to_canonical() == b.to_canonical());
        }

        #[test]
        fn ranges_of_ipv4_are_inclusive(parts in any::<[(u8, u8); 4]>(), address in any::<[u8; 4]>()) {
            let parts = parts.map(|(a, b)| (a.min(b), a.max(b)));
            let text = parts.map(|(a, b)| format!("{a}-{b}")).join(".");
            let wanted = parts.iter().zip(address).all(|((a, b), part)| *a <= part && part <= *b);
            prop_assert_eq!(Pattern::parse(&text).expect("ranges").matches(address.into()), wanted);
        }
    }
}
