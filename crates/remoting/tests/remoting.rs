//! A server and raw sockets: what every peer may do, and what it gets.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests make files and runtimes")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use protocol::code::response;
use protocol::encode::encode_frame;
use protocol::frame::{FLAG_ONEWAY, FLAG_RESPONSE};
use protocol::{Frame, Head, Language, SerializeType};
use remoting::{
    Body, Client, ClientSettings, Connection, InvokeError, LargeFrames, Limits, Metrics, Request, Responder,
    Room, Server, ServerSettings, Service,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Codes the test service knows.
const ECHO: i32 = 10;
const PANIC: i32 = 11;
const DROP: i32 = 12;
const HOLD: i32 = 13;
const BIG: i32 = 14;
const ASK_BACK: i32 = 15;
const LONG_REMARK: i32 = 16;
const REGISTER: i32 = 103;

struct TestService {
    held: mpsc::UnboundedSender<Responder>,
    closed: mpsc::UnboundedSender<SocketAddr>,
}

impl Service for TestService {
    fn serve(&self, conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        while let Some(Request { frame, responder }) = requests.pop_front() {
            match frame.code {
                ECHO | REGISTER => responder.reply(response::SUCCESS, None, &(), Body::Bytes(frame.body)),
                PANIC => panic!("as asked"),
                DROP => drop(responder),
                HOLD => drop(self.held.send(responder)),
                BIG => {
                    let piece = Bytes::from(vec![7u8; 1 << 20]);
                    responder.reply(
                        response::SUCCESS,
                        None,
                        &(),
                        Body::Chunks(vec![piece.clone(), piece]),
                    );
                }
                ASK_BACK => {
                    let conn = Arc::clone(conn);
                    tokio::spawn(async move {
                        let asked = conn.invoke(99, &(), Body::Empty, Duration::from_secs(5)).await;
                        match asked {
                            Ok(answer) => responder.reply(answer.code, None, &(), Body::Bytes(answer.body)),
                            Err(e) => responder.error(response::SYSTEM_ERROR, &e.to_string()),
                        }
                    });
                }
                LONG_REMARK => responder.error(response::NO_PERMISSION, &"x".repeat(17 << 20)),
                code => responder.error(response::REQUEST_CODE_NOT_SUPPORTED, &format!("{code}")),
            }
            if conn.should_yield() {
                return;
            }
        }
    }

    fn closed(&self, conn: &Arc<Connection>) {
        let _nobody_listens = self.closed.send(conn.peer());
    }
}

struct Fixture {
    server: Server,
    metrics: Arc<Metrics>,
    held: mpsc::UnboundedReceiver<Responder>,
    closed: mpsc::UnboundedReceiver<SocketAddr>,
}

async fn start(change: impl FnOnce(&mut ServerSettings)) -> Fixture {
    let mut settings = ServerSettings::at("127.0.0.1:0".parse().unwrap());
    // All of a test comes from one.
    settings.address.bytes_held_max = usize::MAX;
    change(&mut settings);
    let metrics = Arc::clone(&settings.metrics);
    let (held_to, held) = mpsc::unbounded_channel();
    let (closed_to, closed) = mpsc::unbounded_channel();
    let server = Server::bind(settings).unwrap().serve(Arc::new(TestService {
        held: held_to,
        closed: closed_to,
    }));
    Fixture {
        server,
        metrics,
        held,
        closed,
    }
}

fn request(code: i32, opaque: i32, flag: i32, kind: SerializeType, body: &[u8]) -> Bytes {
    let head = Head {
        code,
        language: Language::Go,
        version: 1,
        opaque,
        flag,
        remark: None,
        serialize_type: kind,
    };
    encode_frame(&head, &(), body).unwrap()
}

fn json(code: i32, opaque: i32, body: &[u8]) -> Bytes {
    request(code, opaque, 0, SerializeType::Json, body)
}

async fn connect(fixture: &Fixture) -> TcpStream {
    TcpStream::connect(fixture.server.local_addr()).await.unwrap()
}

async fn read_frame(stream: &mut TcpStream) -> Option<Frame> {
    let total = match stream.read_u32().await {
        Ok(total) => total as usize,
        Err(_) => return None,
    };
    let mut bytes = vec![0; total];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(Frame::decode(bytes.into()).unwrap())
}

/// Reads to the end; fails if the server does not close within a generous time.
async fn assert_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    // A reset is a close as well: the server had unread bytes of ours.
    assert!(end.is_ok(), "the server did not close the connection");
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn answers_come_in_the_callers_own_serialization_and_pipelined() {
    let fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    let mut all = Vec::new();
    for opaque in 0..1000 {
        let kind = if opaque % 2 == 0 {
            SerializeType::Json
        } else {
            SerializeType::RocketMq
        };
        all.extend_from_slice(&request(
            ECHO,
            opaque,
            0,
            kind,
            format!("body {opaque}").as_bytes(),
        ));
    }
    stream.write_all(&all).await.unwrap();
    for opaque in 0..1000 {
        let frame = read_frame(&mut stream).await.unwrap();
        assert_eq!(
            (frame.opaque, frame.flag & FLAG_RESPONSE),
            (opaque, FLAG_RESPONSE)
        );
        assert_eq!(frame.body, format!("body {opaque}"));
        let kind = if opaque % 2 == 0 {
            SerializeType::Json
        } else {
            SerializeType::RocketMq
        };
        assert_eq!(frame.serialize_type, kind);
    }
}

#[tokio::test]
async fn a_oneway_request_is_never_answered_whatever_becomes_of_it() {
    let fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    for code in [ECHO, PANIC, DROP, 777] {
        stream
            .write_all(&request(code, 1, FLAG_ONEWAY, SerializeType::Json, b""))
            .await
            .unwrap();
    }
    stream.write_all(&json(ECHO, 2, b"two")).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().opaque, 2);
}

