//! A request, as pages look at it.

use crate::address::Fields;
use crate::held::Unanswered;
use crate::lang::Lang;
use crate::session::Session;
use hyper::header::{self, AsHeaderName, HeaderMap};
use std::net::SocketAddr;

/// What somebody asks for.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: Fields,
    /// Of a POST.
    pub(crate) form: Fields,
    pub(crate) peer: SocketAddr,
    /// What a proxy says about whom it asks for. Anybody may say it: it is for the log alone.
    pub(crate) forwarded: Option<String>,
    /// Whether a proxy says that the browser speaks TLS to it.
    pub(crate) is_https: bool,
    pub(crate) lang: Lang,
    pub(crate) theme: Theme,
    /// Who has logged in.
    pub(crate) session: Option<Session>,
    /// Whether anybody can: a password is set.
    pub(crate) can_log_in: bool,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    /// As the system is.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub(crate) fn named(name: &str) -> Option<Theme> {
        match name {
            "system" => Some(Theme::System),
            "light" => Some(Theme::Light),
            "dark" => Some(Theme::Dark),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

impl Asked {
    /// The field of the address that a page can not do without.
    pub(crate) fn wanted(&self, name: &str) -> Result<&str, Refusal> {
        self.query.get(name).ok_or_else(|| Refusal::lacks(name))
    }

    /// The same of a form.
    pub(crate) fn given(&self, name: &str) -> Result<&str, Refusal> {
        self.form.get(name).ok_or_else(|| Refusal::lacks(name))
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) why: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, why: impl Into<String>) -> Refusal {
        Refusal {
            status,
            why: why.into(),
        }
    }

    fn lacks(name: &str) -> Refusal {
        Refusal::new(400, format!("the request lacks `{name}`"))
    }
}

impl From<admin::ask::Failure> for Refusal {
    /// A server did not do what this one asked it for.
    fn from(why: admin::ask::Failure) -> Refusal {
        Unanswered::from(why).into()
    }
}

impl From<Unanswered> for Refusal {
    fn from(answer: Unanswered) -> Refusal {
        let status = if answer.is_missing { 404 } else { 502 };
        Refusal::new(status, &*answer.why)
    }
}

/// A header that is text.
pub(crate) fn text_of(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter();
    let all = all.filter_map(|value| value.to_str().ok());
    let mut pairs = all
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}
