//! The units of a queue as they are, for operators.

use crate::ext;
use crate::offset::{PhysicalOffset, QueueOffset};
use crate::queue::{UNIT, Unit};
use crate::store::Store;
use disk::Disk;

/// A unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUnit {
    /// Place of its record in the log.
    pub physical: PhysicalOffset,
    /// Length of its record, bytes.
    pub size: i32,
    /// Hash of its tag, when it is due, or the address of its extension.
    pub tags_code: i64,
    /// What its extension says.
    pub extension: UnitExtension,
}

/// What more is known of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitExtension {
    /// It has none.
    None,
    /// It has an address, and nothing lies there.
    Lost,
    /// This.
    Found {
        /// Hash of its tag.
        tags_code: i64,
        /// When its record was stored, ms since 1970.
        store_timestamp: i64,
        /// Which consumers' filters let it through.
        bitmap: Vec<u8>,
    },
}

impl<D: Disk> Store<D> {
    /// First and one-behind-last offset of a queue; none if it is not there.
    pub fn existing_queue_bounds(&self, topic: &str, queue_id: i32) -> Option<(QueueOffset, QueueOffset)> {
        self.queues.get(topic, queue_id)?;
        Some(self.queue_bounds(topic, queue_id))
    }

    /// Up to `count` units from an offset on, not over the end of a file of the queue; none if there is none at the offset.
    pub fn queue_units(
        &self,
        topic: &str,
        queue_id: i32,
        from: QueueOffset,
        count: i32,
    ) -> disk::Result<Option<Vec<QueueUnit>>> {
        let Some(queue) = self.queues.get(topic, queue_id) else {
            return Ok(None);
        };
        let count = i64::from(count.max(0));
        let Some(units) = queue.units(from.0, count.max(1) * UNIT)? else {
            return Ok(None);
        };
        let all = units.chunks_exact(UNIT as usize).take(count as usize);
        let described = all.map(Unit::decode).map(|unit| {
            let extension = match ext::is_address(unit.tags_code) {
                false => UnitExtension::None,
                true => {
                    let found = queue.look_at_extension(unit, |tags_code, extra| UnitExtension::Found {
                        tags_code,
                        store_timestamp: extra.store_timestamp,
                        bitmap: extra.bitmap.to_vec(),
                    });
                    found?.unwrap_or(UnitExtension::Lost)
                }
            };
            Ok(QueueUnit {
                physical: PhysicalOffset(unit.physical),
                size: unit.size,
                tags_code: unit.tags_code,
                extension,
            })
        });
        let described = described.collect::<disk::Result<Vec<QueueUnit>>>()?;
        units.check()?;
        Ok(Some(described))
    }
}
