//! The bits of a message's `sysFlag` (RocketMQ 4.9.8 and 5.3.3, MessageSysFlag).

/// The body is compressed; consumers decompress it, brokers never do.
pub const COMPRESSED: i32 = 0x1;
/// The TAGS property holds several tags.
pub const MULTI_TAGS: i32 = 0x2;
/// A half message: the first phase of a transaction.
pub const TRANSACTION_PREPARED: i32 = 0x4;
/// The commit of a transaction.
pub const TRANSACTION_COMMIT: i32 = 0x8;
/// The rollback of a transaction.
pub const TRANSACTION_ROLLBACK: i32 = 0xC;
/// Mask of the two transaction bits.
pub const TRANSACTION_MASK: i32 = 0xC;
/// The born host is an IPv6 address (20 bytes instead of 8).
pub const BORN_HOST_V6: i32 = 0x10;
/// The store host is an IPv6 address (20 bytes instead of 8).
pub const STORE_HOST_V6: i32 = 0x20;
/// The body is an inner batch that a consumer has to unwrap (5.x).
pub const NEED_UNWRAP: i32 = 0x40;
/// The record is an inner batch (5.x).
pub const INNER_BATCH: i32 = 0x80;
/// Mask of the compression type (5.x).
pub const COMPRESSION_MASK: i32 = 0x700;

/// The two transaction bits of `flag`.
pub fn transaction_type(flag: i32) -> i32 {
    flag & TRANSACTION_MASK
}

/// `flag` with its transaction bits replaced by `kind`.
pub fn with_transaction_type(flag: i32, kind: i32) -> i32 {
    (flag & !TRANSACTION_MASK) | (kind & TRANSACTION_MASK)
}

/// Whether a record with this flag has a place in a consumequeue.
///
/// Prepared and rollback records have none: they get queue offset 0 and do not advance it. (Half messages are
/// stored with these bits cleared, so they are in the half topic's queue.)
pub fn is_queued(flag: i32) -> bool {
    !matches!(
        transaction_type(flag),
        TRANSACTION_PREPARED | TRANSACTION_ROLLBACK
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_and_rollback_are_not_queued() {
        for (flag, queued) in [
            (0, true),
            (4, false),
            (8, true),
            (12, false),
            (0x3 | 12, false),
            (0x11, true),
        ] {
            assert_eq!(is_queued(flag), queued, "{flag:#x}");
        }
        assert_eq!(with_transaction_type(0x17, TRANSACTION_ROLLBACK), 0x1F);
        assert_eq!(with_transaction_type(0x1F, 0), 0x13);
    }
}
