//! JSON bodies: read as tolerantly as fastjson does, written as it writes.
//!
//! [`read`] takes strict JSON at serde's speed and falls back to a rewriting of fastjson's dialect (bare map keys, object
//! keys, single quotes, comments, `$ref`). [`write`] gives strict JSON, [`write_fastjson`] the form with bare integer keys
//! that 4.x clients are used to, [`write_browser`] the strict form with everything beyond ASCII escaped.
//!
//! Structs that are read have `#[serde(default)]` and take their scalars through [`de`]: peers leave out any field and
//! write numbers as strings.

pub mod auth;
pub mod broker;
pub mod de;
mod dialect;
pub mod namesrv;
pub mod object_keys;
pub mod operator;
pub mod topic;

pub use dialect::normalise;
pub use topic::{
    DataVersion, KvTable, MessageQueue, TopicConfig, TopicConfigList, TopicFilterType, TopicList,
};

use bytes::Bytes;
use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde_json::ser::Formatter;
use std::io;

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// serde would take its elements for the fields in their order, and nothing for all defaults; fastjson takes neither.
    #[error("the body is a list, expected an object")]
    List,
    /// There is none, and this request needs one.
    #[error("the request has no body")]
    Missing,
    /// Not JSON in any dialect.
    #[error(transparent)]
    Json(#[from] crate::JsonError),
    /// JSON, of another shape.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    /// A binary body cut short or otherwise damaged.
    #[error("damaged body: {0}")]
    Damaged(&'static str),
    /// What it becomes takes more memory than is allowed.
    #[error("the body takes more than {limit} bytes of memory, unpacked and read")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// What an object is counted with besides its text: an entry of a table.
const OBJECT_BYTES: usize = 256;
/// The same for an element of a list, and a field.
const ELEMENT_BYTES: usize = 32;

/// Some bytes of memory that JSON takes once it is read, by its length and by what starts an object, an element or a field; in texts
/// these count, too. Never less than what it really takes by much, never much more for what people mean.
fn weight(json: &[u8]) -> usize {
    let structure = json.iter().map(|byte| match byte {
        b'{' => OBJECT_BYTES,
        b',' | b'[' => ELEMENT_BYTES,
        _ => 0,
    });
    json.len() + structure.sum::<usize>()
}

/// What the JSON body of a request may take once it is read, in bytes: some 100,000 topics.
pub const REQUEST_MAX_BYTES: usize = 64 << 20;
/// What references in a file or an answer may become, in bytes.
const RESOLVED_MAX_BYTES: usize = 256 << 20;

/// As [`read`], of the body of a request. Whoever looks at a body before its handler reads it has to read it by this, too, so that none
/// sees what another refuses.
///
/// # Errors
/// It can not be read, or would take more than [`REQUEST_MAX_BYTES`].
pub fn read_request<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    read_within(body, REQUEST_MAX_BYTES)
}

/// As [`read`], of a body that may take some `max_bytes` of memory: `{},{},{},…` takes a hundred times what came.
///
/// # Errors
/// It can not be read, or would take more.
pub fn read_within<T: DeserializeOwned>(body: &[u8], max_bytes: usize) -> Result<T, BodyError> {
    if weight(body) > max_bytes {
        return Err(BodyError::TooLarge { limit: max_bytes });
    }
    read_resolved(body, max_bytes)
}

/// Reads a JSON body, strict or in fastjson's dialect: a file, or an answer of a server that this one has asked.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    read_resolved(body, RESOLVED_MAX_BYTES)
}

/// Reads JSON whose references may become so many bytes.
fn read_resolved<T: DeserializeOwned>(body: &[u8], max_bytes: usize) -> Result<T, BodyError> {
    if body.is_empty() {
        return Err(BodyError::Missing);
    }
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') && is_struct::<T>() {
        return Err(BodyError::List);
    }
    // serde would take {"$ref": …} for an object of which it knows no field. One look whether all of it is UTF-8 costs
    // less than one at each of its many short texts.
    if !contains(body, b"$ref")
        && let Ok(text) = std::str::from_utf8(body)
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    let strict = dialect::normalise(body)?;
    if contains(strict.as_bytes(), b"\"$ref\"") {
        return Ok(serde_json::from_value(dialect::resolve_references(
            &strict, max_bytes,
        )?)?);
    }
    Ok(serde_json::from_str(&strict)?)
}

/// Whether values of this type are objects with fields.
fn is_struct<T: DeserializeOwned>() -> bool {
    matches!(T::deserialize(Kind), Err(KindError { is_struct: true }))
}

/// Has no value, and says in its error whether a struct was asked for.
struct Kind;

