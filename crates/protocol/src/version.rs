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
