//! The pages of a listener.

use std::net::SocketAddr;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP's status.
    pub status: u16,
    /// Its kind.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

impl Reply {
    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    /// Metrics.
    pub fn metrics(body: String) -> Self {
        Self {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body,
        }
    }
}

/// One page. It is made on a thread that may wait.
pub struct Page {
    /// Where it is.
    pub path: &'static str,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Only who asks from this host gets it.
    pub local_only: bool,
    /// Makes it.
    pub make: Box<dyn Fn() -> Reply + Send + Sync>,
}

impl Page {
    /// A page that everybody may read.
    pub fn get(path: &'static str, make: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self {
            path,
            method: "GET",
            local_only: false,
            make: Box::new(make),
        }
    }

    /// The same, for who asks from this host.
    pub fn get_local(path: &'static str, make: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self {
            local_only: true,
            ..Self::get(path, make)
        }
    }

    /// Something to do, for who asks from this host.
    pub fn post_local(path: &'static str, make: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self {
            method: "POST",
            ..Self::get_local(path, make)
        }
    }
}

/// All pages.
#[derive(Default)]
pub struct Site {
    pages: Vec<Page>,
}

impl Site {
    /// Of these pages.
    pub fn new(pages: Vec<Page>) -> Self {
        Self { pages }
    }

    /// What `method` of `path` gives who asks from `peer`.
    pub(crate) fn reply(&self, method: &str, path: &str, peer: SocketAddr) -> Reply {
        let here: Vec<&Page> = self.pages.iter().filter(|page| page.path == path).collect();
        // HEAD is answered as GET; the HTTP server leaves the body out.
        let asked = if method == "HEAD" { "GET" } else { method };
        match here.iter().find(|page| page.method == asked) {
            Some(page) if page.local_only && !peer.ip().to_canonical().is_loopback() => {
                Reply::text(403, "this page is for this host alone\n")
            }
            Some(page) => (page.make)(),
            None if here.is_empty() => Reply::text(404, self.index()),
            None => Reply::text(405, "not by this method\n"),
        }
    }

    fn index(&self) -> String {
        let mut text = "no such page; there are:\n".to_owned();
        for page in &self.pages {
            text.push_str(page.method);
            text.push(' ');
            text.push_str(page.path);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_by_path_method_and_place() {
        let site = Site::new(vec![
            Page::get("/livez", || Reply::text(200, "live\n")),
            Page::get_local("/debug", || Reply::text(200, "held\n")),
            Page::post_local("/drain", || Reply::text(202, "draining\n")),
        ]);
        let (here, mapped, elsewhere) = (
            ([127, 0, 0, 1], 1).into(),
            "[::ffff:127.0.0.1]:1".parse().expect("an address"),
            ([10, 0, 0, 1], 1).into(),
        );
        let status = |method, path, peer| site.reply(method, path, peer).status;
        assert_eq!(status("GET", "/livez", elsewhere), 200);
        assert_eq!(status("HEAD", "/livez", elsewhere), 200);
        assert_eq!(status("POST", "/livez", here), 405);
        assert_eq!(status("GET", "/debug", elsewhere), 403);
        assert_eq!(status("GET", "/debug", mapped), 200);
        assert_eq!(status("GET", "/drain", here), 405);
        assert_eq!(status("POST", "/drain", elsewhere), 403);
        assert_eq!(status("POST", "/drain", here), 202);
        let unknown = site.reply("GET", "/", here);
        assert!(
            unknown.status == 404 && unknown.body.contains("GET /livez\n"),
            "{unknown:?}"
        );
    }
}
