//! What was changed by this console since it started.

use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::grid::{Cell, Column, Grid, Mark, column};
use crate::journal::Entry;
use crate::lang::{Lang, Text};
use crate::page::{Page, Place};
use maud::{Markup, html};

const CHANGES: &[Column] = &[
    column("at", "When", "时间"),
    column("who", "Who", "操作人"),
    column("from", "From", "来源"),
    column("what", "What", "操作"),
    column("done", "Done", "结果"),
    column("outcome", "Answers", "各服务端应答"),
];

pub(crate) fn list(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let mut page = Page::new(Place::Changes, lang.t("Changes", "变更"));
    if asked.session.is_none() && app.sessions.can_log_in() {
        return Err(Refusal::new(
            403,
            "who changed what is shown to whoever has logged in",
        ));
    }
    let entries = app.journal.last();
    let at: Option<u64> = asked.query.get("at").and_then(|at| at.parse().ok());
    if let Some(entry) = entries.iter().find(|entry| Some(entry.number) == at) {
        page.html(outcome(lang, entry));
    }
    let mut grid = Grid::new(
        "changes",
        Text("Since this console started", "自本控制台启动以来"),
        CHANGES,
        "-at",
        Text(
            "Nothing was changed here. Whatever is, also goes to this program's log with who and from where.",
            "没有变更。所有变更还会连同操作人和来源写入本程序日志。",
        ),
    );
    grid.rows = entries.iter().map(|entry| row(lang, entry)).collect();
    page.grid(grid);
    Ok(page)
}

fn outcome(lang: Lang, entry: &Entry) -> Markup {
    html! {
        div.notice.(if entry.is_done() { "good" } else { "bad" }) role="status" {
            p { (entry.what) ": " @if entry.is_done() { (lang.t("done", "完成")) } @else { (lang.t("not done everywhere", "未全部完成")) } }
            ul { @for (peer, why) in entry.outcome.iter().take(200) { li {
                code { (peer) } ": " @match why { Some(why) => (why), None => (lang.t("done", "完成")) }
            } } }
        }
    }
}

fn row(lang: Lang, entry: &Entry) -> Vec<Cell> {
    let done = match entry.is_done() {
        true => Cell::text(lang.t("yes", "成功")).marked(Mark::Good),
        false => Cell::text(lang.t("no", "失败")).marked(Mark::Bad),
    };
    let said = entry.outcome.iter().take(20).map(|(peer, why)| match why {
        Some(why) => format!("{peer}: {why}"),
        None => peer.clone(),
    });
    vec![
        Cell::time(entry.at),
        Cell::text(&entry.who),
        Cell::code(&entry.from),
        Cell::text(&entry.what),
        done,
        Cell::text(said.collect::<Vec<_>>().join("; ")),
    ]
}
