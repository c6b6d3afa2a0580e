use super::*;
use proptest::prelude::*;

fn sample<'a>(topic: &'a str, body: &'a [u8], properties: &'a [u8]) -> Fields<'a> {
    Fields {
        version: Version::for_topic(topic),
        topic,
        queue_id: 3,
        flag: 9,
        sys_flag: 1,
        born_timestamp: 1_700_000_000_000,
        born_host: "10.1.2.3:5000".parse().unwrap(),
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 2,
        prepared_transaction_offset: 77,
        body,
        body_crc: body_crc(body),
        properties,
        append_crc: false,
    }
}

fn encoded(fields: &Fields<'_>) -> Vec<u8> {
    let mut bytes = vec![0; fields.encoded_len()];
    fields.encode(
        Place {
            queue_offset: 5,
            physical_offset: 4096,
            store_timestamp: 1_700_000_000_001,
        },
        &mut bytes,
    );
    bytes
}

fn view(bytes: &[u8]) -> View<'_> {
    match decode(bytes, Check::Body) {
        Ok(Entry::Record(view)) => view,
        other => panic!("no record: {other:?}"),
    }
}

#[test]
fn v1_bytes() {
    let bytes = encoded(&sample("T", b"hello", b"TAGS\x01a"));
    assert_eq!(bytes.len(), OVERHEAD_V1 + 1 + 5 + 6);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "00000067",
            "daa320a7",
            "3610a686",
            "00000003",
            "00000009",
            "0000000000000005",
            "0000000000001000",
            "00000001",
            "0000018bcfe56800",
            "0a01020300001388",
            "0000018bcfe56801",
            "7f00000100002a9f",
            "00000002",
            "000000000000004d",
            "0000000568656c6c6f",
            "0154",
            "0006544147530161"
        )
    );
}

#[test]
fn a_place_set_later_is_the_one_encoded() {
    for (born_host, append_crc) in [
        ("1.2.3.4:5", false),
        ("1.2.3.4:5", true),
        ("[fe80::1]:5", false),
        ("[fe80::1]:5", true),
    ] {
        let mut fields = sample("T", b"hello", b"TAGS\x01a");
        fields.born_host = born_host.parse().unwrap();
        fields.append_crc = append_crc;
        let mut bytes = encoded(&fields);
        let place = Place {
            queue_offset: 0x0102_0304_0506_0708,
            physical_offset: 0x1112_1314_1516_1718,
            store_timestamp: 0x2122_2324_2526_2728,
        };
        fields.set_place(place, &mut bytes);
        let mut expected = vec![0; bytes.len()];
        fields.encode(place, &mut expected);
        assert_eq!(bytes, expected);
    }
}

#[test]
fn a_record_is_written_around_its_body() {
    for (born_host, store_host) in [
        ("1.2.3.4:5", "1.2.3.4:5"),
        ("[fe80::1]:5", "1.2.3.4:5"),
        ("1.2.3.4:5", "[fe80::1]:5"),
    ] {
        let mut fields = sample("T", b"hello", b"TAGS\x01a");
        fields.born_host = born_host.parse().unwrap();
        fields.store_host = store_host.parse().unwrap();
        let whole = encoded(&fields);
        let place = view(&whole);
        let place = Place {
            queue_offset: place.queue_offset(),
            physical_offset: place.physical_offset(),
            store_timestamp: place.store_timestamp(),
        };
        let mut around = vec![0; whole.len() - fields.body.len()];
        fields.encode_around_body(place, &mut around);
        around.splice(fields.body_at()..fields.body_at(), fields.body.iter().copied());
        assert_eq!(around, whole);
    }
}

#[test]
fn fields_come_back() {
    let mut fields = sample("T", b"hello", b"TAGS\x01a");
    fields.born_host = "[fe80::1]:5000".parse().unwrap();
    fields.store_host = "[::1]:10911".parse().unwrap();
    let bytes = encoded(&fields);
    let view = view(&bytes);
    assert_eq!(view.total_len(), OVERHEAD_V1 + 24 + 12);
    assert_eq!(view.born_host(), fields.born_host);
    assert_eq!(view.store_host(), fields.store_host);
    assert_eq!(view.sys_flag(), 0x31);
    assert_eq!(
        (
            view.queue_id(),
            view.flag(),
            view.queue_offset(),
            view.physical_offset()
        ),
        (3, 9, 5, 4096)
    );
    assert_eq!(
        (view.born_timestamp(), view.store_timestamp()),
        (1_700_000_000_000, 1_700_000_000_001)
    );
    assert_eq!(
        (view.reconsume_times(), view.prepared_transaction_offset()),
        (2, 77)
    );
    assert_eq!(
        (view.topic(), view.body(), view.properties()),
        ("T", &b"hello"[..], &b"TAGS\x01a"[..])
    );
    assert!(view.at(4096).is_ok());
    assert_eq!(
        view.at(1).err(),
        Some(RecordError::PhysicalOffset { at: 1, says: 4096 })
    );
}

#[test]
fn long_topics_make_v2() {
    let topic = "%RETRY%".to_string() + &"g".repeat(200);
    let bytes = encoded(&sample(&topic, b"", b""));
    assert_eq!(bytes.len(), OVERHEAD_V1 + 1 + 207);
    assert_eq!(view(&bytes).version(), Version::V2);
    assert_eq!(view(&bytes).topic(), topic);
}