#[tokio::test]
async fn a_panic_answers_its_own_request_and_harms_no_other() {
    let fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    let all = [
        json(ECHO, 1, b"a"),
        json(PANIC, 2, b""),
        json(DROP, 3, b""),
        json(ECHO, 4, b"b"),
    ]
    .concat();
    stream.write_all(&all).await.unwrap();
    let mut codes = Vec::new();
    for _ in 0..4 {
        let frame = read_frame(&mut stream).await.unwrap();
        codes.push((frame.opaque, frame.code));
    }
    assert_eq!(
        codes,
        [
            (1, 0),
            (2, response::SYSTEM_ERROR),
            (3, response::SYSTEM_ERROR),
            (4, 0)
        ]
    );
    assert_eq!(fixture.metrics.panics.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_damaged_frame_closes_its_connection_and_no_other() {
    let mut fixture = start(|_| {}).await;
    let mut good = connect(&fixture).await;
    let damaged: [&[u8]; 7] = [
        &[0xFF, 0xFF, 0xFF, 0xFF],
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 0, 0, 0],
        &[0x7F, 0, 0, 0],
        &[0, 0, 0, 8, 9, 0, 0, 4, b'{', b'}', b' ', b' '],
        &[0, 0, 0, 8, 0, 0, 0, 4, b'n', b'o', b'p', b'e'],
        &[0, 0, 0, 6, 0, 0, 0, 99, b'{', b'}'],
    ];
    for bytes in damaged {
        let mut bad = connect(&fixture).await;
        // What came whole before the damage is answered.
        bad.write_all(&[&json(ECHO, 5, b"before"), bytes].concat())
            .await
            .unwrap();
        let before = read_frame(&mut bad).await.unwrap();
        assert_eq!(before.body, "before", "{bytes:?}");
        assert_closed(&mut bad).await;
        fixture.closed.recv().await.unwrap();
    }
    assert_eq!(fixture.metrics.frames_damaged.load(Ordering::Relaxed), 7);
    good.write_all(&json(ECHO, 1, b"still here")).await.unwrap();
    assert_eq!(read_frame(&mut good).await.unwrap().body, "still here");
}

#[tokio::test]
async fn random_bytes_never_harm_the_server() {
    let mut fixture = start(|_| {}).await;
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    for _ in 0..200 {
        let mut stream = connect(&fixture).await;
        let mut bytes = Vec::new();
        for _ in 0..64 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes.extend_from_slice(&seed.to_be_bytes());
        }
        // A length that fits, so that the header is looked at.
        bytes[..4].copy_from_slice(&508u32.to_be_bytes());
        bytes[4..8].copy_from_slice(&((seed as u32) & 0x0100_01FF).to_be_bytes());
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        fixture.closed.recv().await.unwrap();
    }
    let mut stream = connect(&fixture).await;
    stream.write_all(&json(ECHO, 1, b"")).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().code, 0);
}

#[tokio::test]
async fn a_slow_frame_is_served_when_it_is_whole() {
    let fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    stream.set_nodelay(true).unwrap();
    for byte in json(ECHO, 1, b"slow") {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read_frame(&mut stream).await.unwrap().body, "slow");
}

