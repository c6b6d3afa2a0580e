//! Accounts as tools change and read them: UPDATE_AND_CREATE_ACL_CONFIG (50), DELETE_ACL_CONFIG (51),
//! GET_BROKER_CLUSTER_ACL_INFO (52), UPDATE_GLOBAL_WHITE_ADDRS_CONFIG (53), GET_BROKER_CLUSTER_ACL_CONFIG (54).
//!
//! Codes and remarks: RocketMQ 4.9.7, AdminBrokerProcessor. All of them are for admins; in Java 4.9 every account may ask them.

use std::collections::BTreeMap;
use std::sync::Arc;

use acl::AccountUpdate;
use disk::Disk;
use protocol::body::topic::DataVersion;
use protocol::code::response;
use protocol::header::broker::{
    AclInfoResponseHeader, DeleteAclConfigRequestHeader, UpdateAclConfigRequestHeader,
    UpdateGlobalWhiteAddrsRequestHeader,
};
use remoting::{Body, Request};
use serde::Serialize;

use crate::access::{AccessFiles, ChangeError};
use crate::lane::MayWait;
use crate::settings::Settings;

/// The remark where access control is off. Java's 4.9 answers 52 with nothing at all then.
const OFF: &str = "access control is off (aclEnable=false)";

/// What the handler needs.
pub struct AclRequests<D: Disk> {
    /// The files of accounts, where access control is on.
    pub files: Option<Arc<AccessFiles<D>>>,
    /// Who this broker is.
    pub settings: Arc<settings::Live<Settings>>,
}

/// GET_BROKER_CLUSTER_ACL_CONFIG, in the order of Java's JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AclConfig {
    global_white_addrs: Vec<String>,
    plain_access_configs: Vec<PlainAccessConfig>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlainAccessConfig {
    access_key: String,
    admin: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_group_perm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_topic_perm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_perms: Option<Vec<String>>,
    secret_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_perms: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    white_remote_address: Option<String>,
}

