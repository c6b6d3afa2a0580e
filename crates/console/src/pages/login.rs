//! Logging in.

use crate::address::local;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::journal::tell;
use crate::page::{Page, Place};
use crate::reply::Reply;
use crate::session::NotLoggedIn;
use hyper::header;
use maud::html;
use std::time::Instant;

pub(crate) fn form(asked: &Asked, failed: Option<NotLoggedIn>) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let mut page = Page::new(Place::Elsewhere, lang.t("Log in", "登录"));
    let why = failed.map(|failed| match failed {
        NotLoggedIn::NoPassword => lang.t(
            "No password is set: nothing can be changed here.",
            "未设置密码，无法修改。",
        ),
        NotLoggedIn::Wrong => lang.t("The password is another.", "密码错误。"),
        NotLoggedIn::Wait => lang.t(
            "Too many passwords were wrong. Wait a minute.",
            "错误次数过多，请一分钟后再试。",
        ),
        NotLoggedIn::NoName => lang.t(
            "Give a name: it goes into the log with every change.",
            "请填写姓名，每次变更都会记录。",
        ),
    });
    page.status = match failed {
        None => 200,
        Some(NotLoggedIn::Wait) => 429,
        Some(_) => 403,
    };
    let back = asked
        .query
        .get("back")
        .or_else(|| asked.form.get("back"))
        .unwrap_or("/");
    page.html(html! {
        @if let Some(why) = why { p.notice.bad role="alert" { (why) } }
        form.login method="post" action="/login" {
            input type="hidden" name="back" value=(local(back));
            label { (lang.t("Your name, for the log", "姓名（用于变更记录）")) input name="name" required maxlength="40" autocomplete="username" autofocus; }
            label { (lang.t("Password", "密码")) input name="password" type="password" required autocomplete="current-password"; }
            button type="submit" { (lang.t("Log in", "登录")) }
        }
    });
    Ok(page)
}

pub(crate) fn log_in(app: &App, asked: &Asked) -> Result<Reply, Refusal> {
    let (name, password) = (asked.form.text("name"), asked.form.raw("password"));
    let from = asked.peer.ip();
    match app.sessions.log_in(name, password, from, Instant::now()) {
        Ok(secret) => {
            tell(&format!("login by={name:?} from={:?}", asked.peer.to_string()));
            let secure = if asked.is_https { "; Secure" } else { "" };
            let cookie = format!("mqconsole={secret}; Path=/; HttpOnly; SameSite=Strict{secure}");
            Ok(Reply::see_other(local(asked.form.text("back"))).with(header::SET_COOKIE, &cookie))
        }
        Err(why) => {
            tell(&format!(
                "login refused name={name:?} from={:?} why={why:?}",
                asked.peer.to_string()
            ));
            form(asked, Some(why))?.reply(asked)
        }
    }
}
