//! The page of pulls that wait for messages.

use std::fmt::Write;

use crate::commitlog::Hold;
use crate::handlers::pull::HeldPull;

/// Most pulls that the page has.
const SHOWN_MAX: usize = 1000;

/// Topic, queue, offset; group and address of who waits; for how long yet, ms.
type Line = (String, i32, i64, String, String, i64);

/// The page: how many wait, and a line for each of a thousand, by their queues.
pub fn pulls_page(hold: &Hold<HeldPull>, now_ms: i64) -> String {
    let mut lines: Vec<Line> = Vec::new();
    // Noted under its locks, and told without them.
    hold.look(SHOWN_MAX, |topic, queue_id, held| {
        let (group, address) = held.pull.reader();
        let (group, address) = (group.escape_debug().to_string(), address.to_string());
        let left_ms = (held.deadline_ms - now_ms).max(0);
        lines.push((
            topic.to_owned(),
            queue_id,
            held.pull.offset(),
            group,
            address,
            left_ms,
        ));
    });
    lines.sort();
    let mut page = format!("{} pulls wait for messages\n", hold.len());
    for (topic, queue_id, offset, group, address, left_ms) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "topic {topic} queue {queue_id} offset {offset} group {group} at {address} for another {left_ms} ms"
        );
    }
    page
}
