//! The listener: few connections, bounded requests, everything within a time, and no page for who may not have asked for it.

use crate::address::Fields;
use crate::app::{App, Heard};
use crate::asked::{Asked, Theme, cookie, text_of};
use crate::lang::Lang;
use crate::reply::Reply;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Connections at once; a further one takes the place of one that waits for nothing.
const CONNECTIONS_MAX: usize = 256;
/// Pages that are made at once: each may have a table of all topics.
const PAGES_MAX: usize = 8;
/// How long a request waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a request's head, and of a form.
const HEAD_MAX_BYTES: usize = 16 * 1024;
const FORM_MAX_BYTES: usize = 256 * 1024;
/// Time for a request's head, also for the next one's of a connection; for its form; for a whole connection.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
const FORM_WITHIN: Duration = Duration::from_secs(10);
const CONNECTION_WITHIN: Duration = Duration::from_secs(600);
/// Pause where no connection can be taken, for want of descriptors.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Letters of what a proxy says about whom it asks for.
const FORWARDED_MAX: usize = 100;

/// The listener's own rules.
pub(crate) struct Door {
    /// Names that this server may be asked by, besides those of its own host.
    pub(crate) names: Vec<String>,
    /// Whether it listens for its own host alone: then no other name is right.
    pub(crate) is_loopback: bool,
}

impl Door {
    /// Whether a browser means this server. A page elsewhere may give its own name this host's address; its requests have that name.
    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_matches(['[', ']']);
        let is_own =
            name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        is_own || !self.is_loopback || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// A connection.
struct Open {
    serving: JoinHandle<()>,
    /// Requests that it waits for.
    waits: Arc<AtomicU32>,
}

struct Site {
    app: App,
    door: Door,
    turns: Semaphore,
}

/// Serves until the future of it is dropped.
pub(crate) async fn serve(socket: TcpListener, app: App, door: Door) {
    let site = Arc::new(Site {
        app,
        door,
        turns: Semaphore::new(PAGES_MAX),
    });
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        let Ok((stream, peer)) = socket.accept().await else {
            tokio::time::sleep(AGAIN_AFTER).await;
            continue;
        };
        open.retain(|open| !open.serving.is_finished());
        if open.len() >= CONNECTIONS_MAX && !make_way(&mut open) {
            // All wait for answers: whoever comes now is better served later.
            continue;
        }
        let waits = Arc::new(AtomicU32::new(0));
        let (site, counted) = (Arc::clone(&site), Arc::clone(&waits));
        let serving = tokio::spawn(async move {
            // What goes wrong with a connection ends it, and nothing else.
            let _ended =
                tokio::time::timeout(CONNECTION_WITHIN, connection(stream, peer, site, counted)).await;
        });
        open.push_back(Open { serving, waits });
    }
}

/// Closes the oldest connection that waits for nothing.
fn make_way(open: &mut VecDeque<Open>) -> bool {
    let idle = open
        .iter()
        .position(|open| open.waits.load(Ordering::Relaxed) == 0);
    match idle.and_then(|at| open.remove(at)) {
        Some(closed) => {
            closed.serving.abort();
            true
        }
        None => false,
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    site: Arc<Site>,
    waits: Arc<AtomicU32>,
) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let (site, waits) = (Arc::clone(&site), Arc::clone(&waits));
        async move {
            waits.fetch_add(1, Ordering::Relaxed);
            let reply = answer(&site, peer, request).await;
            waits.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, Infallible>(reply)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(site: &Site, peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let is_head = request.method() == Method::HEAD;
    let mut response = reply(site, peer, request).await.into_response();
    if is_head {
        *response.body_mut() = Full::default();
    }
    response
}

async fn reply(site: &Site, peer: SocketAddr, request: Request<Incoming>) -> Reply {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let host = text_of(headers, header::HOST).unwrap_or_default();
    if !site.door.knows(host) {
        return Reply::plain(
            421,
            "this server is not known by that name; mqconsole --name NAME makes it known",
        );
    }
    let is_post = match parts.method {
        Method::GET | Method::HEAD => false,
        Method::POST => true,
        _ => return Reply::plain(405, "GET and POST are understood").with(header::ALLOW, "GET, HEAD, POST"),
    };
    if is_post && !is_from_here(headers, host) {
        return Reply::plain(403, "the form is one of another site");
    }
    let form = match is_post {
        true => match read_form(body).await {
            Ok(form) => form,
            Err(reply) => return reply,
        },
        false => Fields::default(),
    };
    let Ok(Ok(_turn)) = tokio::time::timeout(TURN_WITHIN, site.turns.acquire()).await else {
        return Reply::plain(503, "too many pages are asked for at once");
    };
    let secret = cookie(headers, "mqconsole").map(str::to_owned);
    let session = secret
        .as_deref()
        .and_then(|secret| site.app.sessions.of(secret, Instant::now()));
    let asked = Asked {
        path: parts.uri.path().to_owned(),
        query: Fields::parse(parts.uri.query().unwrap_or_default()),
        form,
        peer,
        forwarded: text_of(headers, "x-forwarded-for").map(|said| said.chars().take(FORWARDED_MAX).collect()),
        is_https: text_of(headers, "x-forwarded-proto") == Some("https"),
        lang: cookie(headers, "lang")
            .and_then(Lang::named)
            .unwrap_or_else(|| Lang::accepted(text_of(headers, header::ACCEPT_LANGUAGE).unwrap_or_default())),
        theme: cookie(headers, "theme")
            .and_then(Theme::named)
            .unwrap_or_default(),
        session,
        can_log_in: site.app.sessions.can_log_in(),
    };
    site.app.answer(asked, &Heard { is_post, secret }).await
}

/// Whether a form was sent by a page of this server, as far as the browser says.
fn is_from_here(headers: &HeaderMap, host: &str) -> bool {
    let site = text_of(headers, "sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = text_of(headers, header::ORIGIN).is_none_or(|origin| {
        let own = origin.split_once("://").map(|(_, own)| own);
        own.is_some_and(|own| own.eq_ignore_ascii_case(host))
    });
    site && origin
}

async fn read_form(body: Incoming) -> Result<Fields, Reply> {
    let reading = Limited::new(body, FORM_MAX_BYTES).collect();
    match tokio::time::timeout(FORM_WITHIN, reading).await {
        Ok(Ok(read)) => Ok(Fields::parse(&String::from_utf8_lossy(&read.to_bytes()))),
        Ok(Err(why)) if why.is::<http_body_util::LengthLimitError>() => {
            let most = FORM_MAX_BYTES / 1024;
            Err(Reply::plain(413, &format!("a form has {most} KiB at most")))
        }
        Ok(Err(why)) => Err(Reply::plain(400, &format!("the form can not be read: {why}"))),
        Err(_) => Err(Reply::plain(408, "the form took too long to come")),
    }
}

#[cfg(test)]
mod tests;