#[tokio::test]
async fn only_the_named_code_may_send_large_frames() {
    let fixture = start(|s| {
        s.limits.frame_max_bytes = 4096;
        s.limits.large_frames = Some(LargeFrames {
            code: REGISTER,
            max_bytes: 1 << 20,
        });
    })
    .await;
    let large = vec![1u8; 500_000];
    let mut stream = connect(&fixture).await;
    stream.write_all(&json(REGISTER, 1, &large)).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().body.len(), large.len());
    for (code, len) in [(ECHO, 500_000), (ECHO, 5000), (REGISTER, 2 << 20)] {
        let mut stream = connect(&fixture).await;
        // The server may close before all is written.
        let _reset = stream.write_all(&json(code, 1, &vec![1u8; len])).await;
        assert_closed(&mut stream).await;
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_bounded_then_cut_off() {
    let mut fixture = start(|s| {
        s.limits.outbox_max_bytes = 4 << 20;
        s.limits.write_stall = Duration::from_secs(1);
    })
    .await;
    let mut stream = connect(&fixture).await;
    // 200 answers of 2 MiB, of which nothing is read. The requests themselves fit the socket's buffers.
    let all: Vec<u8> = (0..200).flat_map(|i| json(BIG, i, b"").to_vec()).collect();
    stream.write_all(&all).await.unwrap();
    fixture.closed.recv().await.unwrap();
    assert_eq!(fixture.metrics.closed_stalled.load(Ordering::Relaxed), 1);
    // 4 MiB may wait, and the sockets' buffers took some: the other answers were never made.
    let served = fixture.metrics.requests.load(Ordering::Relaxed);
    assert!(served < 20, "{served}");
}

#[tokio::test]
async fn silence_closes_a_connection() {
    let mut fixture = start(|s| s.limits.idle = Duration::from_secs(1)).await;
    let mut stream = connect(&fixture).await;
    stream.write_all(&json(ECHO, 1, b"")).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().code, 0);
    assert_closed(&mut stream).await;
    fixture.closed.recv().await.unwrap();
    assert_eq!(fixture.metrics.closed_idle.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn connections_above_the_limit_are_turned_away() {
    let mut fixture = start(|s| s.connections_max = 2).await;
    let mut first = connect(&fixture).await;
    let mut second = connect(&fixture).await;
    for stream in [&mut first, &mut second] {
        stream.write_all(&json(ECHO, 1, b"")).await.unwrap();
        assert_eq!(read_frame(stream).await.unwrap().code, 0);
    }
    assert_closed(&mut connect(&fixture).await).await;
    assert_eq!(fixture.metrics.connections_refused.load(Ordering::Relaxed), 1);
    drop(first);
    fixture.closed.recv().await.unwrap();
    let mut third = connect(&fixture).await;
    // The list is shortened a moment after `closed`; until then the answer is a close.
    loop {
        let _refused = third.write_all(&json(ECHO, 1, b"")).await;
        if read_frame(&mut third).await.is_some() {
            break;
        }
        third = connect(&fixture).await;
    }
}

#[tokio::test]
async fn an_answer_may_come_later_from_elsewhere() {
    let mut fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    stream
        .write_all(&[json(HOLD, 1, b""), json(ECHO, 2, b"")].concat())
        .await
        .unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().opaque, 2);
    let held = fixture.held.recv().await.unwrap();
    std::thread::spawn(move || held.reply(19, Some("later"), &(), Body::Empty))
        .join()
        .unwrap();
    let frame = read_frame(&mut stream).await.unwrap();
    assert_eq!(
        (frame.opaque, frame.code, frame.remark.as_deref()),
        (1, 19, Some("later"))
    );
}

struct AnswersBack(AtomicU64);

impl Service for AnswersBack {
    fn serve(&self, _conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        for request in requests.drain(..) {
            self.0.fetch_add(1, Ordering::Relaxed);
            request.responder.reply(
                response::SUCCESS,
                None,
                &(),
                Body::Bytes(Bytes::from_static(b"from the client")),
            );
        }
    }

    fn closed(&self, _conn: &Arc<Connection>) {}
}

#[tokio::test]
async fn client_and_server_ask_each_other_on_one_connection() {
    let mut fixture = start(|_| {}).await;
    let address = fixture.server.local_addr().to_string();
    let client = Client::with_service(
        ClientSettings::default(),
        Arc::new(AnswersBack(AtomicU64::new(0))),
    );
    let within = Duration::from_secs(5);
    let echoed = client
        .invoke(&address, ECHO, &(), Body::Bytes(Bytes::from_static(b"x")), within)
        .await
        .unwrap();
    assert_eq!(echoed.body, "x");
    let asked_back = client
        .invoke(&address, ASK_BACK, &(), Body::Empty, within)
        .await
        .unwrap();
    assert_eq!(asked_back.body, "from the client");
    let late = client
        .invoke(&address, HOLD, &(), Body::Empty, Duration::from_millis(50))
        .await;
    assert!(matches!(late, Err(InvokeError::Timeout { .. })), "{late:?}");
    fixture.held.recv().await.unwrap().ok();
    let first = client.connection(&address).await.unwrap();
    fixture.server.shutdown(within).await;
    let gone = client.invoke(&address, ECHO, &(), Body::Empty, within).await;
    assert!(
        matches!(
            gone,
            Err(InvokeError::Connect { .. } | InvokeError::Closed { .. })
        ),
        "{gone:?}"
    );
    assert!(!first.is_open());
}

#[tokio::test]
async fn shutdown_lets_answers_in_the_making_go_out() {
    let mut fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    stream.write_all(&json(HOLD, 1, b"")).await.unwrap();
    let held = fixture.held.recv().await.unwrap();
    let stopping = tokio::spawn(fixture.server.shutdown(Duration::from_secs(10)));
    held.reply(
        response::SUCCESS,
        None,
        &(),
        Body::Bytes(Bytes::from_static(b"last words")),
    );
    assert_eq!(read_frame(&mut stream).await.unwrap().body, "last words");
    assert_closed(&mut stream).await;
    drop(stream);
    stopping.await.unwrap();
}

#[tokio::test]
async fn oneway_requests_that_end_at_the_limit_wake_the_connection() {
    let mut fixture = start(|s| s.limits.requests_in_flight_max = 4).await;
    let mut stream = connect(&fixture).await;
    let held = request(HOLD, 1, FLAG_ONEWAY, SerializeType::Json, b"").repeat(4);
    stream.write_all(&held).await.unwrap();
    let mut responders = Vec::new();
    for _ in 0..4 {
        responders.push(fixture.held.recv().await.unwrap());
    }
    stream.write_all(&json(ECHO, 2, b"behind")).await.unwrap();
    while fixture.metrics.reads_paused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    std::thread::spawn(move || drop(responders)).join().unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), read_frame(&mut stream)).await;
    assert_eq!(answer.expect("it was woken").unwrap().body, "behind");
}

