//! Bodies of a name server: registration, routes, cluster and member group.

use super::topic::{DataVersion, TopicConfig};
use super::{BodyError, OBJECT_BYTES, de, read_within, weight};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// A topic table with its version: part of a registration, and the reply to GET_ALL_TOPIC_CONFIG.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfigTable {
    /// How new the table is.
    #[serde(deserialize_with = "de::or_default")]
    pub data_version: DataVersion,
    /// Topic to configuration.
    #[serde(deserialize_with = "de::or_default")]
    pub topic_config_table: BTreeMap<String, TopicConfig>,
    /// Since 5.x: mapping of static topics, topic to its description, passed on as it came.
    #[serde(
        deserialize_with = "de::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub topic_queue_mapping_info_map: BTreeMap<String, Value>,
}

/// Java's name of it, less the "Serialize".
pub type TopicConfigWrapper = TopicConfigTable;

/// REGISTER_BROKER's body.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RegisterBrokerBody {
    /// Addresses of filter servers; historical.
    #[serde(deserialize_with = "de::or_default")]
    pub filter_server_list: Vec<String>,
    /// The broker's topics.
    #[serde(deserialize_with = "de::or_default")]
    pub topic_config_serialize_wrapper: TopicConfigTable,
}

impl RegisterBrokerBody {
    /// Reads the body as the header and the sender's version say it is. No body is an empty table, as in Java.
    ///
    /// What it becomes may be far larger than what came, of a few bytes a topic and packed besides: it takes some `max_bytes` of
    /// memory at most, by the length of its texts and the number of its objects.
    ///
    /// # Errors
    /// It is damaged, or would take more.
    pub fn read(
        body: &[u8],
        compressed: bool,
        version: i32,
        max_bytes: usize,
    ) -> Result<RegisterBrokerBody, BodyError> {
        if body.is_empty() {
            return Ok(RegisterBrokerBody::default());
        }
        if version < crate::version::V3_0_11 {
            let table = read_within(body, max_bytes)?;
            return Ok(RegisterBrokerBody {
                topic_config_serialize_wrapper: table,
                ..Default::default()
            });
        }
        if compressed {
            Self::read_compressed(body, version, max_bytes)
        } else {
            read_within(body, max_bytes)
        }
    }

    /// The JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        super::write(self).into()
    }

    /// Unpacks the compressed form, a zlib stream of:
    ///
    /// | size | content |
    /// |---|---|
    /// | 4 + n | DataVersion as JSON |
    /// | 4 | number of topics |
    /// | 4 + n each | `name read write perm FILTER [attributesJson]` |
    /// | 4 + n | filter servers as JSON |
    /// | 4, then 4 + n each | from version 413: mapping of static topics as JSON |
    fn read_compressed(body: &[u8], version: i32, max_bytes: usize) -> Result<RegisterBrokerBody, BodyError> {
        let mut source = flate2::read::ZlibDecoder::new(body);
        let mut room = Room::of(max_bytes);
        let mut out = RegisterBrokerBody::default();
        let wrapper = &mut out.topic_config_serialize_wrapper;
        wrapper.data_version = super::read(&json_piece(&mut source, &mut room)?)?;
        for _ in 0..count(&mut source)? {
            room.take(OBJECT_BYTES)?;
            let text = piece(&mut source, &mut room)?;
            let line = String::from_utf8_lossy(&text);
            let topic = TopicConfig::from_line(&line).ok_or(BodyError::Damaged("a topic line"))?;
            wrapper.topic_config_table.insert(topic.topic_name.clone(), topic);
        }
        let filters = json_piece(&mut source, &mut room)?;
        if !filters.is_empty() {
            out.filter_server_list = super::read::<Option<_>>(&filters)?.unwrap_or_default();
        }
        if version >= crate::version::V5_0_0 {
            for _ in 0..count(&mut source)? {
                room.take(OBJECT_BYTES)?;
                let mapping: Value = super::read(&json_piece(&mut source, &mut room)?)?;
                let topic = mapping
                    .get("topic")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                out.topic_config_serialize_wrapper
                    .topic_queue_mapping_info_map
                    .insert(topic, mapping);
            }
        }
        Ok(out)
    }

    /// Packs the compressed form as our own version has it.
    pub fn to_compressed(&self) -> Vec<u8> {
        self.to_compressed_for(crate::VERSION)
    }

    /// Packs the compressed form for a frame that says `version`.
    pub fn to_compressed_for(&self, version: i32) -> Vec<u8> {
        let wrapper = &self.topic_config_serialize_wrapper;
        let mut plain = Vec::new();
        put_piece(&mut plain, &super::write(&wrapper.data_version));
        put_int(&mut plain, wrapper.topic_config_table.len());
        for topic in wrapper.topic_config_table.values() {
            put_piece(&mut plain, topic.to_line().as_bytes());
        }
        put_piece(&mut plain, &super::write(&self.filter_server_list));
        if version >= crate::version::V5_0_0 {
            put_int(&mut plain, wrapper.topic_queue_mapping_info_map.len());
            for mapping in wrapper.topic_queue_mapping_info_map.values() {
                put_piece(&mut plain, &super::write(mapping));
            }
        }
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        let packed = zlib.write_all(&plain).and_then(|()| zlib.finish());
        packed.expect("writing to memory does not fail")
    }
}

