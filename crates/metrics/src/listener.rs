//! The HTTP server: few connections, one request each, everything within a time. It runs on a thread of its own, so that it
//! answers where the server's own workers do not, and so that a long page holds up none of them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::push::Push;
use crate::{PushSettings, Registry, Reply, Site};

/// Connections at once. A further one takes the place of another: a probe must be answered, however many have connected and do nothing.
const CONNECTIONS_MAX: usize = 32;
/// Pages that are made at once.
const PAGES_AT_ONCE: usize = 4;
/// Bytes of a request's head.
const HEAD_MAX_BYTES: usize = 8192;
/// Time for a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Time for a whole connection.
const WITHIN: Duration = Duration::from_secs(60);
/// Time for the last push, at a stop.
const LAST_PUSH_WITHIN: Duration = Duration::from_secs(3);
/// Pause where no connection can be taken, for want of descriptors.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A socket that is bound and served by nobody yet.
#[derive(Debug)]
pub struct Bound(TcpListener);

impl Bound {
    /// Binds the first of `ports` at `ip` that is free, or, where none is, any that the system gives. Port 0 is free always.
    ///
    /// # Errors
    /// The address can not be had at all.
    pub fn first_free(ip: IpAddr, ports: impl IntoIterator<Item = u16>) -> io::Result<Bound> {
        for port in ports {
            match TcpListener::bind((ip, port)) {
                Ok(socket) => return Ok(Bound(socket)),
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
                Err(e) => return Err(e),
            }
        }
        TcpListener::bind((ip, 0)).map(Bound)
    }

    /// Where it is.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves these pages on a thread of its own, and pushes what `push` says there.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn serve(self, site: Site, push: Option<(PushSettings, Arc<Registry>)>) -> io::Result<Listener> {
        self.0.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(PAGES_AT_ONCE)
            .thread_name("metrics-page")
            .build()?;
        let thread = std::thread::Builder::new().name("metrics".to_owned());
        #[expect(clippy::disallowed_methods, reason = "the runtime of this thread begins here")]
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                let pushing = push.map(|(settings, registry)| {
                    let (end, ended) = oneshot::channel();
                    (end, tokio::spawn(Push::new(&settings, registry).run(ended)))
                });
                listen(self.0, Arc::new(site), stopped).await;
                if let Some((end, pushing)) = pushing {
                    drop(end);
                    if tokio::time::timeout(LAST_PUSH_WITHIN, pushing).await.is_err() {
                        tracing::warn!("metrics of the last moments are not pushed: it took too long");
                    }
                }
            });
        })?;
        Ok(Listener {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// A listener that serves. Dropped, it stops.
#[derive(Debug)]
pub struct Listener {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Listener {
    /// Stops: no new connections; those that are there are cut off. What was counted is pushed once more.
    pub fn stop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the listener of metrics has panicked");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn listen(socket: TcpListener, site: Arc<Site>, mut stopped: oneshot::Receiver<()>) {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(e) => return tracing::error!("metrics can not be served: {e}"),
    };
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = socket.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(AGAIN_AFTER).await;
            continue;
        };
        open.retain(|open| !open.serving.is_finished());
        make_way(&mut open);
        let has_asked = Arc::new(AtomicBool::new(false));
        let (site, asks) = (Arc::clone(&site), Arc::clone(&has_asked));
        let serving = tokio::spawn(async move {
            let served = tokio::time::timeout(WITHIN, serve(stream, peer, site, asks)).await;
            if let Ok(Err(e)) = served {
                tracing::debug!("a request of {peer} for metrics failed: {e}");
            }
        });
        open.push_back(Open { serving, has_asked });
    }
}

/// A connection that is served.
struct Open {
    serving: JoinHandle<()>,
    /// Its request has come.
    has_asked: Arc<AtomicBool>,
}

/// Closes the oldest connection of those that have asked for nothing, or of all, where there is no room for another.
fn make_way(open: &mut VecDeque<Open>) {
    if open.len() < CONNECTIONS_MAX {
        return;
    }
    let silent = open
        .iter()
        .position(|open| !open.has_asked.load(Ordering::Relaxed));
    if let Some(closed) = open.remove(silent.unwrap_or(0)) {
        closed.serving.abort();
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    site: Arc<Site>,
    has_asked: Arc<AtomicBool>,
) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(&request, peer, site).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_MAX_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(request: &Request<Incoming>, peer: SocketAddr, site: Arc<Site>) -> Response<Full<Bytes>> {
    let (method, path) = (
        request.method().as_str().to_owned(),
        request.uri().path().to_owned(),
    );
    // A page may wait for locks and the disk.
    let reply = tokio::task::spawn_blocking(move || site.reply(&method, &path, peer)).await;
    let reply = reply.unwrap_or_else(|_| Reply::text(500, "a fault in this server, see its log\n"));
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::Page;
    use std::io::{Read, Write};
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn served(site: Site) -> (Listener, SocketAddr) {
        let bound = Bound::first_free(HERE, [0]).unwrap();
        let address = bound.address().unwrap();
        (bound.serve(site, None).unwrap(), address)
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // A connection that is cut off may end by a reset.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn a_page_and_what_is_none() {
        let site = Site::new(vec![Page::get("/livez", || Reply::text(503, "not yet\n"))]);
        let (mut listener, address) = served(site);
        let answer = ask(address, "GET /livez?verbose HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nnot yet\n"), "{answer}");
        assert!(ask(address, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404 "));
        assert!(ask(address, "\x16\x03\x01").starts_with("HTTP/1.1 400 "));
        listener.stop();
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_page_that_panics_harms_itself_alone() {
        let site = Site::new(vec![
            Page::get("/bad", || panic!("on purpose")),
            Page::get("/good", || Reply::text(200, "good")),
        ]);
        let (_listener, address) = served(site);
        assert!(ask(address, "GET /bad HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 500 "));
        assert!(ask(address, "GET /good HTTP/1.0\r\n\r\n").ends_with("good"));
    }

    #[test]
    fn heads_that_are_long_are_cut_off() {
        let (_listener, address) = served(Site::new(vec![Page::get("/", || Reply::text(200, "x"))]));
        let long = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
            "x".repeat(3 * HEAD_MAX_BYTES)
        );
        let answer = ask(address, &long);
        assert!(!answer.contains(" 200 "), "{answer}");
    }

    #[test]
    fn a_probe_is_answered_however_many_are_connected() {
        let (_listener, address) = served(Site::new(vec![Page::get("/", || Reply::text(200, "x"))]));
        let connect = || std::net::TcpStream::connect(address).unwrap();
        let mut all: Vec<_> = (0..2 * CONNECTIONS_MAX).map(|_| connect()).collect();
        for round in 0..CONNECTIONS_MAX {
            let answer = ask(address, "GET / HTTP/1.0\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.0 200 "), "{round}: {answer}");
        }
        // The oldest ones are closed.
        all[0].set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!(matches!(all[0].read(&mut [0]), Ok(0) | Err(_)));
    }

    #[test]
    fn a_taken_port_gives_way_to_the_next() {
        let first = Bound::first_free(HERE, [0]).unwrap().address().unwrap().port();
        let taken = TcpListener::bind((HERE, first)).unwrap();
        let other = Bound::first_free(HERE, [0]).unwrap();
        let next = other.address().unwrap().port();
        drop(other);
        let bound = Bound::first_free(HERE, [first, next]).unwrap();
        assert_eq!(bound.address().unwrap().port(), next);
        let any = Bound::first_free(HERE, [first]).unwrap();
        assert_ne!(any.address().unwrap().port(), first);
        drop(taken);
    }
}