#[test]
fn crc_property_is_added_and_checked() {
    for properties in [&b""[..], b"TAGS\x01a", b"TAGS\x01a\x02"] {
        let fields = Fields {
            append_crc: true,
            ..sample("T", b"hello", properties)
        };
        let mut bytes = encoded(&fields);
        assert!(decode(&bytes, Check::BodyAndProperty).is_ok());
        let text = view(&bytes).properties();
        let digits = crate::properties::get_str(text, "__CRC32#").unwrap();
        let value: u32 = digits.chars().rev().collect::<String>().parse().unwrap();
        assert_eq!(value, crc32fast::hash(&bytes[..bytes.len() - 20]) & 0x7FFF_FFFF);
        bytes[60] ^= 1;
        assert_eq!(
            decode(&bytes, Check::BodyAndProperty).err(),
            Some(RecordError::PropertyCrc)
        );
    }
    let plain = encoded(&sample("T", b"hello", b""));
    assert_eq!(
        decode(&plain, Check::BodyAndProperty).err(),
        Some(RecordError::PropertyCrc)
    );
}

#[test]
fn each_damage_has_its_error() {
    let good = encoded(&sample("T", b"hello", b"TAGS\x01a"));
    let damaged = |at: usize, with: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        decode(&bytes, Check::Body).err()
    };
    let cases = [
        (4, &[0u8; 4][..], RecordError::Magic { magic: 0 }),
        (
            0,
            &[0, 0, 0, 90],
            RecordError::Length {
                what: "record",
                len: 90,
            },
        ),
        (
            0,
            &[255, 255, 255, 255],
            RecordError::Length {
                what: "record",
                len: -1,
            },
        ),
        (
            0,
            &[0, 0, 1, 0],
            RecordError::Truncated {
                needed: 256,
                left: 103,
            },
        ),
        (
            0,
            &[0, 0, 0, 102],
            RecordError::Sum {
                total: 102,
                computed: 103,
            },
        ),
        (
            84,
            &[255, 255, 255, 255],
            RecordError::Length {
                what: "body",
                len: -1,
            },
        ),
        (
            84,
            &[127, 255, 255, 255],
            RecordError::Sum {
                total: 103,
                computed: 0x7FFF_FFFF + 89,
            },
        ),
        (
            93,
            &[200],
            RecordError::Length {
                what: "topic",
                len: -56,
            },
        ),
        (94, &[200], RecordError::TopicText),
        (
            95,
            &[128, 0],
            RecordError::Length {
                what: "properties",
                len: -32768,
            },
        ),
        (
            88,
            b"j",
            RecordError::BodyCrc {
                stored: 0x3610_A686,
                found: body_crc(b"jello"),
            },
        ),
    ];
    for (at, with, error) in cases {
        assert_eq!(damaged(at, with), Some(error), "byte {at}");
    }
    assert_eq!(
        decode(&good[..7], Check::Body).err(),
        Some(RecordError::Truncated { needed: 8, left: 7 })
    );
    let mut blank = [0u8; 12];
    encode_blank(12, &mut blank);
    assert!(matches!(
        decode(&blank, Check::Body),
        Ok(Entry::Blank { left: 12 })
    ));
}

#[test]
fn sectors_that_were_never_written() {
    let fields = sample("T", b"hello", &[b'p'; 1200]);
    let mut bytes = encoded(&fields);
    assert_eq!((bytes.len(), view(&bytes).unwritten_sector(4096)), (1297, None));
    bytes[1296] = 0;
    assert_eq!(view(&bytes).unwritten_sector(4096), None);
    assert_eq!(view(&bytes).unwritten_sector(3 * 512 - 1296), Some(1296));
    bytes[512..1024].fill(0);
    assert_eq!(view(&bytes).unwritten_sector(4096), Some(512));
    assert_eq!(view(&bytes).unwritten_sector(4097), None, "only whole sectors");

    // Without properties a record ends with their length, which is zero.
    let fields = sample("T", b"hello", b"");
    let bytes = encoded(&fields);
    for tail in 0..3 {
        assert_eq!(
            view(&bytes).unwritten_sector(512 - (bytes.len() as u64 - tail)),
            None,
            "{tail}"
        );
    }
}

#[test]
fn an_end_that_was_not_written_is_zero() {
    for (properties, cuts) in [(&b""[..], 3), (b"a\x01b\x02", 4 + 3)] {
        let sound = encoded(&sample("T", b"hello", properties));
        assert!(!view(&sound).ends_with_zero());
        for cut in 1..=cuts {
            let mut bytes = sound.clone();
            let at = bytes.len() - cut;
            bytes[at..].fill(0);
            // Where its lengths add up still, it is the record itself or tells.
            if let Ok(Entry::Record(view)) = decode(&bytes, Check::Body) {
                assert!(bytes == sound || view.ends_with_zero(), "{cut}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        magic in prop_oneof![Just(MAGIC_V1), Just(MAGIC_V2)],
        total in 80i32..300,
        body_len in -2i32..200,
        flag in 0i32..64,
    ) {
        let mut put = |at: usize, value: i32| if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        };
        put(0, total);
        put(4, magic);
        put(36, flag);
        put(84, body_len);
        if let Ok(Entry::Record(view)) = decode(&bytes, Check::Lengths) {
            let _ = (view.topic(), view.body(), view.properties(), view.born_host(), view.store_host());
            prop_assert!(view.total_len() <= bytes.len());
        }
    }

    #[test]
    fn round_trip(topic in "[a-z%]{1,255}", body in proptest::collection::vec(any::<u8>(), 0..100),
                  properties in "[a-z\u{1}\u{2}]{0,80}", append_crc: bool) {
        let fields = Fields { append_crc, ..sample(&topic, &body, properties.as_bytes()) };
        let bytes = encoded(&fields);
        let view = view(&bytes);
        prop_assert_eq!(view.topic(), topic.as_str());
        prop_assert_eq!(view.body(), &body[..]);
        prop_assert!(view.properties().starts_with(properties.as_bytes()));
        prop_assert_eq!(view.crc_property_fits(), append_crc);
    }
}
