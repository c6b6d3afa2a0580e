//! Which known key was meant.

/// The candidate nearest to a misspelt key, if one is near enough to be what was meant. Letter case counts less than letters:
/// `brokerld` is `brokerId`, `BROKERNAME` is `brokerName`.
pub fn nearest<'a>(key: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A key longer than any real one is no misspelling, and the table below would grow with its square.
    if key.is_empty() || key.len() > 100 {
        return None;
    }
    let limit = (key.chars().count() / 4).max(1) * CASE;
    candidates
        .into_iter()
        .map(|candidate| (distance(key, candidate), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, candidate)| (distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// Cost of one wrong letter, in units of one wrong case.
const CASE: usize = 8;

/// Edits (insert, delete, replace, swap of neighbours) between two keys; a letter in the wrong case costs one, an edit
/// [`CASE`].
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).map(|edits| edits * CASE).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![(i + 1) * CASE; b.len() + 1];
        for (j, &to) in b.iter().enumerate() {
            let replaced = above[j] + replace_cost(from, to);
            let mut best = replaced.min(above[j + 1] + CASE).min(row[j] + CASE);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before[j - 1] + CASE);
            }
            row[j + 1] = best;
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

fn replace_cost(from: char, to: char) -> usize {
    match () {
        () if from == to => 0,
        () if from.eq_ignore_ascii_case(&to) => 1,
        // Looks the same on paper and in many fonts.
        () if matches!(
            (from, to),
            ('l' | '1' | 'I', 'l' | '1' | 'I') | ('0' | 'O', '0' | 'O')
        ) =>
        {
            1
        }
        () => CASE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let keys = [
            "brokerId",
            "brokerIP1",
            "brokerIP2",
            "brokerName",
            "maxMessageSize",
            "listenPort",
            "deleteWhen",
        ];
        for (key, meant) in [
            ("brokerld", Some("brokerId")),
            ("BrokerName", Some("brokerName")),
            ("brokername", Some("brokerName")),
            ("maxMessageBiz", Some("maxMessageSize")),
            ("lsitenPort", Some("listenPort")),
            ("brokerIp1", Some("brokerIP1")),
            ("deletewhen", Some("deleteWhen")),
            ("somethingElse", None),
            ("文件保留时间", None),
            ("", None),
        ] {
            assert_eq!(nearest(key, keys), meant, "{key}");
        }
        assert_eq!(nearest(&"x".repeat(101), keys), None);
    }
}
