//! Version numbers on the wire: the position in RocketMQ's list of releases, two to a release.

/// 4.9.8, what our servers say in replies and requests unless told otherwise.
pub const V4_9_8: i32 = 409;
/// 5.3.3.
pub const V5_3_3: i32 = 479;
/// 3.0.11: from here a registration's body carries filter servers.
pub const V3_0_11: i32 = 37;
/// 4.9.4: from here route data is asked for in strict JSON.
pub const V4_9_4: i32 = 401;
/// 5.0.0: from here the compressed registration stream has a mapping section.
pub const V5_0_0: i32 = 413;
/// 3.0.7-snapshot: from here a client lets its offsets be reset.
pub const V3_0_7: i32 = 28;
/// 3.1.8-snapshot: from here a client answers running info and direct consumption.
pub const V3_1_8: i32 = 62;
/// 3.4.9: from here `maxReconsumeTimes` of the header is honoured.
pub const V3_4_9: i32 = 121;
/// 4.1.0-snapshot: Java consumers want at least this from a heartbeat before they pull with SQL92.
pub const V4_1_0: i32 = 232;

/// A version's name, `V5_3_3`, as RocketMQ has it since 4.0.0-SNAPSHOT: twenty numbers a minor release, of which each odd one is a
/// release and the even one before it its snapshot. Older ones have no such order.
pub fn name(version: i32) -> Option<String> {
    let since = version.checked_sub(V4_0_0_SNAPSHOT).filter(|since| *since >= 0)?;
    let (release, is_snapshot) = (since / 2, since % 2 == 0);
    let name = format!("V{}_{}_{}", 4 + release / 100, release / 10 % 10, release % 10);
    Some(if is_snapshot { name + "_SNAPSHOT" } else { name })
}

const V4_0_0_SNAPSHOT: i32 = 212;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_names() {
        for (version, expected) in [
            (V4_9_8, Some("V4_9_8")),
            (V4_9_4, Some("V4_9_4")),
            (V5_0_0, Some("V5_0_0")),
            (V5_3_3, Some("V5_3_3")),
            (V4_1_0, Some("V4_1_0_SNAPSHOT")),
            (V3_4_9, None),
            (i32::MIN, None),
        ] {
            assert_eq!(name(version).as_deref(), expected, "{version}");
        }
    }
}