#[tokio::test]
async fn bytes_in_flight_stop_the_reading_until_they_are_answered() {
    let mut fixture = start(|s| s.limits.bytes_in_flight_max = 10_000).await;
    let mut stream = connect(&fixture).await;
    for opaque in 0..2 {
        stream.write_all(&json(HOLD, opaque, &[1; 8000])).await.unwrap();
    }
    let first = fixture.held.recv().await.unwrap();
    let second = fixture.held.recv().await.unwrap();
    stream.write_all(&json(ECHO, 2, b"behind")).await.unwrap();
    while fixture.metrics.reads_paused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.metrics.requests.load(Ordering::Relaxed), 2);
    first.ok();
    assert_eq!(read_frame(&mut stream).await.unwrap().opaque, 0);
    assert_eq!(read_frame(&mut stream).await.unwrap().body, "behind");
    second.ok();
    assert_eq!(read_frame(&mut stream).await.unwrap().opaque, 1);
}

#[tokio::test]
async fn requests_without_room_are_refused_and_small_ones_are_not() {
    let room = Arc::new(Room::of(80_000));
    let mut fixture = start(|s| s.room = Arc::clone(&room)).await;
    let (mut one, mut other) = (connect(&fixture).await, connect(&fixture).await);
    one.write_all(&json(HOLD, 1, &[1; 60_000])).await.unwrap();
    let held = fixture.held.recv().await.unwrap();
    other
        .write_all(&[json(ECHO, 2, &[1; 60_000]), json(ECHO, 3, b"small")].concat())
        .await
        .unwrap();
    let refused = read_frame(&mut other).await.unwrap();
    assert_eq!((refused.opaque, refused.code), (2, response::SYSTEM_BUSY));
    assert!(
        refused.remark.as_deref().unwrap().contains("bytes of requests"),
        "{refused:?}"
    );
    assert_eq!(read_frame(&mut other).await.unwrap().body, "small");
    assert_eq!(fixture.metrics.requests_refused.load(Ordering::Relaxed), 1);
    held.ok();
    read_frame(&mut one).await.unwrap();
    other.write_all(&json(ECHO, 4, &[1; 60_000])).await.unwrap();
    assert_eq!(read_frame(&mut other).await.unwrap().body.len(), 60_000);
    drop((one, other));
    fixture.closed.recv().await.unwrap();
    fixture.closed.recv().await.unwrap();
    assert_eq!(room.held(), 0, "everything was given back");
}

#[tokio::test]
async fn frames_that_are_coming_have_a_limit_together() {
    let room = Arc::new(Room::of(400_000));
    let mut fixture = start(|s| s.room = Arc::clone(&room)).await;
    let frame = json(ECHO, 1, &vec![1; 1 << 20]);
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&fixture).await;
        // All but the end; the server may close before it has read so much.
        let _reset = stream.write_all(&frame[..200_000]).await;
        streams.push(stream);
    }
    while fixture.metrics.requests_refused.load(Ordering::Relaxed) < 3 {
        tokio::task::yield_now().await;
    }
    assert!(room.held() <= 400_000);
    drop(streams);
    for _ in 0..4 {
        fixture.closed.recv().await.unwrap();
    }
    assert_eq!(room.held(), 0, "everything was given back");
}