/// CRC-32 of a registration body as the header carries it: sign bit cleared.
pub fn body_crc32(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7FFF_FFFF) as i32
}

fn put_int(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u32).to_be_bytes());
}

fn put_piece(out: &mut Vec<u8>, piece: &[u8]) {
    put_int(out, piece.len());
    out.extend_from_slice(piece);
}

fn count(source: &mut impl Read) -> Result<u32, BodyError> {
    let mut word = [0; 4];
    source
        .read_exact(&mut word)
        .map_err(|_| BodyError::Damaged("the compressed stream ends early"))?;
    u32::try_from(i32::from_be_bytes(word)).map_err(|_| BodyError::Damaged("a negative length"))
}

/// What is left of the memory that a body may take.
struct Room {
    left: usize,
    limit: usize,
}

impl Room {
    fn of(limit: usize) -> Room {
        Room { left: limit, limit }
    }

    fn take(&mut self, bytes: usize) -> Result<(), BodyError> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(BodyError::TooLarge { limit: self.limit })?;
        Ok(())
    }
}

/// One length-prefixed piece. Memory grows with what arrives, not with the announced length.
fn piece(source: &mut impl Read, room: &mut Room) -> Result<Vec<u8>, BodyError> {
    let len = count(source)?;
    room.take(len as usize)?;
    let mut out = Vec::new();
    let read = source.take(u64::from(len)).read_to_end(&mut out);
    match read {
        Ok(n) if n == len as usize => Ok(out),
        _ => Err(BodyError::Damaged("the compressed stream ends early")),
    }
}

/// One of JSON.
fn json_piece(source: &mut impl Read, room: &mut Room) -> Result<Vec<u8>, BodyError> {
    let json = piece(source, room)?;
    room.take(weight(&json) - json.len())?;
    Ok(json)
}

/// The brokers of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerData {
    /// Broker id to address.
    #[serde(deserialize_with = "de::or_default")]
    pub broker_addrs: BTreeMap<i64, String>,
    /// Broker name.
    #[serde(deserialize_with = "de::scalar")]
    pub broker_name: String,
    /// Cluster.
    #[serde(deserialize_with = "de::scalar")]
    pub cluster: String,
    /// Since 5.x.
    #[serde(deserialize_with = "de::scalar")]
    pub enable_acting_master: bool,
    /// Since 5.x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
}

/// A topic's queues on the brokers of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueueData {
    /// Broker name.
    #[serde(deserialize_with = "de::scalar")]
    pub broker_name: String,
    /// 2 write, 4 read.
    #[serde(deserialize_with = "de::scalar")]
    pub perm: i32,
    /// Number of queues to read.
    #[serde(deserialize_with = "de::scalar")]
    pub read_queue_nums: i32,
    /// 1 unit, 2 unit subscription. Java read the field as `topicSynFlag` until 4.9.
    #[serde(deserialize_with = "de::scalar", alias = "topicSynFlag")]
    pub topic_sys_flag: i32,
    /// Number of queues to write.
    #[serde(deserialize_with = "de::scalar")]
    pub write_queue_nums: i32,
}

/// GET_ROUTEINFO_BY_TOPIC's reply, and the body of REGISTER_TOPIC_IN_NAMESRV.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicRouteData {
    /// Brokers that have the topic.
    #[serde(deserialize_with = "de::or_default")]
    pub broker_datas: Vec<BrokerData>,
    /// Broker address to filter servers; historical.
    #[serde(deserialize_with = "de::or_default")]
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// `broker-a:8;broker-b:8` for an order topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// Its queues.
    #[serde(deserialize_with = "de::or_default")]
    pub queue_datas: Vec<QueueData>,
    /// Since 5.x: broker name to the mapping of a static topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_queue_mapping_by_broker: Option<BTreeMap<String, Value>>,
}

/// GET_BROKER_CLUSTER_INFO's reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterInfo {
    /// Broker name to its brokers.
    #[serde(deserialize_with = "de::or_default")]
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Cluster to broker names.
    #[serde(deserialize_with = "de::or_default")]
    pub cluster_addr_table: BTreeMap<String, Vec<String>>,
}