#[derive(Debug, thiserror::Error)]
#[error("no value")]
struct KindError {
    is_struct: bool,
}

impl serde::de::Error for KindError {
    fn custom<M: std::fmt::Display>(_: M) -> Self {
        KindError { is_struct: false }
    }
}

impl<'de> Deserializer<'de> for Kind {
    type Error = KindError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, KindError> {
        Err(KindError { is_struct: false })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, KindError> {
        Err(KindError { is_struct: true })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

/// Strict JSON; map keys quoted.
pub fn write<T: Serialize>(value: &T) -> Bytes {
    finish(serde_json::to_vec(value))
}

/// fastjson's default form: integer map keys bare (`{0:"a"}`).
pub fn write_fastjson<T: Serialize>(value: &T) -> Bytes {
    write_with(value, BareKeys { string: Quote::None })
}

/// fastjson's default form of maps whose keys are objects ([`object_keys`]): the keys as they are, `{{"queueId":0}:7}`. A client in Go reads
/// no other. For bodies whose maps have no texts of others as keys: one that begins with a brace would be taken for an object.
pub fn write_object_keys<T: Serialize>(value: &T) -> Bytes {
    write_with(value, RawKeys { key: Key::None })
}

/// fastjson's browser-compatible form: strict, and every character beyond ASCII and every `/` escaped.
pub fn write_browser<T: Serialize>(value: &T) -> Bytes {
    write_with(value, Browser)
}

/// Indented as fastjson's `toJSONString(value, true)`: a tab a level, no blank behind the colon. For files.
pub fn write_pretty<T: Serialize>(value: &T) -> Bytes {
    write_with(value, Pretty { depth: 0, any: false })
}

/// [`write_pretty`] with integer map keys bare, as Java writes its offset files.
pub fn write_pretty_fastjson<T: Serialize>(value: &T) -> Bytes {
    write_with(
        value,
        PrettyBare {
            pretty: Pretty { depth: 0, any: false },
            keys: BareKeys { string: Quote::None },
        },
    )
}

fn write_with<T: Serialize, F: Formatter>(value: &T, formatter: F) -> Bytes {
    let mut out = Vec::new();
    let done = value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter));
    finish(done.map(|()| out))
}

fn finish(done: Result<Vec<u8>, serde_json::Error>) -> Bytes {
    // Fails only for a map key that is neither text nor number; our own types have none.
    Bytes::from(done.expect("bodies have text or integer keys"))
}

#[derive(Clone, Copy, PartialEq)]
enum Quote {
    None,
    /// A string has begun and nothing of it is written: it may turn out to be an integer key.
    Pending,
    Open,
}

struct BareKeys {
    string: Quote,
}

impl BareKeys {
    fn open<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.string == Quote::Pending {
            self.string = Quote::Open;
            writer.write_all(b"\"")?;
        }
        Ok(())
    }
}

impl Formatter for BareKeys {
    fn begin_string<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.string = Quote::Pending;
        Ok(())
    }

    fn write_i32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i32) -> io::Result<()> {
        self.write_i64(writer, i64::from(value))
    }

    fn write_i64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.string = Quote::None;
        write!(writer, "{value}")
    }

    fn write_u32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u32) -> io::Result<()> {
        self.write_u64(writer, u64::from(value))
    }

    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        self.string = Quote::None;
        write!(writer, "{value}")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.open(writer)?;
        writer.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: serde_json::ser::CharEscape,
    ) -> io::Result<()> {
        self.open(writer)?;
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match std::mem::replace(&mut self.string, Quote::None) {
            Quote::None => Ok(()),
            Quote::Pending => writer.write_all(b"\"\""),
            Quote::Open => writer.write_all(b"\""),
        }
    }
}

/// Where the writing of a key is.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    None,
    /// It begins.
    Begun,
    /// It is the text of an object, which is written without quotes.
    Raw,
}

struct RawKeys {
    key: Key,
}

impl Formatter for RawKeys {
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.key = Key::Begun;
        serde_json::ser::CompactFormatter.begin_object_key(writer, first)
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.key {
            Key::Begun => Ok(()),
            Key::None | Key::Raw => writer.write_all(b"\""),
        }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.key == Key::Begun {
            match fragment.starts_with('{') {
                true => self.key = Key::Raw,
                false => self.quote(writer)?,
            }
        }
        writer.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: serde_json::ser::CharEscape,
    ) -> io::Result<()> {
        use serde_json::ser::CharEscape::{Quote, ReverseSolidus};
        match (self.key, &escape) {
            // What the object's own text has.
            (Key::Raw, Quote) => return writer.write_all(b"\""),
            (Key::Raw, ReverseSolidus) => return writer.write_all(b"\\"),
            (Key::Begun, _) => self.quote(writer)?,
            _ => {}
        }
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match std::mem::replace(&mut self.key, Key::None) {
            Key::None => writer.write_all(b"\""),
            Key::Begun => writer.write_all(b"\"\""),
            Key::Raw => Ok(()),
        }
    }
}

