//! UPDATE_NAMESRV_CONFIG 318 and GET_NAMESRV_CONFIG 319.

use super::{refuse, with_body};
use crate::file;
use crate::settings::Settings;
use ::settings::{Live, Properties, Refused};
use parking_lot::Mutex;
use protocol::code::response;
use remoting::Request;
use remoting::lane::MayWait;
use std::path::Path;
use std::sync::Arc;

/// What the handler needs.
pub struct SettingsRequests {
    /// The settings in force.
    pub settings: Arc<Live<Settings>>,
    /// One update at a time, of the settings and of the file.
    pub updating: Mutex<()>,
}

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("the change is in force but {path} could not be written: {cause}")]
    NotKept { path: String, cause: std::io::Error },
}

impl SettingsRequests {
    /// UPDATE_NAMESRV_CONFIG: properties text. Nothing is applied when any key is black-listed or any value is bad.
    pub fn update(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        if frame.body.is_empty() {
            return responder.ok();
        }
        if std::str::from_utf8(&frame.body).is_err() {
            return refuse(responder, &"the body is not UTF-8");
        }
        match self.apply(&Properties::parse(&frame.body)) {
            Ok(()) => responder.ok(),
            Err(Error::Refused(Refused::Blacklisted(key))) => {
                let remark = format!("Can not update config in black list. ({key})");
                responder.error(response::NO_PERMISSION, &remark);
            }
            Err(e) => refuse(responder, &e),
        }
    }

    fn apply(&self, changes: &Properties) -> Result<(), Error> {
        let _one_at_a_time = self.updating.lock();
        let mut changed = (*self.settings.snapshot()).clone();
        let black_list = changed.namesrv.config_black_list.clone();
        let updated = ::settings::update(&mut changed, changes, &black_list)?;
        for key in &updated.unknown {
            tracing::warn!("UPDATE_NAMESRV_CONFIG: unknown key {key:?} ignored");
        }
        for (key, value) in updated.to_keep() {
            tracing::info!("UPDATE_NAMESRV_CONFIG: {key}={value}");
        }
        let path = changed.namesrv.config_store_path.clone();
        if let Err(bad) = logs::set_levels(&changed.log.log_levels) {
            tracing::warn!("logLevels: {bad}");
        }
        self.settings.store(changed);
        let not_kept = |cause| Error::NotKept {
            path: path.clone(),
            cause,
        };
        let old = file::read(Path::new(&path))
            .map_err(not_kept)?
            .unwrap_or_default();
        let new = ::settings::edit(&String::from_utf8_lossy(&old), updated.to_keep());
        file::replace(Path::new(&path), new.as_bytes()).map_err(not_kept)
    }

    /// GET_NAMESRV_CONFIG.
    pub fn get(&self, request: Request, _: MayWait) {
        let text = ::settings::text(&*self.settings.snapshot());
        with_body(request.responder, text.into());
    }
}
