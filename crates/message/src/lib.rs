//! A RocketMQ message: properties, flags, ids, and the stored record.
//!
//! This crate owns the bytes of one message: the properties text, the `sysFlag` bits, message ids, the
//! commitlog record (V1 and V2), the body of a batch send, and the rules for names. It knows no files and no
//! network, and it allocates only where a result has to be owned.
//!
//! Start reading at [`record`], then [`properties`].
//!
//! ```
//! let text = "TAGS\u{1}TagA\u{2}KEYS\u{1}k1 k2\u{2}";
//! assert_eq!(message::properties::get(text.as_bytes(), "KEYS"), Some(&b"k1 k2"[..]));
//! assert_eq!(message::hash::tags_code(b"TagA"), 2598919);
//! ```
#![forbid(unsafe_code)]

pub mod batch;
pub mod hash;
pub mod id;
pub mod name;
pub mod properties;
pub mod record;
pub mod sys_flag;
