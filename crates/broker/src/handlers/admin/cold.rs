//! UPDATE_COLD_DATA_FLOW_CTR_CONFIG (2001), REMOVE_COLD_DATA_FLOW_CTR_CONFIG (2002), GET_COLD_DATA_FLOW_CTR_INFO (2003),
//! SET_COMMITLOG_READ_MODE (2004): how much groups may read of what has left memory.
//!
//! Answers: RocketMQ 5.3.3, AdminBrokerProcessor.

use std::sync::Arc;

use disk::Clock;
use protocol::code::response;
use protocol::header::broker::SetCommitLogReadModeRequestHeader;
use remoting::{Body, Request};
use settings::Properties;

use super::{Error, refuse};
use crate::clients::{ColdReads, Thresholds};
use crate::lane::MayWait;
use crate::settings::Settings;

/// READ_AHEAD_MODE: the kernel reads ahead as it likes.
const NORMAL: i32 = 0;
/// READ_AHEAD_MODE: it reads the pages that are touched.
const RANDOM: i32 = 1;

/// What the handler needs.
pub struct Cold {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// What groups have read, and may.
    pub cold: Arc<ColdReads>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Cold {
    /// UPDATE_COLD_DATA_FLOW_CTR_CONFIG: `group=bytes` lines. Nothing is changed where one of them makes no sense; Java takes the
    /// others and says SUCCESS.
    pub fn update(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match self.update_all(&frame.body) {
            Ok(()) => responder.ok(),
            Err(e) => refuse(responder, &e),
        }
    }

    fn update_all(&self, body: &[u8]) -> Result<(), Error> {
        let text = Properties::parse(body);
        let mut wanted = Vec::new();
        for entry in &text.entries {
            message::name::check_group(&entry.key)?;
            let threshold: i64 = entry.value.parse().map_err(|_| {
                Error::Value(format!(
                    "the threshold of {} is no number: {:?}",
                    entry.key, entry.value
                ))
            })?;
            wanted.push((&entry.key, threshold));
        }
        for (group, threshold) in wanted {
            self.cold
                .set(group, threshold)
                .map_err(|full| Error::Value(full.to_string()))?;
        }
        Ok(())
    }

    /// REMOVE_COLD_DATA_FLOW_CTR_CONFIG: the body is the group's name.
    pub fn remove(&self, request: Request, _: MayWait) {
        self.cold.remove(&String::from_utf8_lossy(&request.frame.body));
        request.responder.ok();
    }

    /// GET_COLD_DATA_FLOW_CTR_INFO.
    pub fn info(&self, request: Request, _: MayWait) {
        let thresholds = Thresholds::of(&self.settings.load());
        let info = self.cold.info(thresholds, self.clock.now_ms());
        request.responder.body(&info);
    }

    /// SET_COMMITLOG_READ_MODE: the log is mapped as the kernel likes it, and stays so.
    pub fn read_mode(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let mode = frame
            .header::<SetCommitLogReadModeRequestHeader<'_>>()
            .ok()
            .and_then(|header| header.read_ahead_mode);
        let Some(mode) = mode else {
            let what = "set commitlog readahead mode param error".to_owned();
            return refuse(responder, &Error::Value(what));
        };
        match mode.parse() {
            Ok(NORMAL) => {
                let remark = format!("set commitlog readahead mode success, mode: {mode}");
                responder.reply(response::SUCCESS, Some(&remark), &(), Body::Empty);
            }
            Ok(RANDOM) => refuse(
                responder,
                &Error::Value(
                    "set commitlog readahead mode failed: the log is always read ahead here".to_owned(),
                ),
            ),
            _ => refuse(
                responder,
                &Error::Value("set commitlog readahead mode param value error".to_owned()),
            ),
        }
    }
}
