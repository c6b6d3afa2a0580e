//! What slaves and tools ask about replication: GET_ALL_DELAY_OFFSET (45), GET_TIMER_METRICS (61),
//! GET_ALL_MESSAGE_REQUEST_MODE (402), GET_BROKER_HA_STATUS (907).

use std::sync::Arc;

use disk::Disk;
use protocol::code::response;
use remoting::{Body, Request};
use serde::Serialize;

use crate::commitlog::Appender;
use crate::delay::DelayOffsets;
use crate::lane::MayWait;
use crate::replication::{Link, SlaveServer};
use crate::settings::Settings;
use crate::tables::dormant::DormantFiles;

/// What the handler needs.
pub struct Ha<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// The log.
    pub appender: Arc<Appender<D>>,
    /// How far delayed messages are delivered.
    pub delays: Arc<DelayOffsets>,
    /// Files of features that are not here.
    pub dormant: Arc<DormantFiles>,
    /// The slaves of this broker.
    pub slaves: Arc<SlaveServer<D>>,
    /// How this broker stands to its master.
    pub link: Arc<Link>,
}

/// Answer to GET_BROKER_HA_STATUS (RocketMQ 5.3.3, HARuntimeInfo).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HaStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    ha_client_runtime_info: Option<OfSlave>,
    ha_connection_info: Vec<Connection>,
    in_sync_slave_nums: usize,
    master: bool,
    master_commit_log_max_offset: i64,
}

/// A slave's own side.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OfSlave {
    last_read_timestamp: i64,
    last_write_timestamp: i64,
    master_addr: String,
    master_flush_offset: i64,
    max_offset: i64,
    transferred_byte_in_second: u64,
}

/// A slave as its master sees it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    addr: String,
    diff: i64,
    in_sync: bool,
    slave_ack_offset: i64,
    transfer_from_where: i64,
    transferred_byte_in_second: u64,
}

impl<D: Disk + Clone> Ha<D> {
    /// GET_ALL_DELAY_OFFSET: never ahead of what a slave may count on.
    pub fn delay_offsets(&self, request: Request, _: MayWait) {
        let safe = self.appender.safe_end(&self.settings.load());
        request.responder.body(&self.delays.durable(safe));
    }

    /// GET_ALL_MESSAGE_REQUEST_MODE.
    pub fn request_modes(&self, request: Request, _: MayWait) {
        let body = Body::Bytes(self.dormant.request_modes());
        request.responder.reply(response::SUCCESS, None, &(), body);
    }

    /// GET_TIMER_METRICS.
    pub fn timer_metrics(&self, request: Request, _: MayWait) {
        let body = Body::Bytes(self.dormant.timer_metrics());
        request.responder.reply(response::SUCCESS, None, &(), body);
    }

    /// GET_BROKER_HA_STATUS.
    pub fn status(&self, request: Request, _: MayWait) {
        request.responder.body(&self.describe());
    }

    fn describe(&self) -> HaStatus {
        let settings = self.settings.load();
        let end = self.appender.store.max_physical().0;
        if settings.is_slave() {
            let link = self.link.state();
            return HaStatus {
                ha_client_runtime_info: Some(OfSlave {
                    last_read_timestamp: link.read_ms,
                    last_write_timestamp: link.write_ms,
                    master_addr: link.master.clone().unwrap_or_default(),
                    master_flush_offset: link.master_flushed,
                    max_offset: end,
                    transferred_byte_in_second: link.speed,
                }),
                ha_connection_info: Vec::new(),
                in_sync_slave_nums: 0,
                master: false,
                master_commit_log_max_offset: 0,
            };
        }
        let near = i64::from(settings.store.ha_max_gap_not_in_sync);
        let connections: Vec<Connection> = self
            .slaves
            .slaves()
            .into_iter()
            .map(|slave| Connection {
                diff: end - slave.acknowledged,
                in_sync: slave.claim.is_some_and(|claim| end - claim < near),
                slave_ack_offset: slave.acknowledged,
                transfer_from_where: slave.next,
                transferred_byte_in_second: slave.speed,
                addr: slave.address,
            })
            .collect();
        HaStatus {
            ha_client_runtime_info: None,
            in_sync_slave_nums: connections.iter().filter(|slave| slave.in_sync).count(),
            ha_connection_info: connections,
            master: true,
            master_commit_log_max_offset: end,
        }
    }
}
