//! The first page: who there is, and how each is; and a broker's own page.

use crate::address::link;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::chart::{Line, chart};
use crate::cluster::{Seat, Status, rates_of};
use crate::grid::{Cell, Column, Grid, Leads, Mark, column};
use crate::lang::{Lang, Text};
use crate::page::{Page, Place, facts};
use maud::{Markup, html};
use std::collections::BTreeMap;

const BROKERS: &[Column] = &[
    column("cluster", "Cluster", "集群"),
    column("name", "Broker", "Broker"),
    column("role", "Role", "角色"),
    column("address", "Address", "地址"),
    column("version", "Version", "版本"),
    column("inTps", "In /s", "写入 /s"),
    column("outTps", "Out /s", "消费 /s"),
    column("inToday", "In today", "今日写入"),
    column("outToday", "Out today", "今日消费"),
    column("behindBytes", "Behind, bytes", "落后字节"),
    column("disk", "Disk, %", "磁盘 %"),
    column("hours", "Keeps, hours", "消息保留小时"),
    column("state", "State", "状态"),
];

pub(crate) async fn overview(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let status = app.cluster.status().await?;
    let mut page = Page::new(Place::Cluster, lang.t("Cluster", "集群"));
    page.again_s = Some(5);
    page.html(charts(app, lang, ""));
    let mut grid = Grid::new(
        "brokers",
        Text("Brokers", "Broker"),
        BROKERS,
        "name",
        Text(
            "No broker is registered. Start one with the name server's address: sh mqbroker -n HOST:9876",
            "没有已注册的 Broker。请使用该名字服务地址启动：sh mqbroker -n HOST:9876",
        ),
    );
    let ends = master_ends(&status);
    for (seat, told) in status.iter() {
        grid.rows.push(row(lang, seat, told.as_ref().ok(), &ends));
    }
    page.away(status.iter().filter_map(|(_, told)| told.as_ref().err()));
    page.grid(grid);
    page.html(html! {
        p { (lang.t("What is wrong, and what to do: ", "异常与处理建议：")) a href="/doctor" { (lang.t("let it be looked for", "开始诊断")) } }
    });
    Ok(page)
}

/// The end of each master's log, by its broker's name.
fn master_ends(all: &[(Seat, Result<Status, String>)]) -> BTreeMap<&str, i64> {
    let masters = all.iter().filter(|(seat, _)| seat.is_master());
    masters
        .filter_map(|(seat, told)| {
            Some((
                seat.name.as_str(),
                number(told.as_ref().ok()?, "commitLogMaxOffset")?,
            ))
        })
        .collect()
}

fn number(status: &Status, key: &str) -> Option<i64> {
    status.get(key)?.trim().parse().ok()
}

fn row(lang: Lang, seat: &Seat, status: Option<&Status>, ends: &BTreeMap<&str, i64>) -> Vec<Cell> {
    let none = Status::new();
    let told = status.unwrap_or(&none);
    let of = |key: &str| number(told, key);
    let sum = |now: &str, morning: &str| match (of(now), of(morning)) {
        (Some(now), Some(morning)) => Cell::int(now - morning),
        _ => Cell::missing(),
    };
    let (ins, outs) = rates_of(told);
    let role = match seat.is_master() {
        true => lang.t("master", "主").to_owned(),
        false => format!("{} {}", lang.t("slave", "从"), seat.id),
    };
    let behind = match (
        seat.is_master(),
        ends.get(seat.name.as_str()),
        of("commitLogMaxOffset"),
    ) {
        (false, Some(end), Some(own)) => Cell::int((end - own).max(0)).from(1_048_576.0, 64e6),
        _ => Cell::missing(),
    };
    let disk: Option<f64> = told
        .get("commitLogDiskRatio")
        .and_then(|ratio| ratio.parse().ok());
    let earliest = of("earliestMessageTimeStamp").filter(|earliest| *earliest > 0);
    let hours = earliest.map(|earliest| (admin::ask::now_ms() - earliest) as f64 / 3_600_000.0);
    let state = match status {
        Some(_) => Cell::text(lang.t("answers", "正常")).marked(Mark::Good),
        None => Cell::text(lang.t("away", "无应答")).marked(Mark::Bad),
    };
    vec![
        Cell::text(&seat.cluster),
        Cell::text(&seat.name).leading(Leads::To(link("/broker", &[("address", &seat.address)]))),
        Cell::text(role),
        Cell::code(&seat.address).leading(Leads::Broker),
        Cell::text(told.get("brokerVersionDesc").map_or("", String::as_str)),
        Cell::real(ins),
        Cell::real(outs),
        sum("msgPutTotalTodayNow", "msgPutTotalTodayMorning"),
        sum("msgGetTotalTodayNow", "msgGetTotalTodayMorning"),
        behind,
        Cell::real(disk.filter(|disk| *disk >= 0.0).map(|disk| disk * 100.0)).from(75.0, 90.0),
        Cell::real(hours),
        state,
    ]
}

/// Rates of one broker by its address, or of all masters together.
fn charts(app: &App, lang: Lang, address: &str) -> Markup {
    let line = |class, name: &str, points| Line {
        class,
        name: name.to_owned(),
        points,
    };
    let ins = line("in", lang.t("in", "写入"), app.cluster.ins.of(address));
    let outs = line("out", lang.t("out", "消费"), app.cluster.outs.of(address));
    html! { div.charts { (chart(lang, lang.t("Messages a second", "每秒消息数"), &[ins, outs])) } }
}

const STATUS: &[Column] = &[column("key", "Figure", "指标"), column("value", "Value", "值")];

/// A broker that is registered.
pub(crate) async fn seat_of(app: &App, address: &str) -> Result<Seat, Refusal> {
    let seats = app.cluster.seats().await?;
    // Nobody is asked but who is registered: an address in a link sends no request elsewhere.
    let seat = seats.into_iter().find(|seat| seat.address == address);
    seat.ok_or_else(|| Refusal::new(404, format!("no broker is registered with the address {address}")))
}

pub(crate) async fn broker(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let seat = seat_of(app, asked.wanted("address")?).await?;
    let status = app.cluster.status().await?;
    let told = status
        .iter()
        .find(|(known, _)| *known == seat)
        .map(|(_, told)| told);
    let mut page = Page::new(Place::Cluster, format!("{} ({})", seat.name, seat.id));
    page.again_s = Some(5);
    page.html(facts(&[
        (lang.t("Cluster", "集群"), html! { (seat.cluster) }),
        (lang.t("Address", "地址"), html! { code { (seat.address) } }),
        (
            lang.t("Role", "角色"),
            html! { @if seat.is_master() { (lang.t("master", "主")) } @else { (lang.t("slave", "从")) " " (seat.id) } },
        ),
        (
            lang.t("Settings", "配置"),
            html! { a href=(link("/settings", &[("broker", &seat.address)])) { (lang.t("with their meaning", "查看及说明")) } },
        ),
    ]));
    page.html(charts(app, lang, &seat.address));
    let mut grid = Grid::new(
        "status",
        Text("What it tells of itself", "运行时信息"),
        STATUS,
        "key",
        Text("It tells nothing: see above.", "没有返回信息，见上方原因。"),
    );
    match told {
        Some(Ok(told)) => {
            grid.rows = told
                .iter()
                .map(|(key, value)| vec![Cell::code(key), Cell::text(value)])
                .collect();
        }
        Some(Err(why)) => page.away([why]),
        None => {}
    }
    page.grid(grid);
    Ok(page)
}
