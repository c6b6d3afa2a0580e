//! What every page has around it: the names of the others, languages, light and dark, who is logged in.

use crate::address::{link, with_fields};
use crate::asked::{Asked, Refusal, Theme};
use crate::assets;
use crate::grid::Grid;
use crate::lang::{Lang, Text};
use crate::reply::Reply;
use admin::ask::{now_ms, seconds};
use maud::{DOCTYPE, Markup, html};

/// A page's place in the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Cluster,
    Topics,
    Groups,
    Messages,
    DeadLetters,
    Producers,
    Settings,
    Doctor,
    Changes,
    /// Of none.
    Elsewhere,
}

/// Address, name, and the letter that leads there behind a `g`.
const MENU: [(Place, &str, Text, &str); 9] = [
    (Place::Cluster, "/", Text("Cluster", "集群"), "c"),
    (Place::Topics, "/topics", Text("Topics", "主题"), "t"),
    (Place::Groups, "/groups", Text("Groups", "消费组"), "g"),
    (Place::Messages, "/messages", Text("Messages", "消息"), "m"),
    (
        Place::DeadLetters,
        "/dead-letters",
        Text("Dead letters", "死信"),
        "d",
    ),
    (Place::Producers, "/producers", Text("Producers", "生产者"), "p"),
    (Place::Settings, "/settings", Text("Settings", "配置"), "s"),
    (Place::Doctor, "/doctor", Text("What is wrong", "诊断"), "w"),
    (Place::Changes, "/changes", Text("Changes", "变更"), "l"),
];

/// A part of a page.
pub(crate) enum Part {
    Html(Markup),
    Grid(Box<Grid>),
}

/// A page.
pub(crate) struct Page {
    pub(crate) place: Place,
    pub(crate) title: String,
    pub(crate) parts: Vec<Part>,
    /// Who could not be asked: the page shows the rest.
    pub(crate) away: Vec<String>,
    /// Seconds until a browser asks for it again by itself.
    pub(crate) again_s: Option<u32>,
    pub(crate) status: u16,
}

impl Page {
    pub(crate) fn new(place: Place, title: impl Into<String>) -> Page {
        Page {
            place,
            title: title.into(),
            parts: Vec::new(),
            away: Vec::new(),
            again_s: None,
            status: 200,
        }
    }

    pub(crate) fn html(&mut self, markup: Markup) {
        self.parts.push(Part::Html(markup));
    }

    pub(crate) fn grid(&mut self, grid: Grid) {
        self.parts.push(Part::Grid(Box::new(grid)));
    }

    /// Notes who could not be asked, each once.
    pub(crate) fn away<T: AsRef<str>>(&mut self, why: impl IntoIterator<Item = T>) {
        for why in why {
            if !self.away.iter().any(|known| known == why.as_ref()) {
                self.away.push(why.as_ref().to_owned());
            }
        }
    }

    /// The page, or the table of it that the address wants as a file.
    pub(crate) fn reply(self, asked: &Asked) -> Result<Reply, Refusal> {
        if let Some(export) = asked.query.get("export") {
            return self.export(asked, export);
        }
        let status = self.status;
        let text = self.document(asked).into_string();
        Ok(Reply::new(status, "text/html; charset=utf-8", text))
    }

    fn export(self, asked: &Asked, export: &str) -> Result<Reply, Refusal> {
        let (id, kind) = export.rsplit_once('.').unwrap_or((export, ""));
        let grids = self.parts.iter().filter_map(|part| match part {
            Part::Grid(grid) => Some(grid),
            Part::Html(_) => None,
        });
        let grid = grids.into_iter().find(|grid| grid.id == id);
        match (grid, kind) {
            (Some(grid), "json") => Ok(Reply::new(200, "application/json", grid.json(&asked.query))),
            (Some(grid), "csv") => Ok(Reply::download(
                "text/csv; charset=utf-8",
                &format!("{id}.csv"),
                grid.csv(&asked.query),
            )),
            _ => Err(Refusal::new(
                404,
                format!("this page has no table `{export}`; it is NAME.json or NAME.csv"),
            )),
        }
    }

