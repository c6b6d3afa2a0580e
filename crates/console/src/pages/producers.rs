//! Who sends.

use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::cluster::Sender;
use crate::grid::{Cell, Column, Grid, column};
use crate::lang::Text;
use crate::page::{Page, Place};
use admin::ask::version_name;
use maud::html;

const PRODUCERS: &[Column] = &[
    column("group", "Group", "生产组"),
    column("client", "Client", "客户端"),
    column("address", "Address", "地址"),
    column("broker", "Broker", "Broker"),
    column("language", "Language", "语言"),
    column("version", "Version", "版本"),
    column("heard", "Last heartbeat", "最近心跳"),
];

/// A producer's cells but for the last, and that one.
pub(crate) fn cells(sender: &Sender) -> (Vec<Cell>, Cell) {
    let client = &sender.client;
    let cells = vec![
        Cell::text(&sender.group),
        Cell::code(&client.client_id),
        Cell::code(client.remote_ip.trim_start_matches('/')),
        Cell::text(&sender.broker),
        Cell::text(&client.language),
        Cell::text(version_name(client.version)),
    ];
    (cells, Cell::time(client.last_update_timestamp))
}

pub(crate) async fn list(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let senders = app.cluster.senders().await?;
    let mut page = Page::new(Place::Producers, lang.t("Producers", "生产者"));
    page.again_s = Some(10);
    page.away(&senders.away);
    page.html(html! { p { (lang.t(
        "Each has a line for every broker that it is connected to. A producer is here as soon as it has sent something.",
        "每个生产者在其连接的每个 Broker 上各有一行；发送过消息后才会出现。",
    )) } });
    let mut grid = Grid::new(
        "producers",
        Text("Producers", "生产者"),
        PRODUCERS,
        "group",
        Text(
            "No producer is connected. Start an application that sends.",
            "没有已连接的生产者。请启动发送消息的应用。",
        ),
    );
    for sender in &senders.all {
        let (mut row, heard) = cells(sender);
        row.push(heard);
        grid.rows.push(row);
    }
    page.grid(grid);
    Ok(page)
}
