//! Answers, with the headers that keep a page to itself.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// No script, style, picture or frame but this server's own files; no form that leads elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// On every answer.
const STRICT: [(&str, &str); 7] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(HeaderName, String)>,
    /// Whether a browser may keep it: files of this program alone.
    pub(crate) is_lasting: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Reply {
        Reply {
            status,
            kind,
            body: body.into(),
            headers: Vec::new(),
            is_lasting: false,
        }
    }

    /// Text without a page around it.
    pub(crate) fn plain(status: u16, text: &str) -> Reply {
        Reply::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    /// To another page of this server, by GET.
    pub(crate) fn see_other(address: &str) -> Reply {
        Reply::new(303, "text/plain; charset=utf-8", Bytes::new()).with(header::LOCATION, address)
    }

    /// A file that browsers keep rather than show.
    pub(crate) fn download(kind: &'static str, name: &str, body: impl Into<Bytes>) -> Reply {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let safe: String = name
            .chars()
            .map(|letter| if plain(letter) { letter } else { '_' })
            .take(100)
            .collect();
        let how = format!("attachment; filename=\"{safe}\"");
        Reply::new(200, kind, body).with(header::CONTENT_DISPOSITION, &how)
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Reply {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// As hyper sends it.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        for (name, value) in STRICT {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let kept = match self.is_lasting {
            true => "public, max-age=3600",
            false => "no-store",
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
        for (name, value) in self.headers {
            // What can not stand in a header is left out rather than sent otherwise.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_header() {
        let reply = Reply::download("text/csv", "a\r\nX: y\"/../b", "x").with(header::LOCATION, "/\r\nY: z");
        let response = reply.into_response();
        let how = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert_eq!(how, "attachment; filename=\"a__X__y__.._b\"");
        assert!(!response.headers().contains_key(header::LOCATION));
        assert_eq!(response.headers()["x-frame-options"], "DENY");
    }
}