    fn document(&self, asked: &Asked) -> Markup {
        let lang = asked.lang;
        let theme = (asked.theme != Theme::System).then(|| asked.theme.name());
        html! {
            (DOCTYPE)
            html lang=(lang.tag()) data-theme=[theme] {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · mqconsole" }
                    link rel="icon" href=(assets::ICON.address()) type="image/svg+xml";
                    link rel="stylesheet" href=(assets::STYLE.address());
                    script src=(assets::SCRIPT.address()) defer {}
                }
                body {
                    a.skip href="#main" { (lang.t("To the content", "跳到内容")) }
                    (self.header(asked))
                    main #main data-again=[self.again_s] { (self.content(asked)) }
                    (footer(asked))
                }
            }
        }
    }

    fn content(&self, asked: &Asked) -> Markup {
        let lang = asked.lang;
        html! {
            h1 { (self.title) }
            @if !self.away.is_empty() {
                div.notice.bad role="alert" {
                    p { (lang.t("Not everything could be asked; what is shown lacks it:", "部分信息获取失败，下面的内容不完整：")) }
                    ul { @for why in self.away.iter().take(10) { li { (why) } } }
                    @if self.away.len() > 10 { p { "… " (self.away.len()) } }
                }
            }
            @for part in &self.parts {
                @match part {
                    Part::Html(markup) => (markup),
                    Part::Grid(grid) => (grid.html(lang, &asked.path, &asked.query)),
                }
            }
        }
    }

    fn header(&self, asked: &Asked) -> Markup {
        let lang = asked.lang;
        let here = with_fields(&asked.path, &asked.query);
        html! {
            header {
                a.brand href="/" { "mqconsole" }
                nav.menu aria-label=(lang.t("Pages", "页面")) {
                    @for (place, address, name, key) in MENU {
                        a href=(address) data-key=(key) aria-current=[(place == self.place).then_some("page")] { (lang.of(name)) }
                    }
                }
                div.tools {
                    (switches(asked, &here))
                    @match &asked.session {
                        Some(session) => form.inline method="post" action="/logout" {
                            input type="hidden" name="token" value=(session.token);
                            span.who { (session.name) }
                            button type="submit" { (lang.t("Log out", "退出")) }
                        },
                        None if asked.can_log_in => a href=(link("/login", &[("back", &here)])) { (lang.t("Log in", "登录")) },
                        None => span.who title=(lang.t(
                            "No password is set: MQCONSOLE_PASSWORD or --password-file allows changes.",
                            "未设置密码：设置 MQCONSOLE_PASSWORD 或 --password-file 后才能修改。",
                        )) { (lang.t("read-only", "只读")) },
                    }
                }
            }
        }
    }
}

/// The languages, light and dark.
fn switches(asked: &Asked, here: &str) -> Markup {
    let to = |name: &str, value: &str| link("/preference", &[(name, value), ("back", here)]);
    let (other, shown) = match asked.lang {
        Lang::English => ("zh", "中文"),
        Lang::Chinese => ("en", "English"),
    };
    let (next, sign) = match asked.theme {
        Theme::System => ("dark", "◐"),
        Theme::Dark => ("light", "●"),
        Theme::Light => ("system", "○"),
    };
    let title = match asked.theme {
        Theme::System => asked
            .lang
            .t("as the system is; next: dark", "跟随系统；点击切换为深色"),
        Theme::Dark => asked.lang.t("dark; next: light", "深色；点击切换为浅色"),
        Theme::Light => asked
            .lang
            .t("light; next: as the system is", "浅色；点击切换为跟随系统"),
    };
    html! {
        a href=(to("theme", next)) title=(title) aria-label=(title) { (sign) }
        a href=(to("lang", other)) lang=(other) { (shown) }
    }
}

fn footer(asked: &Asked) -> Markup {
    let lang = asked.lang;
    html! {
        footer {
            span { (lang.t("As of ", "截至 ")) time { (seconds(now_ms())) } (lang.t(", in the time zone of this server", "（本服务器时区）")) }
            span.keys {
                kbd { "/" } " " (lang.t("filter", "筛选")) " "
                kbd { "g" } " " (lang.t("and a letter: another page", "加字母：切换页面")) " "
                @for (_, _, name, key) in MENU { span { kbd { (key) } " " (lang.of(name)) " " } }
            }
        }
    }
}

/// A page about why there is none.
pub(crate) fn refused(asked: &Asked, refusal: &Refusal) -> Reply {
    let lang = asked.lang;
    let title = match refusal.status {
        400 => lang.t("The request makes no sense", "请求有误"),
        403 => lang.t("This is not allowed", "不允许的操作"),
        404 => lang.t("There is no such thing", "未找到"),
        405 => lang.t("This is not asked for so", "请求方法不对"),
        429 | 503 => lang.t("Too much at once", "请求过多"),
        504 => lang.t("It takes too long", "超时"),
        _ => lang.t("The servers do not answer as they should", "服务端未正常应答"),
    };
    let hint = match refusal.status {
        502 | 504 => Some(lang.t(
            "See whether the name servers and brokers run and can be reached from here (mqadmin clusterList -n …), and whether conf/tools.yml has an account that may.",
            "请检查名字服务和 Broker 是否在运行、从本机是否可达（mqadmin clusterList -n …），以及 conf/tools.yml 中的账号是否有权限。",
        )),
        403 if asked.session.is_none() && asked.can_log_in => Some(lang.t("Log in, and do it again.", "请登录后重试。")),
        _ => None,
    };
    let mut page = Page::new(Place::Elsewhere, title);
    page.status = refusal.status;
    page.html(html! {
        p.notice.bad role="alert" { (refusal.why) }
        @if let Some(hint) = hint { p { (hint) } }
        p { a href="/" { (lang.t("To the first page", "返回首页")) } }
    });
    let status = page.status;
    Reply::new(
        status,
        "text/html; charset=utf-8",
        page.document(asked).into_string(),
    )
}

/// A list of names and values.
pub(crate) fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
    }
}

/// The hidden field that a form of somebody who is logged in has.
pub(crate) fn token(asked: &Asked) -> Markup {
    html! { @if let Some(session) = &asked.session { input type="hidden" name="token" value=(session.token); } }
}