impl<D: Disk> AclRequests<D> {
    /// UPDATE_AND_CREATE_ACL_CONFIG.
    pub fn update(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let changed = frame
            .header::<UpdateAclConfigRequestHeader<'_>>()
            .map_err(|e| e.to_string())
            .and_then(|header| {
                let files = self.files.as_ref().ok_or(OFF)?;
                let text = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned());
                let list = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| split(&text));
                let update = AccountUpdate {
                    access_key: text(header.access_key).unwrap_or_default(),
                    secret_key: text(header.secret_key).unwrap_or_default(),
                    white_remote_address: text(header.white_remote_address),
                    admin: header.admin.unwrap_or_default(),
                    default_topic_perm: text(header.default_topic_perm),
                    default_group_perm: text(header.default_group_perm),
                    topic_perms: list(header.topic_perms),
                    group_perms: list(header.group_perms),
                };
                files.put_account(&update).map_err(|e| e.to_string())
            });
        match changed {
            Ok(()) => responder.ok(),
            Err(why) => responder.error(response::UPDATE_AND_CREATE_ACL_CONFIG_FAILED, &why),
        }
    }

    /// DELETE_ACL_CONFIG.
    pub fn delete(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<DeleteAclConfigRequestHeader<'_>>();
        let key = header
            .ok()
            .and_then(|header| header.access_key)
            .unwrap_or_default();
        let deleted = match &self.files {
            None => Err(OFF.to_owned()),
            Some(files) => files.delete_account(&key).map_err(|e| match e {
                ChangeError::NoAccount(_) => {
                    format!("The accesskey[{key}] corresponding to accessConfig has been deleted failed.")
                }
                other => other.to_string(),
            }),
        };
        match deleted {
            Ok(()) => responder.ok(),
            Err(why) => responder.error(response::DELETE_ACL_CONFIG_FAILED, &why),
        }
    }

    /// UPDATE_GLOBAL_WHITE_ADDRS_CONFIG.
    pub fn update_white(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<UpdateGlobalWhiteAddrsRequestHeader<'_>>();
        let (addresses, file) = header.map_or((None, None), |header| {
            (header.global_white_addrs, header.acl_file_full_path)
        });
        let addresses = addresses.unwrap_or_default();
        let changed = match &self.files {
            None => Err(OFF.to_owned()),
            Some(files) => {
                let file = file.as_deref().filter(|file| !file.is_empty());
                files.set_white(&split(&addresses), file).map_err(|e| match e {
                    ChangeError::NoFile(_) => {
                        format!("The globalWhiteAddresses[{addresses}] has been updated failed.")
                    }
                    other => other.to_string(),
                })
            }
        };
        match changed {
            Ok(()) => responder.ok(),
            Err(why) => responder.error(response::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED, &why),
        }
    }

    /// GET_BROKER_CLUSTER_ACL_INFO: the versions of the files.
    pub fn info(&self, request: Request, _: MayWait) {
        let Some(files) = &self.files else {
            return request.responder.error(response::SYSTEM_ERROR, OFF);
        };
        let (versions, default) = files.versions();
        let versions: BTreeMap<String, serde_json::Value> = versions
            .into_iter()
            .map(|(path, version)| (path.display().to_string(), version_json(version)))
            .collect();
        let settings = self.settings.load();
        let header = AclInfoResponseHeader {
            version: version_json(default).to_string(),
            all_acl_file_version: serde_json::to_string(&versions).expect("plain numbers"),
            broker_addr: settings.broker_addr(),
            broker_name: settings.broker.broker_name.clone(),
            cluster_name: settings.broker.broker_cluster_name.clone(),
        };
        request
            .responder
            .reply(response::SUCCESS, None, &header, Body::Empty);
    }

    /// GET_BROKER_CLUSTER_ACL_CONFIG: everything, secrets included: that is what it is for.
    pub fn config(&self, request: Request, _: MayWait) {
        let Some(files) = &self.files else {
            return request.responder.error(response::SYSTEM_ERROR, OFF);
        };
        let (global_white_addrs, accounts) = match files.contents() {
            Ok(contents) => contents,
            Err(e) => return request.responder.error(response::SYSTEM_ERROR, &e.to_string()),
        };
        let configs = accounts.into_iter().map(|account| {
            let config = account.config;
            PlainAccessConfig {
                access_key: config.access_key,
                admin: config.admin,
                default_group_perm: config.default_group_perm,
                default_topic_perm: config.default_topic_perm,
                group_perms: config.group_perms,
                secret_key: config.secret_key,
                topic_perms: config.topic_perms,
                white_remote_address: config.white_remote_address,
            }
        });
        request.responder.body(&AclConfig {
            global_white_addrs,
            plain_access_configs: configs.collect(),
        });
    }
}

/// As Java's 4.9 writes it: without the version of a controller.
fn version_json(version: DataVersion) -> serde_json::Value {
    serde_json::json!({ "counter": version.counter, "timestamp": version.timestamp })
}

/// The items between commas; those within braces separate nothing. (Unlike Java, which so can not take `10.1.1.{2,3}`.)
fn split(list: &str) -> Vec<String> {
    let mut items = Vec::new();
    let (mut item, mut depth) = (String::new(), 0usize);
    for c in list.chars() {
        match c {
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            _ => {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                item.push(c);
            }
        }
    }
    items.push(item);
    items.retain(|item| !item.trim().is_empty());
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tools() {
        for (list, items) in [
            ("", &[][..]),
            ("a=PUB", &["a=PUB"]),
            ("a=PUB,b=SUB,", &["a=PUB", "b=SUB"]),
            ("10.1.1.{2,3},10.2.*.*", &["10.1.1.{2,3}", "10.2.*.*"]),
            ("},{", &["}", "{"]),
        ] {
            assert_eq!(split(list), items, "{list}");
        }
    }
}
