//! Accounts of 4.9: updateAclConfig, deleteAclConfig, clusterAclConfigVersion, updateGlobalWhiteAddr.

use crate::failure::Failure;
use crate::job::Job;
use crate::net::{Net, read_header, some};
use crate::output::{Cell, Out, Table};
use crate::parse::bad_value;
use crate::table::{Command, Run, one_of, required, value};
use crate::time;
use bytes::Bytes;
use protocol::body::DataVersion;
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::{
    AclInfoResponseHeader, DeleteAclConfigRequestHeader, UpdateAclConfigRequestHeader,
    UpdateGlobalWhiteAddrsRequestHeader,
};
use remoting::Body;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "updateAclConfig",
        alias: None,
        about: "makes an account in the files of brokers or changes it",
        options: &[
            one_of('b', "brokerAddr", "the broker"),
            one_of('c', "clusterName", "the cluster, masters and slaves"),
            required('a', "accessKey", "the account's name"),
            required('s', "secretKey", "its secret"),
            value('w', "whiteRemoteAddress", "where it needs no signature"),
            value(
                'i',
                "defaultTopicPerm",
                "its permission for topics that are not listed: DENY, PUB, SUB, PUB|SUB",
            ),
            value('u', "defaultGroupPerm", "the same for groups"),
            value('t', "topicPerms", "its topics: topicA=DENY,topicD=SUB"),
            value('g', "groupPerms", "its groups: groupA=DENY,groupD=SUB"),
            value('m', "admin", "whether it may do what operators do"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(update(job, out))),
    },
    Command {
        name: "deleteAclConfig",
        alias: Some("deleteAccessConfig"),
        about: "deletes an account from the files of brokers",
        options: &[
            one_of('b', "brokerAddr", "the broker"),
            one_of('c', "clusterName", "the cluster, masters and slaves"),
            required('a', "accessKey", "the account's name"),
        ],
        asks: Some("Delete account {accessKey} from {brokerAddr}{clusterName}?"),
        run: Run::Online(|job, out| Box::pin(delete(job, out))),
    },
    Command {
        name: "clusterAclConfigVersion",
        alias: None,
        about: "lists the files of accounts and how new they are",
        options: &[
            one_of('b', "brokerAddr", "the broker"),
            one_of('c', "clusterName", "the cluster"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(versions(job, out))),
    },
    Command {
        name: "updateGlobalWhiteAddr",
        alias: None,
        about: "sets the addresses that need no signature, in the files of brokers",
        options: &[
            one_of('b', "brokerAddr", "the broker"),
            one_of('c', "clusterName", "the cluster, masters and slaves"),
            required(
                'g',
                "globalWhiteRemoteAddresses",
                "patterns: 10.10.103.*,192.168.0.*",
            ),
            value(
                'p',
                "aclFileFullPath",
                "the file [default: the broker's plain_acl.yml]",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(white_addresses(job, out))),
    },
];

async fn update(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let admin = given.switch("admin")?;
    let own = |name: &str| given.text(name).map(str::to_owned);
    let names = [
        "accessKey",
        "secretKey",
        "whiteRemoteAddress",
        "defaultTopicPerm",
        "defaultGroupPerm",
        "topicPerms",
        "groupPerms",
    ];
    let [
        access_key,
        secret_key,
        white,
        topic_perm,
        group_perm,
        topics,
        groups,
    ] = names.map(|name| own(name).map(Into::into));
    let header = UpdateAclConfigRequestHeader {
        access_key,
        secret_key,
        white_remote_address: white,
        admin: Some(admin.unwrap_or_default()),
        default_topic_perm: topic_perm,
        default_group_perm: group_perm,
        topic_perms: topics,
        group_perms: groups,
    };
    let key = given.required("accessKey");
    let (brokers, code) = (job.brokers().await?, request::UPDATE_AND_CREATE_ACL_CONFIG);
    for address in job.net.tell(out, brokers, code, header, Bytes::new()).await? {
        out.either(
            &format!("create or update plain access config to {address} success.\n"),
            json!({"brokerAddr": address, "accessKey": key}),
        );
    }
    // Unlike Java, which prints where the object is in its memory.
    out.text(&format!("account's accesskey is:{key}"));
    Ok(())
}

async fn delete(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let key = job.given.required("accessKey");
    let header = DeleteAclConfigRequestHeader {
        access_key: Some(key.to_owned().into()),
    };
    let (brokers, code) = (job.brokers().await?, request::DELETE_ACL_CONFIG);
    for address in job.net.tell(out, brokers, code, header, Bytes::new()).await? {
        out.either(
            &format!("delete plain access config account from {address} success.\n"),
            json!({"brokerAddr": address, "accessKey": key}),
        );
    }
    out.text(&format!("account's accesskey is:{key}"));
    Ok(())
}

async fn white_addresses(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let addresses = job.given.required("globalWhiteRemoteAddresses");
    if addresses.is_empty() {
        let long = "globalWhiteRemoteAddresses";
        return Err(bad_value(long, addresses, "one pattern at least"));
    }
    let file = job.given.text("aclFileFullPath").map(str::to_owned);
    let header = UpdateGlobalWhiteAddrsRequestHeader {
        global_white_addrs: Some(addresses.to_owned().into()),
        acl_file_full_path: file.map(Into::into),
    };
    let (brokers, code) = (job.brokers().await?, request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG);
    for address in job.net.tell(out, brokers, code, header, Bytes::new()).await? {
        out.either(
            &format!("update global white remote addresses to {address} success.\n"),
            json!({"brokerAddr": address, "globalWhiteRemoteAddresses": addresses}),
        );
    }
    Ok(())
}

const VERSIONS: Table = Table {
    titles: "%-16s  %-22s  %-22s  %-20s  %-22s  %-22s%n",
    row: "%-16s  %-22s  %-22s  %-20s  %-22s  %-22s%n",
    columns: &[
        ("#Cluster Name", "clusterName"),
        ("#Broker Name", "brokerName"),
        ("#Broker Addr", "brokerAddr"),
        ("#AclFilePath", "aclFilePath"),
        ("#AclConfigVersionNum", "version"),
        ("#AclLastUpdateTime", "lastUpdateTimestamp"),
    ],
};

/// What a broker says of its files.
struct Told {
    head: AclInfoResponseHeader,
    files: BTreeMap<String, DataVersion>,
}

async fn versions(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let work = |net: Net, address: String| async move {
        let code = request::GET_BROKER_CLUSTER_ACL_INFO;
        let answer = net.ask(&address, code, &NoHeader, Body::Empty).await?;
        let head: AclInfoResponseHeader = read_header(&address, &answer)?;
        let files = protocol::body::read(head.all_acl_file_version.as_bytes());
        let files = files.map_err(|cause| client::Error::BadAnswer {
            peer: address,
            cause: cause.to_string(),
        })?;
        Ok(Told { head, files })
    };
    let told = some(out, job.net.each(job.masters().await?, work).await)?;
    let of_cluster = !job.given.has("brokerAddr");
    if of_cluster {
        out.titles(&VERSIONS);
    }
    for (_, Told { head, files }) in &told {
        for (path, version) in files {
            out.row(
                &VERSIONS,
                [
                    (&head.cluster_name).into(),
                    (&head.broker_name).into(),
                    (&head.broker_addr).into(),
                    path.into(),
                    version.counter.into(),
                    Cell::shown(time::seconds(version.timestamp), version.timestamp),
                ],
            );
        }
    }
    out.line(match of_cluster {
        true => "get cluster's plain access config version success.",
        false => "get broker's plain access config version success.",
    });
    Ok(())
}
