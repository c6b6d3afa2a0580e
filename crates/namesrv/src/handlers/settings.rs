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
    #[error("nothing is changed, the next start would refuse it: {0}")]
    NextStart(String),
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
        let path = changed.namesrv.config_store_path.clone();
        let text = file::read(Path::new(&path))
            .and_then(|old| ::settings::edit_kept(old.as_deref(), changed.config_file_given, &updated));
        if let Ok(text) = &text {
            changed.check_next_start(text).map_err(Error::NextStart)?;
        }
        for line in updated.unknown_lines(&changed) {
            tracing::warn!("UPDATE_NAMESRV_CONFIG: {line}");
        }
        for (key, value) in updated.to_keep() {
            tracing::info!("UPDATE_NAMESRV_CONFIG: {key}={value}");
        }
        if let Err(bad) = logs::set_levels(&changed.log.log_levels) {
            tracing::warn!("logLevels: {bad}");
        }
        self.settings.store(changed);
        text.and_then(|text| file::replace(Path::new(&path), &text))
            .map_err(|cause| Error::NotKept { path, cause })
    }

    /// GET_NAMESRV_CONFIG.
    pub fn get(&self, request: Request, _: MayWait) {
        let text = ::settings::text(&*self.settings.snapshot());
        with_body(request.responder, text.into());
    }
}
