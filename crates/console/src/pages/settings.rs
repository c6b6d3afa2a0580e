//! The settings of a broker, each with what it means.

use crate::address::link;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::cluster::Seat;
use crate::grid::{Cell, Column, Grid, Mark, column};
use crate::lang::Text;
use crate::page::{Page, Place};
use crate::pages::cluster::seat_of;
use maud::html;
use std::collections::BTreeMap;

/// What brokers' settings mean: the page of the documentation, which is made from the broker's own tables.
const MEANINGS: &str = include_str!("../../../../docs/settings-broker.md");

const SETTINGS: &[Column] = &[
    column("key", "Setting", "配置项"),
    column("value", "Value", "值"),
    column("default", "Default", "默认值"),
    column("differs", "Differs", "与默认不同"),
    column("changes", "Changes", "生效方式"),
    column("meaning", "Meaning", "说明"),
];

/// What is known of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known<'a> {
    default: &'a str,
    since: &'a str,
    changes: &'a str,
    meaning: &'a str,
    /// Whether it is why one of Java's has no effect on ours: of Java's brokers it says nothing.
    is_inert: bool,
}

/// The rows of the documentation, by key.
fn known() -> BTreeMap<&'static str, Known<'static>> {
    let bare = |text: &'static str| text.trim().trim_matches('`');
    let row = |line: &'static str| {
        let cells: Vec<&str> = line
            .strip_prefix("| `")?
            .strip_suffix(" |")?
            .split(" | ")
            .collect();
        let (key, default, since, changes, meaning, is_inert) = match cells.as_slice() {
            [key, _, default, since, changes, meaning] => (key, default, since, *changes, meaning, false),
            [key, _, default, since, meaning] => (key, default, since, "", meaning, true),
            _ => return None,
        };
        let known = Known {
            default: bare(default),
            since: bare(since),
            changes,
            meaning,
            is_inert,
        };
        Some((bare(key), known))
    };
    let mut known = BTreeMap::new();
    for (key, told) in MEANINGS.lines().filter_map(row) {
        // A key that several parts of a broker read has a row for each; what it is first is what brokers tell.
        known.entry(key).or_insert(told);
    }
    known
}

pub(crate) async fn list(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let seats = app.cluster.seats().await?;
    let seat = match asked.query.get("broker") {
        Some(address) => Some(seat_of(app, address).await?),
        None => seats.first().cloned(),
    };
    let mut page = Page::new(Place::Settings, lang.t("Settings of a broker", "Broker 配置"));
    page.html(html! { nav.choice aria-label=(lang.t("Brokers", "Broker")) {
        @for other in &seats {
            a href=(link("/settings", &[("broker", &other.address)])) aria-current=[(Some(other) == seat.as_ref()).then_some("true")] {
                (other.name) " (" (other.id) ")"
            }
        }
    } });
    let mut grid = Grid::new(
        "settings",
        Text("Settings", "配置"),
        SETTINGS,
        "key",
        Text("No broker is registered.", "没有已注册的 Broker。"),
    );
    if let Some(seat) = &seat {
        grid.rows = rows(app, seat).await?;
    }
    page.grid(grid);
    Ok(page)
}

async fn rows(app: &App, seat: &Seat) -> Result<Vec<Vec<Cell>>, Refusal> {
    let settings = app.cluster.settings(&seat.address).await?;
    let known = known();
    // A setting that only ours have tells whose the broker is.
    let only_ours = |key: &String| {
        known
            .get(key.as_str())
            .is_some_and(|told| told.since == "only here")
    };
    let is_ours = settings.iter().any(|(key, _)| only_ours(key));
    let row = |(key, value): &(String, String)| {
        let value = shown(key, value);
        let Some(told) = known.get(key.as_str()).filter(|told| is_ours || !told.is_inert) else {
            let missing = || Cell::missing();
            return vec![
                Cell::code(key),
                Cell::code(value),
                missing(),
                missing(),
                missing(),
                missing(),
            ];
        };
        // A default that depends on the host is written in brackets.
        let is_own = !told.default.starts_with('(') && told.default != value;
        let differs = if is_own {
            Cell::text("≠").marked(Mark::Warn)
        } else {
            Cell::missing()
        };
        vec![
            Cell::code(key),
            Cell::code(value),
            Cell::code(told.default),
            differs,
            Cell::text(told.changes),
            Cell::text(told.meaning),
        ]
    };
    Ok(settings.iter().map(row).collect())
}

/// A value; not that of a secret, which brokers tell whoever may ask them, and this server whoever may not.
fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    let key = key.to_ascii_lowercase();
    let is_secret = ["secret", "password", "credential", "token"]
        .iter()
        .any(|part| key.contains(part));
    match is_secret && !value.is_empty() && value != "{}" {
        true => "***",
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_of_the_documentation_is_read() {
        let known = known();
        let keys = MEANINGS
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert!(keys.clone().count() > 400);
        assert_eq!(known.keys().copied().collect::<BTreeSet<_>>(), keys.collect());
        let one = &known["longPollingEnable"];
        assert_eq!((one.default, one.changes), ("true", "at once"));
        assert!(one.meaning.starts_with("Hold empty pulls"), "{}", one.meaning);
    }

    #[test]
    fn secrets_stay_where_they_are() {
        assert_eq!(
            shown("innerClientAuthenticationCredentials", "{\"secretKey\":\"x\"}"),
            "***"
        );
        assert_eq!(shown("aclEnable", "true"), "true");
        assert_eq!(shown("haPassword", ""), "");
    }
}