#[tokio::test]
async fn a_frame_without_room_is_read_over_and_its_connection_stays() {
    let room = Arc::new(Room::of(400_000));
    let mut fixture = start(|s| s.room = Arc::clone(&room)).await;
    let mut first = connect(&fixture).await;
    let (large, half) = (json(ECHO, 1, &vec![1; 1 << 20]), json(ECHO, 1, &vec![1; 300_000]));
    first.write_all(&half[..250_000]).await.unwrap();
    while room.held() < 250_000 {
        tokio::task::yield_now().await;
    }
    let mut second = connect(&fixture).await;
    // The answer comes when the frame is refused, not when it has come whole.
    second.write_all(&large[..200_000]).await.unwrap();
    let refused = read_frame(&mut second).await.unwrap();
    assert_eq!((refused.opaque, refused.code), (1, response::SYSTEM_BUSY));
    assert!(
        refused.remark.as_deref().unwrap().contains("bytes of requests"),
        "{refused:?}"
    );
    second.write_all(&large[200_000..]).await.unwrap();
    second.write_all(&json(ECHO, 2, b"behind")).await.unwrap();
    assert_eq!(read_frame(&mut second).await.unwrap().body, "behind");
    assert!(
        room.held() <= 260_000,
        "what is read over takes no room: {}",
        room.held()
    );
    // Nobody waits for an answer to this one, and nothing is held of it either.
    let oneway = request(ECHO, 3, FLAG_ONEWAY, SerializeType::RocketMq, &vec![1; 1 << 20]);
    second
        .write_all(&[&oneway[..], &json(ECHO, 4, b"last")].concat())
        .await
        .unwrap();
    assert_eq!(read_frame(&mut second).await.unwrap().body, "last");
    assert_eq!(fixture.metrics.requests_refused.load(Ordering::Relaxed), 2);
    first.write_all(&half[250_000..]).await.unwrap();
    assert_eq!(read_frame(&mut first).await.unwrap().body.len(), 300_000);
    drop((first, second));
    fixture.closed.recv().await.unwrap();
    fixture.closed.recv().await.unwrap();
    assert_eq!(room.held(), 0, "everything was given back");
}

/// A second for 10,000 bytes.
fn demanding(settings: &mut ServerSettings) {
    settings.limits.arrival = Duration::from_secs(1);
    settings.limits.arrival_bytes = 10_000;
    settings.limits.frame_bytes_per_second = 10_000;
}

#[tokio::test]
async fn a_frame_that_does_not_come_on_is_cut_off_and_gives_its_room_back() {
    let room = Arc::new(Room::of(400_000));
    let mut fixture = start(|s| {
        demanding(s);
        s.room = Arc::clone(&room);
    })
    .await;
    let frame = json(ECHO, 1, &vec![1; 1 << 20]);
    let began = [&frame[..200_000], &frame[..3000], &frame[..2], &frame[..390_000]];
    let mut streams = Vec::new();
    for bytes in began {
        let mut stream = connect(&fixture).await;
        stream.write_all(bytes).await.unwrap();
        streams.push(stream);
    }
    // A byte now and then is not enough, neither of a frame that is kept nor of one that is read over.
    let trickle = |mut stream: TcpStream| async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            if stream.write_all(&[1]).await.is_err() {
                return;
            }
        }
    };
    let ends: Vec<_> = streams.into_iter().map(|s| tokio::spawn(trickle(s))).collect();
    for end in ends {
        tokio::time::timeout(Duration::from_secs(20), end)
            .await
            .expect("it is cut off")
            .unwrap();
        fixture.closed.recv().await.unwrap();
    }
    assert_eq!(fixture.metrics.closed_slow.load(Ordering::Relaxed), 4);
    assert_eq!(
        fixture.metrics.requests_refused.load(Ordering::Relaxed),
        1,
        "one was read over"
    );
    assert_eq!(room.held(), 0, "everything was given back");
}

#[tokio::test]
async fn a_frame_that_comes_on_slowly_lives() {
    let fixture = start(demanding).await;
    let frame = json(ECHO, 1, &vec![1; 60_000]);
    let mut stream = connect(&fixture).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    // 20,000 bytes a second, for three seconds.
    for piece in frame.chunks(5000) {
        ticks.tick().await;
        stream.write_all(piece).await.unwrap();
    }
    assert_eq!(read_frame(&mut stream).await.unwrap().body.len(), 60_000);
    assert_eq!(fixture.metrics.closed_slow.load(Ordering::Relaxed), 0);
}