/// The members of a [`MemberGroupBody`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerMemberGroup {
    /// Broker id to address.
    #[serde(deserialize_with = "de::or_default")]
    pub broker_addrs: BTreeMap<i64, String>,
    /// Broker name.
    #[serde(deserialize_with = "de::scalar")]
    pub broker_name: String,
    /// Cluster.
    #[serde(deserialize_with = "de::scalar")]
    pub cluster: String,
}

/// GET_BROKER_MEMBER_GROUP's reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MemberGroupBody {
    /// The members.
    pub broker_member_group: BrokerMemberGroup,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(topics: usize) -> RegisterBrokerBody {
        let mut body = RegisterBrokerBody::default();
        let wrapper = &mut body.topic_config_serialize_wrapper;
        wrapper.data_version = DataVersion {
            counter: 5,
            state_version: 0,
            timestamp: 1_700_000_000_000,
        };
        for i in 0..topics {
            let name = format!("T{i}");
            wrapper.topic_config_table.insert(
                name.clone(),
                TopicConfig {
                    topic_name: name,
                    perm: 6,
                    ..TopicConfig::default()
                },
            );
        }
        body
    }

    const ROOM: usize = 1 << 20;

    /// What a few bytes become is counted, packed or not, and nothing is built beyond the limit.
    #[test]
    fn a_body_takes_no_more_memory_than_it_may() {
        let body = body(100);
        let too_large = |bytes: &[u8], compressed, version, max| {
            let read = RegisterBrokerBody::read(bytes, compressed, version, max);
            matches!(read, Err(BodyError::TooLarge { limit }) if limit == max)
        };
        for version in [409, 479] {
            let packed = body.to_compressed_for(version);
            assert!(packed.len() < 1000);
            assert!(too_large(&packed, true, version, 100 * OBJECT_BYTES));
            assert!(!too_large(&packed, true, version, 100 * (OBJECT_BYTES + 50)));
        }
        assert!(too_large(&body.to_json(), false, 409, 100 * OBJECT_BYTES));
        let table = super::super::write(&body.topic_config_serialize_wrapper);
        assert!(too_large(&table, false, 36, 100 * OBJECT_BYTES));
        // Ten thousand values in twenty thousand bytes.
        let list = format!(r#"{{"filterServerList":[{}""]}}"#, r#""","#.repeat(10_000));
        assert!(too_large(list.as_bytes(), false, 409, 10_000 * 32));
        // Announced, and nothing behind it.
        let mut huge = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        huge.write_all(&[0x7F, 0xFF, 0xFF, 0xFF]).expect("memory");
        assert!(too_large(&huge.finish().expect("memory"), true, 409, ROOM));
    }

    #[test]
    fn both_forms_read_back() {
        let body = body(100);
        assert_eq!(
            RegisterBrokerBody::read(&body.to_json(), false, 409, ROOM).expect("JSON"),
            body
        );
        for version in [409, 479] {
            let packed = body.to_compressed_for(version);
            assert_eq!(
                RegisterBrokerBody::read(&packed, true, version, ROOM).expect("packed"),
                body
            );
            // The last four bytes are a checksum of what has been read by then.
            for cut in [0, 1, packed.len() / 2, packed.len() - 8] {
                let read = RegisterBrokerBody::read(&packed[..cut], true, version, ROOM);
                assert!(cut == 0 || read.is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn old_versions_send_the_table_alone() {
        let table = body(3).topic_config_serialize_wrapper;
        let read = RegisterBrokerBody::read(&super::super::write(&table), false, 36, ROOM).expect("old");
        assert_eq!(read.topic_config_serialize_wrapper, table);
    }

    #[test]
    fn topic_lines() {
        let topic = TopicConfig::from_line("T 8 4 6 SINGLE_TAG {\"message.type\":\"NORMAL\"}").expect("line");
        assert_eq!(
            (topic.read_queue_nums, topic.write_queue_nums, topic.perm),
            (8, 4, 6)
        );
        assert_eq!(topic.attributes["message.type"], "NORMAL");
        assert_eq!(TopicConfig::from_line(&topic.to_line()), Some(topic));
        for bad in ["", "T", "T 1 2", "T a 2 6 SINGLE_TAG", "T 1 2 6 OTHER_TAG"] {
            assert_eq!(TopicConfig::from_line(bad), None, "{bad}");
        }
    }

    #[test]
    fn route_data_as_java_writes_it() {
        let java = r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}"#;
        let route: TopicRouteData = crate::body::read(java.as_bytes()).expect("Java's");
        assert_eq!(route.broker_datas[0].broker_addrs[&0], "10.0.0.1:10911");
        assert_eq!(crate::body::write_fastjson(&route), java);
    }
}