impl RawKeys {
    /// The key is a text.
    fn quote<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.key = Key::None;
        writer.write_all(b"\"")
    }
}

struct Browser;

impl Formatter for Browser {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut start = 0;
        for (at, c) in fragment
            .char_indices()
            .filter(|(_, c)| *c == '/' || *c >= '\u{7F}')
        {
            writer.write_all(&fragment.as_bytes()[start..at])?;
            start = at + c.len_utf8();
            if c == '/' {
                writer.write_all(b"\\/")?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04X}")?;
                }
            }
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }
}

struct Pretty {
    depth: usize,
    any: bool,
}

impl Pretty {
    fn line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"\t"))
    }

    fn begin<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.any = false;
        writer.write_all(bracket)
    }

    fn end<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.any {
            self.line(writer)?;
        }
        self.any = true;
        writer.write_all(bracket)
    }

    fn element<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }
}

impl Formatter for Pretty {
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.element(writer, first)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.any = true;
        Ok(())
    }
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.element(writer, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.any = true;
        Ok(())
    }
}

struct PrettyBare {
    pretty: Pretty,
    keys: BareKeys,
}

impl Formatter for PrettyBare {
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object(writer)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object(writer)
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.pretty.begin_object_key(writer, first)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_array(writer)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array(writer)
    }
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.pretty.begin_array_value(writer, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }
    fn begin_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.keys.begin_string(writer)
    }
    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.keys.end_string(writer)
    }
    fn write_i32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i32) -> io::Result<()> {
        self.keys.write_i32(writer, value)
    }
    fn write_i64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.keys.write_i64(writer, value)
    }
    fn write_u32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u32) -> io::Result<()> {
        self.keys.write_u32(writer, value)
    }
    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        self.keys.write_u64(writer, value)
    }
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.keys.write_string_fragment(writer, fragment)
    }
    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: serde_json::ser::CharEscape,
    ) -> io::Result<()> {
        self.keys.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Sample {
        addrs: BTreeMap<i64, String>,
        list: Vec<i32>,
        name: String,
    }

    #[test]
    fn a_list_is_no_object() {
        for text in ["[]", " \n[{},[1],\"name\"]", "[{addrs:{}}]"] {
            let read = read::<Sample>(text.as_bytes());
            assert!(matches!(read, Err(BodyError::List)), "{text}: {read:?}");
        }
        assert_eq!(read::<Vec<i32>>(b" [1, 2]").unwrap(), [1, 2]);
        assert_eq!(read::<serde_json::Value>(b"[]").unwrap(), serde_json::json!([]));
        assert_eq!(read::<Option<Sample>>(b"null").unwrap(), None);
    }

    /// A reference is short, and what it points at need not be.
    #[test]
    fn references_count_with_what_they_become() {
        let copies = |count: usize| {
            let list = vec![r#"{"$ref":"$.name"}"#; count].join(",");
            format!(r#"{{"name":"{}","copies":[{list}]}}"#, "x".repeat(100_000))
        };
        let few: serde_json::Value = read_within(copies(5).as_bytes(), 1 << 20).unwrap();
        assert_eq!(few["copies"][4].as_str().map(str::len), Some(100_000));
        let many = read_within::<serde_json::Value>(copies(12).as_bytes(), 1 << 20);
        assert!(
            matches!(many, Err(BodyError::TooLarge { limit }) if limit == 1 << 20),
            "{many:?}"
        );
    }

    fn sample() -> Sample {
        Sample {
            addrs: BTreeMap::from([(0, "a/b".into()), (1, String::new())]),
            list: vec![1, 2],
            name: "中😀\"".into(),
        }
    }

    #[test]
    fn keys_that_are_objects_stand_as_they_are() {
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Table {
            name: String,
            #[serde(with = "object_keys")]
            queues: BTreeMap<MessageQueue, String>,
            texts: BTreeMap<String, i64>,
        }
        let queue = |broker: &str| MessageQueue {
            topic: "T".to_owned(),
            broker_name: broker.to_owned(),
            queue_id: 0,
        };
        let odd = r#"a"b\c/"#;
        let table = Table {
            name: r#"x"y"#.to_owned(),
            queues: BTreeMap::from([(queue("b"), "\"".to_owned()), (queue(odd), String::new())]),
            texts: BTreeMap::from([(String::new(), 1), ("k".to_owned(), 2), ("\"".to_owned(), 3)]),
        };
        let written = write_object_keys(&table);
        let text = std::str::from_utf8(&written).expect("text");
        let expected = concat!(
            r#"{"name":"x\"y","queues":{"#,
            r#"{"brokerName":"a\"b\\c/","queueId":0,"topic":"T"}:"","#,
            r#"{"brokerName":"b","queueId":0,"topic":"T"}:"\""},"#,
            r#""texts":{"":1,"\"":3,"k":2}}"#
        );
        assert_eq!(text, expected);
        assert_eq!(read::<Table>(&written).expect("reads back"), table);
    }

    #[test]
    fn three_forms() {
        let sample = sample();
        let text = |b: Bytes| String::from_utf8(b.to_vec()).expect("text");
        assert_eq!(
            text(write(&sample)),
            r#"{"addrs":{"0":"a/b","1":""},"list":[1,2],"name":"中😀\""}"#
        );
        assert_eq!(
            text(write_fastjson(&sample)),
            r#"{"addrs":{0:"a/b",1:""},"list":[1,2],"name":"中😀\""}"#
        );
        assert_eq!(
            text(write_browser(&sample)),
            r#"{"addrs":{"0":"a\/b","1":""},"list":[1,2],"name":"\u4E2D\uD83D\uDE00\""}"#
        );
        assert_eq!(
            text(write_pretty_fastjson(&sample)),
            "{\n\t\"addrs\":{\n\t\t0:\"a/b\",\n\t\t1:\"\"\n\t},\n\t\"list\":[\n\t\t1,\n\t\t2\n\t],\n\t\"name\":\"中😀\\\"\"\n}"
        );
        assert_eq!(text(write_pretty(&BTreeMap::<String, i32>::new())), "{}");
        for body in [
            write(&sample),
            write_fastjson(&sample),
            write_browser(&sample),
            write_pretty_fastjson(&sample),
        ] {
            assert_eq!(read::<Sample>(&body).expect("reads back"), sample);
        }
    }

    #[test]
    fn reads_the_dialect() {
        let table = [
            "{addrs:{0:'a/b',1:\"\",},list:[1,2,],name:'中😀\"'}",
            "/*c*/{'name':\"\\u4e2d\\ud83d\\ude00\\\"\", // note\n 'list':[1,2],,addrs:{\"0\":\"a/b\",1:''}, x:null}",
        ];
        for text in table {
            assert_eq!(read::<Sample>(text.as_bytes()).expect(text), sample());
        }
        // What is no UTF-8 is replaced where it matters and passed over where it does not.
        let name = read::<Sample>(b"{\"name\":\"a\xFF\",\"other\":\"\xFF\"}").expect("a name");
        assert_eq!(name.name, "a\u{FFFD}");
        assert!(matches!(read::<Sample>(b""), Err(BodyError::Missing)));
        for bad in ["{", "{a}", "[1,2]", "{\"list\":3}", "nonsense", "{a:b}"] {
            assert!(read::<Sample>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    /// What 4.9.7 makes of them: the field stays as the class made it.
    #[test]
    fn a_null_leaves_the_default_of_the_class() {
        fn check<T: Default + Serialize + DeserializeOwned>() {
            let name = std::any::type_name::<T>();
            let default = serde_json::to_value(T::default()).expect("JSON");
            let fields = default.as_object().expect(name);
            assert!(!fields.is_empty(), "{name}");
            for (field, value) in fields {
                let is_primitive = value.is_number() || value.is_boolean();
                for nothing in ["null", "\"\"", "\"null\""] {
                    if nothing == "null" || is_primitive {
                        let text = format!("{{\"{field}\":{nothing}}}");
                        let got: T = read(text.as_bytes()).expect(&text);
                        assert_eq!(serde_json::to_value(got).expect("JSON"), default, "{name} {text}");
                    }
                }
            }
        }
        check::<DataVersion>();
        check::<MessageQueue>();
        check::<TopicConfig>();
        check::<KvTable>();
        check::<TopicList>();
        check::<broker::HeartbeatData>();
        check::<broker::ProducerData>();
        check::<broker::ConsumerData>();
        check::<broker::SubscriptionData>();
        check::<broker::LockBatchRequestBody>();
        check::<broker::CheckClientRequestBody>();
        check::<broker::SubscriptionGroupConfig>();
        check::<broker::SubscriptionGroupTable>();
        check::<broker::ConsumerOffsetTable>();
        check::<broker::ClientConnection>();
        check::<namesrv::QueueData>();
        check::<namesrv::BrokerData>();
        check::<namesrv::TopicConfigTable>();
        check::<namesrv::RegisterBrokerBody>();
    }
}