/// It grows as fast as it must, and holds its room for longer than it may.
#[tokio::test]
async fn a_frame_has_its_time_in_all() {
    let room = Arc::new(Room::of(400_000));
    let mut fixture = start(|s| {
        demanding(s);
        s.limits.frame_bytes_per_second = 100_000;
        s.room = Arc::clone(&room);
    })
    .await;
    let frame = json(ECHO, 1, &vec![1; 150_000]);
    let mut stream = connect(&fixture).await;
    stream.write_all(&frame[..70_000]).await.unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    let began = std::time::Instant::now();
    // 20,000 bytes a second: four seconds for what is left, and it has two in all.
    let trickle = async {
        for piece in frame[70_000..].chunks(5000) {
            ticks.tick().await;
            if stream.write_all(piece).await.is_err() {
                return;
            }
        }
        assert!(read_frame(&mut stream).await.is_none(), "it was served");
    };
    tokio::time::timeout(Duration::from_secs(20), trickle)
        .await
        .expect("it is cut off");
    assert!(began.elapsed() >= Duration::from_secs(1));
    fixture.closed.recv().await.unwrap();
    assert_eq!(fixture.metrics.closed_slow.load(Ordering::Relaxed), 1);
    assert_eq!(room.held(), 0, "everything was given back");
}

