//! The listener with a name server that says nothing, and whoever asks it for what he should not have.
use super::*;
use admin::ask::Net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_name_elsewhere_is_not_this_server() {
    let door = |is_loopback| Door {
        names: vec!["console.example.com".to_owned()],
        is_loopback,
    };
    for (host, at_loopback) in [
        ("localhost:8080", true),
        ("LOCALHOST", true),
        ("127.0.0.1:8080", true),
        ("[::1]:8080", true),
        ("console.example.com", true),
        ("evil.example.com:8080", false),
        ("127.0.0.1.evil.example.com", false),
        ("10.0.0.1:8080", false),
        ("", false),
    ] {
        assert_eq!(door(true).knows(host), at_loopback, "{host}");
        assert!(door(false).knows(host), "{host}");
    }
}

#[test]
fn a_form_elsewhere_is_refused() {
    let is_from_here = |pairs: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, header::HeaderValue::from_static(value));
        }
        super::is_from_here(&headers, "localhost:8080")
    };
    assert!(is_from_here(&[]));
    assert!(is_from_here(&[
        ("origin", "http://localhost:8080"),
        ("sec-fetch-site", "same-origin")
    ]));
    assert!(!is_from_here(&[("origin", "http://evil.example.com")]));
    assert!(!is_from_here(&[("origin", "null")]));
    assert!(!is_from_here(&[("sec-fetch-site", "cross-site")]));
    assert!(!is_from_here(&[("sec-fetch-site", "same-site")]));
}

/// A console with a name server that takes connections and says nothing.
struct Running {
    address: SocketAddr,
    serving: JoinHandle<()>,
    _mute: TcpListener,
}

impl Running {
    async fn start(password: Option<&str>) -> Running {
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let net = Net::new(&mute.local_addr().unwrap().to_string()).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let door = Door {
            names: Vec::new(),
            is_loopback: true,
        };
        let serving = tokio::spawn(serve(socket, App::new(&net, password), door));
        Running {
            address,
            serving,
            _mute: mute,
        }
    }

    /// Status and whole answer.
    async fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is cut off may end by a reset.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or(0), answer)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.ask(&request).await
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        self.ask(&request).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn a_name_server_that_hangs_holds_up_nobody_for_long() {
    let console = Running::start(None).await;
    let started = Instant::now();
    let mut viewers = tokio::task::JoinSet::new();
    let console = Arc::new(console);
    for number in 0..40 {
        let console = Arc::clone(&console);
        viewers.spawn(async move {
            let path = ["/", "/topics", "/groups", "/producers"][number % 4];
            console.get(path).await
        });
    }
    while let Some(told) = viewers.join_next().await {
        let (status, page) = told.unwrap();
        assert_eq!(status, 502, "{page}");
        assert!(
            page.contains("does not answer") || page.contains("none of the name servers"),
            "{page}"
        );
    }
    // All wait for the one request: not each for one of his own.
    assert!(
        started.elapsed() < Duration::from_secs(25),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(console.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn a_session_and_its_forms() {
    let console = Running::start(Some("secret")).await;
    let (status, _) = console.post("/login", "", "name=Ann&password=wrong").await;
    assert_eq!(status, 403);
    let (status, answer) = console
        .post("/login", "", "name=Ann&password=secret&back=//evil.example.com")
        .await;
    assert_eq!(status, 303, "{answer}");
    assert!(answer.contains("location: /\r\n"), "{answer}");
    let cookie = answer
        .split("mqconsole=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let cookie = format!("Cookie: a=b; mqconsole={cookie}\r\n");
    let request = format!("GET /changes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{cookie}\r\n");
    let (status, page) = console.ask(&request).await;
    assert_eq!(status, 200, "{page}");
    let token = page
        .split("name=\"token\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let forms = [
        (format!("token={token}"), String::new(), 403),
        (String::new(), cookie.clone(), 403),
        ("token=".to_owned() + &"0".repeat(64), cookie.clone(), 403),
        (
            format!("token={token}"),
            format!("{cookie}Origin: http://evil.example.com\r\n"),
            403,
        ),
        (format!("token={token}"), format!("{cookie}Origin: null\r\n"), 403),
        (
            format!("token={token}"),
            format!("{cookie}Origin: http://localhost\r\n"),
            303,
        ),
        // The session is over.
        (format!("token={token}"), cookie.clone(), 403),
    ];
    for (form, headers, expected) in forms {
        let (status, page) = console.post("/logout", &headers, &form).await;
        assert_eq!(status, expected, "{form} {headers}: {page}");
    }
}

#[tokio::test]
async fn what_is_too_much_or_makes_no_sense() {
    let console = Running::start(Some("secret")).await;
    let long = format!(
        "GET /?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "x".repeat(3 * HEAD_MAX_BYTES)
    );
    assert!(!console.ask(&long).await.1.contains(" 200 "));
    let (status, _) = console.post("/login", "", &"x".repeat(FORM_MAX_BYTES + 1)).await;
    assert_eq!(status, 413);
    assert_eq!(
        console
            .ask("PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .0,
        405
    );
    assert_eq!(console.ask("GET /login HTTP/1.0\r\n\r\n").await.0, 421);
    assert_eq!(
        console
            .ask("GET /login HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n")
            .await
            .0,
        421
    );
    assert_eq!(console.ask("\x16\x03\x01\r\n\r\n").await.0, 400);
    // Those who say nothing make way.
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX + 20 {
        idle.push(TcpStream::connect(console.address).await.unwrap());
    }
    assert_eq!(console.get("/healthz").await.0, 200);
    assert!(matches!(idle[0].read(&mut [0]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn nothing_that_is_asked_for_is_markup() {
    let console = Running::start(Some("secret")).await;
    let odd = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        format!("/{odd}"),
        format!("/login?back=/{odd}"),
        format!("/group/reset?group={odd}&topic={odd}&to={odd}"),
        format!("/messages?topic={odd}&from={odd}"),
    ] {
        let (status, page) = console.get(&path).await;
        assert!(matches!(status, 200 | 400 | 404 | 502), "{status}");
        assert!(!page.contains("<script>alert"), "{path}: {page}");
    }
    let (status, page) = console
        .post("/login", "", &format!("name={odd}&password={odd}&back=/{odd}"))
        .await;
    assert_eq!(status, 403);
    assert!(!page.contains("<script>alert"), "{page}");
}
