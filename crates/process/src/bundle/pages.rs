//! Pages of the server's own listener of metrics and health, if it runs.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a connection and a page may take.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
const PAGE_WITHIN: Duration = Duration::from_secs(5);
/// The longest page.
const PAGE_MAX_BYTES: u64 = super::PART_MAX_BYTES as u64;

/// A listener that answers.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    address: SocketAddr,
}

impl Pages {
    /// The first of these ports at which `is_own` says so of what `path` gives: other servers of the host have such listeners, too.
    pub fn find(ip: IpAddr, ports: &[u16], path: &str, is_own: impl Fn(&str) -> bool) -> Option<Pages> {
        let here = ports.iter().map(|port| Pages {
            address: SocketAddr::new(ip, *port),
        });
        here.into_iter()
            .find(|pages| pages.page(path).is_ok_and(|text| is_own(&text)))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that can be read there, as the page says that is shown where there is none.
    pub fn paths(&self) -> Vec<String> {
        let index = self.page("/").unwrap_or_default();
        let paths = index.lines().filter_map(|line| line.strip_prefix("GET "));
        paths.map(str::to_owned).collect()
    }

    /// A page, whatever its status; the status is said where it is not 200.
    ///
    /// # Errors
    /// It does not come.
    pub fn page(&self, path: &str) -> Result<String, String> {
        let told = self
            .ask(path)
            .map_err(|error| format!("http://{}{path}: {error}", self.address))?;
        let (head, body) = told
            .split_once("\r\n\r\n")
            .ok_or_else(|| format!("http://{}{path}: that is no HTTP", self.address))?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        Ok(match status {
            "200" => body.to_owned(),
            _ => format!("status {status}\n{body}"),
        })
    }

    fn ask(&self, path: &str) -> io::Result<String> {
        let deadline = Instant::now() + PAGE_WITHIN;
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT_WITHIN)?;
        stream.set_write_timeout(Some(CONNECT_WITHIN))?;
        // 1.0: the body ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).as_bytes())?;
        let mut bytes = Vec::new();
        let mut piece = [0; 16 << 10];
        while (bytes.len() as u64) < PAGE_MAX_BYTES {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut piece)? {
                0 => break,
                len => bytes.extend_from_slice(&piece[..len]),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{Bound, Page, Reply, Site};

    #[test]
    fn the_own_listener_of_several() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let start = |name: &'static str| {
            let bound = Bound::first_free(here, [0]).unwrap();
            let port = bound.address().unwrap().port();
            let pages = vec![
                Page::get_local("/debug/state", move || {
                    Reply::text(200, format!("store {name}\n"))
                }),
                Page::get("/readyz", || Reply::text(503, "not yet\n")),
            ];
            (port, bound.serve(Site::new(pages), None).unwrap())
        };
        let (first, _one) = start("/a");
        let (second, _other) = start("/b");
        // Nothing is there.
        let ports = [1, first, second];
        let own = |text: &str| text.contains("store /b\n");
        let found = Pages::find(here, &ports, "/debug/state", own).unwrap();
        assert_eq!(found.address().port(), second);
        assert_eq!(found.page("/readyz").unwrap(), "status 503\nnot yet\n");
        assert_eq!(found.paths(), ["/debug/state", "/readyz"]);
        assert!(found.page("/none").unwrap().starts_with("status 404\n"));
        assert!(Pages::find(here, &ports, "/debug/state", |text| text == "no").is_none());
    }
}
