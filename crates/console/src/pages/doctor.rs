//! What is wrong, the worst first, each with what to do.

use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::grid::{Cell, Column, Grid, Leads, Mark, column};
use crate::lang::{Lang, Text};
use crate::page::{Page, Place};
use crate::when::shown_time;
use admin::ask::{Finding, Weight};
use maud::html;

const FINDINGS: &[Column] = &[
    column("weight", "Weight", "级别"),
    column("kind", "What", "问题"),
    column("place", "Where", "位置"),
    column("finding", "Found", "详情"),
    column("advice", "What to do", "处理建议"),
];

/// Kinds of findings, in both languages: the details are the brokers' names and numbers in English.
const KINDS: &[(&str, Text)] = &[
    (
        "nameServerAway",
        Text("a name server does not answer", "名字服务无应答"),
    ),
    (
        "nameServersDiffer",
        Text("name servers differ", "名字服务之间不一致"),
    ),
    (
        "twoMasters",
        Text("two masters of one name", "同名的两个主 Broker"),
    ),
    ("sameBrokerId", Text("two brokers of one id", "Broker 编号重复")),
    (
        "otherBroker",
        Text("another broker answers there", "该地址上是另一个 Broker"),
    ),
    ("addressUnreachable", Text("nobody answers there", "地址不可达")),
    (
        "addressLoopback",
        Text("an address of one host alone", "注册了本机回环地址"),
    ),
    ("brokerRefuses", Text("a broker refuses", "Broker 拒绝请求")),
    ("notTold", Text("a broker does not tell all", "Broker 信息不全")),
    (
        "slaveOfAnotherLog",
        Text("a slave has another log", "从 Broker 日志与主不一致"),
    ),
    (
        "slaveOfAnotherMaster",
        Text("a slave follows another master", "从 Broker 跟随了其他主"),
    ),
    ("slaveBehind", Text("a slave is behind", "从 Broker 落后")),
    ("diskFull", Text("a disk fills", "磁盘将满")),
    ("subscriptionsDiffer", Text("subscriptions differ", "订阅不一致")),
    (
        "queueWithoutOwner",
        Text("queues without a member", "队列没有消费者"),
    ),
    ("consumersBehind", Text("a group is behind", "消费组堆积")),
    (
        "consumersGone",
        Text("messages wait, nobody is there", "有堆积但消费者离线"),
    ),
    ("consumerStuck", Text("a member is stuck", "消费者卡住")),
    ("deadLettersGrow", Text("dead letters become more", "死信增加")),
    ("deadLetters", Text("dead letters", "存在死信")),
    (
        "topicOnOneBroker",
        Text("a topic on one broker", "主题只在一个 Broker 上"),
    ),
    ("settingsDiffer", Text("settings differ", "主从配置不一致")),
    ("clockApart", Text("clocks differ", "时钟不一致")),
    (
        "autoCreateTopic",
        Text("topics are made by the way", "自动创建主题"),
    ),
    (
        "autoCreateGroup",
        Text("groups are made by the way", "自动创建消费组"),
    ),
    ("versionsMixed", Text("several releases", "版本不一致")),
];

fn kind(lang: Lang, check: &'static str) -> &'static str {
    let known = KINDS.iter().find(|(known, _)| *known == check);
    known.map_or(check, |(_, text)| lang.of(*text))
}

pub(crate) async fn list(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let found = app.doctor.look().await?;
    let mut page = Page::new(Place::Doctor, lang.t("What is wrong", "诊断"));
    let at = shown_time(found.at);
    page.html(html! { p {
        (lang.t("Looked twice, three seconds apart, at ", "间隔三秒检查两次，时间："))  (at)
        (lang.t("; it is looked for again after half a minute. mqadmin doctor -w 35 sees also brokers that take each other's place.",
            "；半分钟后可重新检查。mqadmin doctor -w 35 还能发现互相顶替注册的 Broker。"))
    } });
    let mut grid = Grid::new(
        "findings",
        Text("Findings", "问题"),
        FINDINGS,
        "",
        Text("Nothing is wrong.", "没有发现问题。"),
    );
    grid.rows = found.findings.iter().map(|finding| row(lang, finding)).collect();
    page.grid(grid);
    Ok(page)
}

fn row(lang: Lang, finding: &Finding) -> Vec<Cell> {
    let (weight, mark) = match finding.weight {
        Weight::Error => (lang.t("error", "错误"), Mark::Bad),
        Weight::Warning => (lang.t("warning", "警告"), Mark::Warn),
        Weight::Notice => (lang.t("notice", "提示"), Mark::Plain),
    };
    let place = Cell::text(&finding.place);
    let place = match (
        finding.place.strip_prefix("group "),
        finding.place.rsplit_once(" at "),
    ) {
        (Some(group), _) => place.leading(Leads::To(crate::address::link("/group", &[("name", group)]))),
        (None, Some((_, address))) => place.leading(Leads::To(crate::address::link(
            "/broker",
            &[("address", address)],
        ))),
        _ => place,
    };
    vec![
        Cell::text(weight).marked(mark),
        Cell::text(kind(lang, finding.check)),
        place,
        Cell::text(&finding.finding),
        Cell::text(&finding.advice),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manual of mqadmin lists every check.
    #[test]
    fn every_check_has_a_name_in_both_languages() {
        let manual = include_str!("../../../../docs/mqadmin.md");
        let section = manual.split("## What is wrong with a cluster").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let mut checks = 0;
        for check in rows.skip(1).flat_map(|names| names.split(", ")) {
            let known = KINDS.iter().find(|(known, _)| *known == check);
            let text = known.unwrap_or_else(|| panic!("{check} has no name")).1;
            assert_ne!(text.0, text.1);
            checks += 1;
        }
        assert_eq!(checks, KINDS.len());
    }
}
