//! Maps whose keys are objects (`Map<MessageQueue, …>`): `#[serde(with = "object_keys")]`.
//!
//! Written in the quoted form, the key's own JSON as text, which is legal JSON and which Java reads as well, or by
//! [`super::write_object_keys`] in fastjson's raw form; read from both through [`super::read`].

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Writes the map.
pub fn serialize<S: Serializer, K: Serialize, V: Serialize>(
    map: &BTreeMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_map(Some(map.len()))?;
    for (key, value) in map {
        let text = serde_json::to_string(key).map_err(S::Error::custom)?;
        out.serialize_entry(&text, value)?;
    }
    out.end()
}

/// Reads the map; null is empty.
pub fn deserialize<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: DeserializeOwned + Ord,
    V: Deserialize<'de>,
{
    struct Map<K, V>(PhantomData<(K, V)>);
    impl<'de, K: DeserializeOwned + Ord, V: Deserialize<'de>> Visitor<'de> for Map<K, V> {
        type Value = BTreeMap<K, V>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map with objects as keys")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(text) = access.next_key::<String>()? {
                let key = super::read(text.as_bytes()).map_err(A::Error::custom)?;
                map.insert(key, access.next_value()?);
            }
            Ok(map)
        }
    }
    deserializer.deserialize_any(Map(PhantomData))
}