#[tokio::test]
async fn connections_above_the_limit_of_an_address_are_turned_away() {
    let mut fixture = start(|s| {
        s.address.connections_max = 1;
        s.proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let mut first = behind(&fixture, "10.0.0.1").await;
    assert_eq!(ask(&mut first, b"x").await.code, 0);
    assert_closed(&mut behind(&fixture, "10.0.0.1").await).await;
    let mut other = behind(&fixture, "10.0.0.2").await;
    assert_eq!(ask(&mut other, b"x").await.code, 0);
    let refused = &fixture.metrics.connections_refused_of_address;
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    drop(first);
    assert_eq!(fixture.closed.recv().await.unwrap().ip().to_string(), "10.0.0.1");
    // The list is shortened a moment after `closed`; until then the answer is a close.
    loop {
        let mut again = behind(&fixture, "10.0.0.1").await;
        let _refused = again.write_all(&json(ECHO, 1, b"")).await;
        if read_frame(&mut again).await.is_some() {
            break;
        }
    }
}

/// A connection of a client behind a balancer.
async fn behind(fixture: &Fixture, client: &str) -> TcpStream {
    let mut stream = connect(fixture).await;
    let header = format!("PROXY TCP4 {client} 127.0.0.1 5555 10911\r\n");
    stream.write_all(header.as_bytes()).await.unwrap();
    stream
}

async fn ask(stream: &mut TcpStream, body: &[u8]) -> Frame {
    stream.write_all(&json(ECHO, 1, body)).await.unwrap();
    read_frame(stream).await.unwrap()
}

#[tokio::test]
async fn who_asks_too_much_in_a_second_is_busy_and_nobody_else() {
    for of_address in [false, true] {
        let fixture = start(|s| {
            s.proxies = vec!["127.0.0.0/8".parse().unwrap()];
            match of_address {
                true => s.limits.address_requests_per_second = 10,
                false => s.limits.requests_per_second = 10,
            }
        })
        .await;
        let mut all = Vec::new();
        for opaque in 0..100 {
            all.extend_from_slice(&json(ECHO, opaque, b""));
        }
        let mut stream = behind(&fixture, "10.0.0.1").await;
        stream.write_all(&all).await.unwrap();
        let mut refused = 0;
        for _ in 0..100 {
            let answer = read_frame(&mut stream).await.unwrap();
            if answer.code == response::SYSTEM_BUSY {
                let remark = answer.remark.unwrap();
                assert!(remark.starts_with("[TOO_MANY_REQUESTS]"), "{remark}");
                refused += 1;
            }
        }
        // A second may end meanwhile.
        assert!((80..=90).contains(&refused), "{refused}");
        let counted = fixture.metrics.requests_too_many.load(Ordering::Relaxed);
        assert_eq!(counted, refused);
        assert_eq!(ask(&mut behind(&fixture, "10.0.0.2").await, b"").await.code, 0);
        // The next second is another.
        while ask(&mut stream, b"").await.code != 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn one_address_does_not_hold_all_the_room() {
    let room = Arc::new(Room::of(400_000));
    let mut fixture = start(|s| {
        s.room = Arc::clone(&room);
        s.address.bytes_held_max = 0;
        s.proxies = vec!["127.0.0.1".parse::<std::net::IpAddr>().unwrap().into()];
    })
    .await;
    let mut greedy = behind(&fixture, "10.0.0.1").await;
    greedy.write_all(&json(HOLD, 1, &[1; 150_000])).await.unwrap();
    let held = fixture.held.recv().await.unwrap();
    let refused = ask(&mut behind(&fixture, "10.0.0.1").await, &[1; 60_000]).await;
    let remark = refused.remark.unwrap();
    assert_eq!(refused.code, response::SYSTEM_BUSY);
    assert!(
        remark.contains("of requests of 10.0.0.1 that are not"),
        "{remark}"
    );
    // Small ones of the same address, and large ones of others.
    assert_eq!(
        ask(&mut behind(&fixture, "10.0.0.1").await, b"small").await.code,
        0
    );
    let mut other = behind(&fixture, "10.0.0.2").await;
    assert_eq!(ask(&mut other, &[1; 60_000]).await.code, 0);
    held.ok();
    assert_eq!(read_frame(&mut greedy).await.unwrap().opaque, 1);
    assert_eq!(ask(&mut greedy, &[1; 60_000]).await.code, 0);
}

#[tokio::test]
async fn a_balancer_names_its_client_and_nobody_else_may() {
    let mut fixture = start(|s| s.proxies = vec!["127.0.0.1/32".parse().unwrap()]).await;
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x09\x08\x07\x7f\0\0\x01\x15\xb3\x2a\x9f";
    let headers: [(&[u8], Option<&str>); 4] = [
        (
            b"PROXY TCP6 2001:db8::7 ::1 5555 10911\r\n",
            Some("[2001:db8::7]:5555"),
        ),
        (v2, Some("10.9.8.7:5555")),
        // The balancer itself.
        (b"PROXY UNKNOWN\r\n", None),
        (b"", None),
    ];
    for (header, source) in headers {
        let mut stream = connect(&fixture).await;
        let local = stream.local_addr().unwrap().to_string();
        // In two pieces, the second with the frame behind it.
        let (first, second) = header.split_at(header.len() / 2);
        stream.write_all(first).await.unwrap();
        stream
            .write_all(&[second, &json(ECHO, 1, b"x")].concat())
            .await
            .unwrap();
        assert_eq!(read_frame(&mut stream).await.unwrap().body, "x");
        drop(stream);
        let closed = fixture.closed.recv().await.unwrap().to_string();
        assert_eq!(closed, source.unwrap_or(&local));
    }
    let mut damaged = connect(&fixture).await;
    damaged.write_all(b"PROXY TCP4 nobody\r\n").await.unwrap();
    assert_closed(&mut damaged).await;
    assert_eq!(fixture.metrics.proxy_headers_damaged.load(Ordering::Relaxed), 1);
    // From elsewhere it is no frame.
    let mut closed = start(|_| {}).await;
    let mut stream = behind(&closed, "10.0.0.1").await;
    assert_closed(&mut stream).await;
    assert!(closed.closed.recv().await.unwrap().ip().is_loopback());
    assert_eq!(closed.metrics.frames_damaged.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_peer_that_is_not_read_from_is_not_slow() {
    let mut fixture = start(|s| {
        demanding(s);
        s.limits.requests_in_flight_max = 1;
    })
    .await;
    let mut stream = connect(&fixture).await;
    let behind = json(ECHO, 2, b"behind");
    let began = [&json(HOLD, 1, b"")[..], &behind[..10]].concat();
    stream.write_all(&began).await.unwrap();
    let held = fixture.held.recv().await.unwrap();
    while fixture.metrics.reads_paused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    // Longer than a frame has, by the same clock that counts for it.
    let mut other = connect(&fixture).await;
    other.write_all(&behind[..10]).await.unwrap();
    fixture.closed.recv().await.unwrap();
    assert_eq!(fixture.metrics.closed_slow.load(Ordering::Relaxed), 1);
    held.ok();
    assert_eq!(read_frame(&mut stream).await.unwrap().opaque, 1);
    stream.write_all(&behind[10..]).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().body, "behind");
    // From when it is read from again its time runs.
    stream.write_all(&behind[..10]).await.unwrap();
    assert_closed(&mut stream).await;
    assert_eq!(fixture.metrics.closed_slow.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_answer_too_large_to_be_written_is_an_error_instead() {
    let fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    stream
        .write_all(&[json(LONG_REMARK, 1, b""), json(ECHO, 2, b"next")].concat())
        .await
        .unwrap();
    let instead = read_frame(&mut stream).await.unwrap();
    assert_eq!((instead.opaque, instead.code), (1, response::SYSTEM_ERROR));
    let remark = instead.remark.as_deref().unwrap();
    assert!(remark.contains("too large"), "{remark}");
    assert_eq!(read_frame(&mut stream).await.unwrap().body, "next");
    assert_eq!(fixture.metrics.answers_too_large.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_request_too_large_to_be_written_fails_at_once() {
    /// A header of 17 MiB.
    struct Large;
    impl protocol::EncodeHeader for Large {
        fn encode(&self, out: &mut protocol::encode::FieldWriter<'_>) {
            out.foreign("large", &"x".repeat(17 << 20));
        }
    }
    let fixture = start(|_| {}).await;
    let client = Client::new(ClientSettings::default());
    let address = fixture.server.local_addr().to_string();
    let asked = client.invoke(&address, ECHO, &Large, Body::Empty, Duration::from_secs(60));
    assert!(matches!(
        asked.await,
        Err(InvokeError::TooLarge { code: ECHO, .. })
    ));
    let echoed = client
        .invoke(&address, ECHO, &(), Body::Empty, Duration::from_secs(5))
        .await;
    assert_eq!(echoed.unwrap().code, response::SUCCESS, "the connection is sound");
}

#[tokio::test]
async fn a_drain_ends_with_its_last_oneway_request() {
    let mut fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    stream
        .write_all(&request(HOLD, 1, FLAG_ONEWAY, SerializeType::Json, b""))
        .await
        .unwrap();
    let held = fixture.held.recv().await.unwrap();
    let stopping = tokio::spawn(fixture.server.shutdown(Duration::from_secs(600)));
    // The connection has gone to sleep until all is answered.
    while fixture.metrics.reads_paused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    std::thread::spawn(move || drop(held)).join().unwrap();
    assert_closed(&mut stream).await;
    drop(stream);
    let stopped = tokio::time::timeout(Duration::from_secs(20), stopping).await;
    stopped.expect("long before the budget is over").unwrap();
}

/// What was on its way when a server began to stop is answered, also a frame of which a part had come.
#[tokio::test]
async fn a_drain_answers_what_came_before_the_peer_could_know() {
    let mut fixture = start(|_| {}).await;
    let mut stream = connect(&fixture).await;
    stream.write_all(&json(HOLD, 1, b"")).await.unwrap();
    let held = fixture.held.recv().await.unwrap();
    let stopping = tokio::spawn(fixture.server.shutdown(Duration::from_secs(600)));
    // The connection is read no more until the first one is answered.
    while fixture.metrics.reads_paused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let (second, third) = (json(ECHO, 2, b"second"), json(ECHO, 3, b"third"));
    let (begin, rest) = third.split_at(third.len() / 2);
    stream.write_all(&[&second, begin].concat()).await.unwrap();
    held.ok();
    assert_eq!(read_frame(&mut stream).await.unwrap().opaque, 1);
    let answer = read_frame(&mut stream).await.unwrap();
    assert_eq!((answer.opaque, &answer.body[..]), (2, &b"second"[..]));
    stream.write_all(rest).await.unwrap();
    let answer = read_frame(&mut stream).await.unwrap();
    assert_eq!((answer.opaque, &answer.body[..]), (3, &b"third"[..]));
    assert_closed(&mut stream).await;
    drop(stream);
    let stopped = tokio::time::timeout(Duration::from_secs(20), stopping).await;
    stopped.expect("long before the budget is over").unwrap();
}

#[tokio::test]
async fn all_ports_stop_together_within_one_budget() {
    let mut fixture = start(|_| {}).await;
    let (held_to, mut held) = mpsc::unbounded_channel();
    let (closed, _nobody) = mpsc::unbounded_channel();
    let second = Arc::new(TestService {
        held: held_to,
        closed,
    });
    let also = ServerSettings::at("127.0.0.1:0".parse().unwrap());
    let bound = Server::bind(also).unwrap();
    let also = bound.local_addr();
    fixture.server.also(bound, second);
    let (mut one, mut other) = (connect(&fixture).await, TcpStream::connect(also).await.unwrap());
    for stream in [&mut one, &mut other] {
        stream.write_all(&json(HOLD, 1, b"")).await.unwrap();
    }
    let (_first, _second) = (fixture.held.recv().await.unwrap(), held.recv().await.unwrap());
    assert_eq!(fixture.server.connections(), 2);
    let first_address = fixture.server.local_addr();
    let (budget, started) = (Duration::from_secs(2), std::time::Instant::now());
    // Neither port has an answer for its request.
    fixture.server.shutdown(budget).await;
    let took = started.elapsed();
    assert!(took >= budget && took < budget * 2, "{took:?}");
    for address in [first_address, also] {
        assert!(
            TcpStream::connect(address).await.is_err(),
            "{address} still listens"
        );
    }
}

#[tokio::test]
async fn connections_of_all_ports_are_limited_together() {
    let fixture = start(|s| s.connections_max = 1).await;
    let (held, _held) = mpsc::unbounded_channel();
    let (closed, _closed) = mpsc::unbounded_channel();
    let also = ServerSettings::at("127.0.0.1:0".parse().unwrap());
    let bound = Server::bind(also).unwrap();
    let also = bound.local_addr();
    fixture.server.also(bound, Arc::new(TestService { held, closed }));
    let mut first = connect(&fixture).await;
    first.write_all(&json(ECHO, 1, b"")).await.unwrap();
    assert_eq!(read_frame(&mut first).await.unwrap().code, 0);
    assert_closed(&mut TcpStream::connect(also).await.unwrap()).await;
}

#[test]
fn limits_have_javas_defaults() {
    let limits = Limits::default();
    assert_eq!(
        (limits.frame_max_bytes, limits.idle),
        (16_777_216, Duration::from_secs(120))
    );
}
