//! Which request is answered by which page, and what is looked at before a change.

use crate::address::{Fields, local};
use crate::asked::{Asked, Refusal};
use crate::assets;
use crate::cluster::Cluster;
use crate::doctor::Doctor;
use crate::held::HeldBy;
use crate::journal::Journal;
use crate::page;
use crate::pages::groups::OfGroup;
use crate::pages::topics::OfTopic;
use crate::reply::Reply;
use crate::session::Sessions;
use crate::{changes, pages};
use admin::ask::Net;
use hyper::header;
use std::sync::Arc;
use std::time::Duration;

/// How long a page may take: servers that hang are named by then.
const PAGE_WITHIN: Duration = Duration::from_secs(15);

/// How long what is asked about one topic or group is held.
const MOMENT: Duration = Duration::from_secs(1);

/// What pages are made of.
pub(crate) struct App {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) doctor: Doctor,
    pub(crate) sessions: Sessions,
    pub(crate) journal: Journal,
    pub(crate) of_topic: HeldBy<OfTopic>,
    pub(crate) of_group: HeldBy<OfGroup>,
}

/// What the listener is asked besides.
pub(crate) struct Heard {
    pub(crate) is_post: bool,
    /// The secret of a session's cookie.
    pub(crate) secret: Option<String>,
}

impl App {
    pub(crate) fn new(net: &Net, password: Option<&str>) -> App {
        App {
            cluster: Arc::new(Cluster::new(net.clone())),
            doctor: Doctor::new(net.clone()),
            sessions: Sessions::new(password),
            journal: Journal::default(),
            of_topic: HeldBy::new(MOMENT),
            of_group: HeldBy::new(MOMENT),
        }
    }

    /// Answers a request, within a time.
    pub(crate) async fn answer(&self, asked: Asked, heard: &Heard) -> Reply {
        let work = async {
            match heard.is_post {
                true => self.change(&asked, heard).await,
                false => self.show(&asked).await,
            }
        };
        let done = match tokio::time::timeout(PAGE_WITHIN, work).await {
            Ok(done) => done,
            Err(_) => {
                let seconds = PAGE_WITHIN.as_secs();
                Err(Refusal::new(
                    504,
                    format!("servers have not answered within {seconds} s"),
                ))
            }
        };
        done.unwrap_or_else(|refusal| page::refused(&asked, &refusal))
    }

    async fn show(&self, asked: &Asked) -> Result<Reply, Refusal> {
        if let Some(file) = assets::of(&asked.path) {
            return Ok(file);
        }
        let page = match asked.path.as_str() {
            "/healthz" => return Ok(Reply::plain(200, "ok")),
            "/preference" => return prefer(asked),
            "/message/body" => return pages::message::body(self, asked).await,
            "/" => pages::cluster::overview(self, asked).await,
            "/broker" => pages::cluster::broker(self, asked).await,
            "/topics" => pages::topics::list(self, asked).await,
            "/topic" => pages::topics::one(self, asked).await,
            "/groups" => pages::groups::list(self, asked).await,
            "/group" => pages::groups::one(self, asked).await,
            "/group/member" => pages::member::one(self, asked).await,
            "/group/reset" => pages::groups::preview(self, asked).await,
            "/messages" => pages::messages::search(self, asked).await,
            "/message" => pages::message::one(self, asked).await,
            "/dead-letters" => pages::dead_letters::list(self, asked).await,
            "/producers" => pages::producers::list(self, asked).await,
            "/settings" => pages::settings::list(self, asked).await,
            "/doctor" => pages::doctor::list(self, asked).await,
            "/changes" => pages::changes::list(self, asked),
            "/login" => pages::login::form(asked, None),
            other => Err(Refusal::new(404, format!("there is no page {other}"))),
        }?;
        page.reply(asked)
    }

    async fn change(&self, asked: &Asked, heard: &Heard) -> Result<Reply, Refusal> {
        if asked.path == "/login" {
            return pages::login::log_in(self, asked);
        }
        self.may_change(asked)?;
        match asked.path.as_str() {
            "/logout" => {
                if let Some(secret) = &heard.secret {
                    self.sessions.log_out(secret);
                }
                let gone = "mqconsole=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0";
                Ok(Reply::see_other("/").with(header::SET_COOKIE, gone))
            }
            "/topic/save" => changes::topic::save(self, asked).await,
            "/topic/delete" => changes::topic::delete(self, asked).await,
            "/group/reset" => changes::offset::reset(self, asked).await,
            "/message/resend" => changes::resend::message(self, asked).await,
            "/dead-letters/resend" => changes::resend::dead_letters(self, asked).await,
            other => Err(Refusal::new(404, format!("there is no change {other}"))),
        }
    }

    /// Whether the request is one of somebody who is logged in, made by a form of this server.
    fn may_change(&self, asked: &Asked) -> Result<(), Refusal> {
        if !self.sessions.can_log_in() {
            return Err(Refusal::new(
                403,
                "nothing can be changed: start mqconsole with MQCONSOLE_PASSWORD or --password-file",
            ));
        }
        let Some(session) = &asked.session else {
            return Err(Refusal::new(403, "nobody is logged in"));
        };
        match session.owns(asked.form.text("token")) {
            true => Ok(()),
            false => Err(Refusal::new(403, "the form is none of this session")),
        }
    }

    /// Notes a change, and leads to the page that shows it.
    pub(crate) async fn changed(
        &self,
        asked: &Asked,
        what: String,
        outcome: Vec<(String, Option<String>)>,
    ) -> Result<Reply, Refusal> {
        self.cluster.forget().await;
        self.of_topic.forget();
        self.of_group.forget();
        let number = self.journal.note(asked, what, outcome);
        Ok(Reply::see_other(&format!("/changes?at={number}")))
    }
}

/// Keeps a language or a look in a cookie, and leads back.
fn prefer(asked: &Asked) -> Result<Reply, Refusal> {
    let mut reply = Reply::see_other(local(asked.query.text("back")));
    let known = |name: &str, fields: &Fields| match name {
        "lang" => fields
            .get(name)
            .and_then(crate::lang::Lang::named)
            .map(crate::lang::Lang::tag),
        _ => fields
            .get(name)
            .and_then(crate::asked::Theme::named)
            .map(crate::asked::Theme::name),
    };
    for name in ["lang", "theme"] {
        if let Some(value) = known(name, &asked.query) {
            let kept = format!("{name}={value}; Path=/; SameSite=Lax; Max-Age=31536000");
            reply = reply.with(header::SET_COOKIE, &kept);
        }
    }
    Ok(reply)
}
