//! What tools ask servers by: the functions that the commands are made of, for programs that show the answers otherwise.

pub use crate::commands::broker::settings_of;
pub use crate::commands::connection::{members, version_name};
pub use crate::commands::consumer::{consume_stats, running_info};
pub use crate::commands::doctor::{Finding, Look, Sight, Weight, examine, look};
pub use crate::commands::message::{READER, Wanted, find, once_more, view};
pub use crate::commands::offset::{Move, Moved, Wanted as WantedMove, move_group, offset_at, plan};
pub use crate::commands::running_info::{ProcessQueue, Rates, RunningInfo};
pub use crate::commands::search::{Filter, Scanned, by_place, scan};
pub use crate::commands::topic::{
    TopicStats, consumers_of, drop_topic, forget_topic, keep_topic, readable, topic_stats,
};
pub use crate::commands::trace::{Event, TRACE_TOPIC, events};
pub use crate::commands::track::{Track, tracks};
pub use crate::failure::Failure;
pub use crate::net::{Found, MASTER, Net, addresses, apart, masters_of, one_of, read_body, read_header};
pub use crate::time::{millis, now_ms, parse as parse_time, seconds};
