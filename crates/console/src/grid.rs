//! Tables: filtered, sorted and cut to a page by what stands in the address, as HTML, JSON and CSV.

use crate::address::{Fields, link, with_fields};
use crate::lang::{Lang, Text};
use admin::ask::seconds;
use maud::{Markup, html};
use serde_json::{Map, Value as Json, json};
use std::cmp::Ordering;

/// Rows of a page.
const ROWS: usize = 100;
/// Letters of a text that is not broken into lines.
const WORD: usize = 24;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
    /// Messages a second and the like.
    Real(f64),
    /// ms since 1970.
    Time(i64),
    /// Nothing is known.
    Missing,
}

/// Where a cell leads; most lead to the page of what they name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leads {
    Nowhere,
    Topic,
    Group,
    Broker,
    DeadLetters,
    To(String),
}

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Plain,
    Good,
    Warn,
    Bad,
    /// As it is written: ids, addresses, settings.
    Code,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) value: Value,
    pub(crate) leads: Leads,
    pub(crate) mark: Mark,
}

impl Cell {
    fn new(value: Value) -> Cell {
        Cell {
            value,
            leads: Leads::Nowhere,
            mark: Mark::Plain,
        }
    }

    pub(crate) fn text(text: impl Into<String>) -> Cell {
        Cell::new(Value::Text(text.into()))
    }

    pub(crate) fn code(text: impl Into<String>) -> Cell {
        Cell::text(text).marked(Mark::Code)
    }

    pub(crate) fn int(number: impl Into<i64>) -> Cell {
        Cell::new(Value::Int(number.into()))
    }

    pub(crate) fn count(number: usize) -> Cell {
        Cell::int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    pub(crate) fn real(number: Option<f64>) -> Cell {
        Cell::new(match number.filter(|number| number.is_finite()) {
            // The sum of nothing is -0.
            Some(number) => Value::Real(number + 0.0),
            None => Value::Missing,
        })
    }

    /// ms since 1970; what is not after that is not known.
    pub(crate) fn time(at: i64) -> Cell {
        Cell::new(if at > 0 { Value::Time(at) } else { Value::Missing })
    }

    pub(crate) fn missing() -> Cell {
        Cell::new(Value::Missing)
    }

    pub(crate) fn topic(name: impl Into<String>) -> Cell {
        Cell::text(name).leading(Leads::Topic)
    }

    pub(crate) fn group(name: impl Into<String>) -> Cell {
        Cell::text(name).leading(Leads::Group)
    }

    pub(crate) fn leading(self, leads: Leads) -> Cell {
        Cell { leads, ..self }
    }

    pub(crate) fn marked(self, mark: Mark) -> Cell {
        Cell { mark, ..self }
    }

    /// Looks bad, or like a warning, from a number on.
    pub(crate) fn from(self, warn: f64, bad: f64) -> Cell {
        let number = match self.value {
            Value::Int(number) => number as f64,
            Value::Real(number) => number,
            _ => return self,
        };
        let mark = match number {
            number if number >= bad => Mark::Bad,
            number if number >= warn => Mark::Warn,
            _ => self.mark,
        };
        self.marked(mark)
    }

    fn shown(&self) -> String {
        match &self.value {
            Value::Text(text) => text.clone(),
            Value::Int(number) => grouped(*number),
            Value::Real(number) => format!("{number:.1}"),
            Value::Time(at) => seconds(*at),
            Value::Missing => "–".to_owned(),
        }
    }

    fn plain(&self) -> String {
        match &self.value {
            Value::Int(number) => number.to_string(),
            Value::Real(number) => number.to_string(),
            Value::Missing => String::new(),
            _ => self.shown(),
        }
    }

    fn json(&self) -> Json {
        match &self.value {
            Value::Text(text) => json!(text),
            Value::Int(number) | Value::Time(number) => json!(number),
            Value::Real(number) => json!(number),
            Value::Missing => Json::Null,
        }
    }

    fn address(&self) -> Option<String> {
        let Value::Text(text) = &self.value else {
            return match &self.leads {
                Leads::To(address) => Some(address.clone()),
                _ => None,
            };
        };
        match &self.leads {
            Leads::Nowhere => None,
            Leads::Topic => Some(link("/topic", &[("name", text)])),
            Leads::Group => Some(link("/group", &[("name", text)])),
            Leads::Broker => Some(link("/broker", &[("address", text)])),
            Leads::DeadLetters => Some(link("/dead-letters", &[("group", text)])),
            Leads::To(address) => Some(address.clone()),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self.value, Value::Int(_) | Value::Real(_))
    }

    /// Whether it stands on one line.
    fn is_word(&self) -> bool {
        match &self.value {
            Value::Text(text) => text.chars().count() <= WORD,
            _ => true,
        }
    }

    fn class(&self, is_number: bool) -> Option<&'static str> {
        let class = match (self.mark, is_number) {
            (Mark::Plain, false) if self.is_word() => "word",
            (Mark::Plain, true) => "num",
            (Mark::Plain, false) => return None,
            (Mark::Good, true) => "num good",
            (Mark::Good, false) => "good",
            (Mark::Warn, true) => "num warn",
            (Mark::Warn, false) => "warn",
            (Mark::Bad, true) => "num bad",
            (Mark::Bad, false) => "bad",
            (Mark::Code, _) => "code",
        };
        Some(class)
    }

    fn compare(&self, other: &Cell) -> Ordering {
        match (&self.value, &other.value) {
            (Value::Missing, Value::Missing) => Ordering::Equal,
            (Value::Missing, _) => Ordering::Less,
            (_, Value::Missing) => Ordering::Greater,
            (Value::Int(a) | Value::Time(a), Value::Int(b) | Value::Time(b)) => a.cmp(b),
            (Value::Real(a), Value::Real(b)) => a.total_cmp(b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            _ => self.plain().cmp(&other.plain()),
        }
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    match number < 0 {
        true => format!("-{text}"),
        false => text,
    }
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// In addresses, JSON and CSV.
    pub(crate) key: &'static str,
    pub(crate) title: Text,
}

pub(crate) const fn column(key: &'static str, english: &'static str, chinese: &'static str) -> Column {
    Column {
        key,
        title: Text(english, chinese),
    }
}

/// A table.
pub(crate) struct Grid {
    /// In addresses.
    pub(crate) id: &'static str,
    pub(crate) title: Text,
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Vec<Cell>>,
    /// How it is sorted unless the address says otherwise: a column's key, `-` in front for the greatest first.
    pub(crate) sort: &'static str,
    /// What to do where there is no row.
    pub(crate) empty: Text,
    /// A form around the rows, with a box for each.
    pub(crate) picks: Option<Picks>,
}

/// Rows that can be picked, for something to be done with them.
pub(crate) struct Picks {
    /// Where the form goes.
    pub(crate) action: &'static str,
    /// The form's hidden fields.
    pub(crate) hidden: Vec<(&'static str, String)>,
    /// What each row's box stands for.
    pub(crate) values: Vec<String>,
    pub(crate) button: Text,
}

impl Grid {
    pub(crate) fn new(
        id: &'static str,
        title: Text,
        columns: &'static [Column],
        sort: &'static str,
        empty: Text,
    ) -> Grid {
        Grid {
            id,
            title,
            columns,
            rows: Vec::new(),
            sort,
            empty,
            picks: None,
        }
    }

    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.id)
    }

    /// The rows that the address wants, by their places, in its order.
    fn wanted(&self, query: &Fields) -> Vec<usize> {
        let filter = query.text(&self.field("q")).to_lowercase();
        let words: Vec<&str> = filter.split_whitespace().collect();
        let fits = |row: &&usize| {
            let cells = self.rows.get(**row).map(Vec::as_slice).unwrap_or_default();
            words.iter().all(|word| {
                cells
                    .iter()
                    .any(|cell| cell.plain().to_lowercase().contains(word))
            })
        };
        let all: Vec<usize> = (0..self.rows.len()).collect();
        let mut wanted: Vec<usize> = match words.is_empty() {
            true => all,
            false => all.iter().filter(fits).copied().collect(),
        };
        let sort = query.get(&self.field("sort")).unwrap_or(self.sort);
        let (key, is_down) = match sort.strip_prefix('-') {
            Some(key) => (key, true),
            None => (sort, false),
        };
        if let Some(at) = self.columns.iter().position(|column| column.key == key) {
            let cell = |row: &usize| self.rows.get(*row).and_then(|row| row.get(at));
            // Stable: what is equal stays as it was.
            wanted.sort_by(|a, b| match (cell(a), cell(b)) {
                (Some(a), Some(b)) if is_down => b.compare(a),
                (Some(a), Some(b)) => a.compare(b),
                _ => Ordering::Equal,
            });
        }
        wanted
    }

    /// What the address wants, as a list of objects.
    pub(crate) fn json(&self, query: &Fields) -> String {
        let rows = self.wanted(query);
        let rows = rows.iter().filter_map(|row| self.rows.get(*row));
        let object = |row: &Vec<Cell>| {
            let pairs = self.columns.iter().zip(row);
            let pairs = pairs.map(|(column, cell)| (column.key.to_owned(), cell.json()));
            Json::Object(pairs.collect::<Map<_, _>>())
        };
        Json::Array(rows.map(object).collect()).to_string()
    }

    /// The same for spreadsheets. No text is read as a formula.
    pub(crate) fn csv(&self, query: &Fields) -> String {
        let mut text = String::new();
        let keys = self.columns.iter().map(|column| column.key.to_owned());
        push_line(&mut text, keys);
        for row in self.wanted(query) {
            let row = self.rows.get(row).map(Vec::as_slice).unwrap_or_default();
            push_line(&mut text, row.iter().map(csv_text));
        }
        text
    }

    /// The table, with its filter, its exports and the rows of one page.
    pub(crate) fn html(&self, lang: Lang, path: &str, query: &Fields) -> Markup {
        let wanted = self.wanted(query);
        let pages = wanted.len().div_ceil(ROWS).max(1);
        let page: usize = query
            .get(&self.field("page"))
            .and_then(|page| page.parse().ok())
            .unwrap_or(1);
        let page = page.clamp(1, pages);
        let shown = wanted.iter().skip((page - 1) * ROWS).take(ROWS);
        let numbers: Vec<bool> = (0..self.columns.len()).map(|at| self.is_number(at)).collect();
        let table = html! {
            div.scroll {
                table {
                    thead { tr {
                        @if self.picks.is_some() { th.pick { } }
                        @for at in 0..self.columns.len() { (self.head(lang, path, query, at)) }
                    } }
                    tbody {
                        @for row in shown { (self.row(lang, *row, &numbers)) }
                    }
                }
            }
        };
        html! {
            section.grid id=(self.id) {
                div.bar {
                    h2 { (lang.of(self.title)) " " span.count { (grouped(self.rows.len() as i64)) } }
                    @if !self.rows.is_empty() { (self.tools(lang, path, query)) }
                }
                @if self.rows.is_empty() {
                    p.empty { (lang.of(self.empty)) }
                } @else if wanted.is_empty() {
                    p.empty { (lang.t("No row fits the filter.", "没有符合筛选条件的行。")) " "
                        a href=(with_fields(path, &query.with(&[(&self.field("q"), "")]))) { (lang.t("Show all", "显示全部")) } }
                } @else if let Some(picks) = &self.picks {
                    form method="post" action=(picks.action) {
                        @for (name, value) in &picks.hidden { input type="hidden" name=(name) value=(value); }
                        (table)
                        p { button.danger type="submit" { (lang.of(picks.button)) } }
                    }
                } @else {
                    (table)
                }
                @if pages > 1 { (self.pager(lang, path, query, page, pages)) }
            }
        }
    }

    /// Whether a column has numbers: what is missing in it stands as they do.
    fn is_number(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.any(Cell::is_number)
    }

    fn tools(&self, lang: Lang, path: &str, query: &Fields) -> Markup {
        let (q, page) = (self.field("q"), self.field("page"));
        let others = query.with(&[(&q, ""), (&page, "")]);
        let export = |kind: &str| {
            let what = format!("{}.{kind}", self.id);
            with_fields(path, &query.with(&[("export", &what)]))
        };
        html! {
            form.filter method="get" action=(path) role="search" {
                @for (name, value) in others.pairs() { input type="hidden" name=(name) value=(value); }
                input type="search" name=(q) value=(query.text(&q)) placeholder=(lang.t("Filter", "筛选"))
                    aria-label=(lang.t("Filter", "筛选"));
                button type="submit" { (lang.t("Filter", "筛选")) }
            }
            span.exports { a href=(export("json")) { "JSON" } " " a href=(export("csv")) { "CSV" } }
        }
    }

    fn head(&self, lang: Lang, path: &str, query: &Fields, at: usize) -> Markup {
        let Some(column) = self.columns.get(at) else {
            return Markup::default();
        };
        let sort = query.get(&self.field("sort")).unwrap_or(self.sort);
        let down = format!("-{}", column.key);
        let state = match sort {
            sort if sort == column.key => Some("ascending"),
            sort if sort == down => Some("descending"),
            _ => None,
        };
        // Numbers are mostly looked at from their greatest on.
        let is_number = self.is_number(at);
        let next = match state {
            Some("ascending") => down.as_str(),
            Some(_) => column.key,
            None if is_number => down.as_str(),
            None => column.key,
        };
        let sorted = query.with(&[(&self.field("sort"), next), (&self.field("page"), "")]);
        let sign = match state {
            Some("ascending") => " ↑",
            Some(_) => " ↓",
            None => "",
        };
        html! {
            th scope="col" class=[is_number.then_some("num")] aria-sort=[state] {
                a href=(with_fields(path, &sorted)) { (lang.of(column.title)) (sign) }
            }
        }
    }

    fn row(&self, lang: Lang, at: usize, numbers: &[bool]) -> Markup {
        let cells = self.rows.get(at).map(Vec::as_slice).unwrap_or_default();
        let pick = self.picks.as_ref().and_then(|picks| picks.values.get(at));
        html! {
            tr {
                @if let Some(pick) = pick {
                    td.pick { input type="checkbox" name="pick" value=(pick) aria-label=(lang.t("Pick", "选择")); }
                }
                @for ((column, cell), is_number) in self.columns.iter().zip(cells).zip(numbers) {
                    td class=[cell.class(*is_number)] data-title=(lang.of(column.title)) {
                        @match cell.address() {
                            Some(address) => a href=(address) { (cell.shown()) },
                            None => (cell.shown()),
                        }
                    }
                }
            }
        }
    }

    fn pager(&self, lang: Lang, path: &str, query: &Fields, page: usize, pages: usize) -> Markup {
        let to = |page: usize| {
            let number = page.to_string();
            with_fields(path, &query.with(&[(&self.field("page"), &number)]))
        };
        html! {
            nav.pager aria-label=(lang.t("Pages", "分页")) {
                @if page > 1 { a rel="prev" href=(to(page - 1)) { "← " (lang.t("Previous", "上一页")) } }
                span { (page) " / " (pages) }
                @if page < pages { a rel="next" href=(to(page + 1)) { (lang.t("Next", "下一页")) " →" } }
            }
        }
    }
}

fn csv_text(cell: &Cell) -> String {
    let text = cell.plain();
    let is_formula =
        matches!(cell.value, Value::Text(_)) && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    match is_formula {
        true => format!("'{text}"),
        false => text,
    }
}

fn push_line(out: &mut String, texts: impl Iterator<Item = String>) {
    for (at, text) in texts.enumerate() {
        if at > 0 {
            out.push(',');
        }
        match text.contains(['"', ',', '\n', '\r', '\'']) {
            true => out.push_str(&format!("\"{}\"", text.replace('"', "\"\""))),
            false => out.push_str(&text),
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        column("name", "Name", "名称"),
        column("lag", "Lag", "堆积"),
        column("rate", "Rate", "速率"),
    ];

    fn grid() -> Grid {
        let rows = [("b", 5, Some(0.5)), ("a", 20, None), ("<script>", -1, Some(7.25))];
        let mut grid = Grid::new("t", Text("T", "T"), COLUMNS, "name", Text("none", "无"));
        grid.rows = rows
            .into_iter()
            .map(|(name, lag, rate)| vec![Cell::topic(name), Cell::int(lag), Cell::real(rate)])
            .collect();
        grid
    }

    fn names(query: &str) -> Vec<String> {
        let text = grid().json(&Fields::parse(query));
        let rows: Vec<Json> = serde_json::from_str(&text).unwrap();
        rows.iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn an_address_sorts_and_filters() {
        for (query, expected) in [
            ("", ["<script>", "a", "b"].as_slice()),
            ("t.sort=-name", &["b", "a", "<script>"]),
            ("t.sort=lag", &["<script>", "b", "a"]),
            ("t.sort=-lag", &["a", "b", "<script>"]),
            ("t.sort=rate", &["a", "b", "<script>"]),
            ("t.sort=nothing", &["b", "a", "<script>"]),
            ("t.q=A", &["a"]),
            ("t.q=20+a", &["a"]),
            ("t.q=20+b", &[]),
            ("other.q=zzz", &["<script>", "a", "b"]),
        ] {
            assert_eq!(names(query), expected, "{query}");
        }
    }

    #[test]
    fn pages_of_many_rows() {
        let mut grid = grid();
        grid.rows = (0..250)
            .map(|n| vec![Cell::text(format!("n{n:03}")), Cell::int(n), Cell::missing()])
            .collect();
        let page = |grid: &Grid, query: &str| {
            grid.html(Lang::English, "/x", &Fields::parse(query))
                .into_string()
        };
        assert_eq!(page(&grid, "").matches("<tr>").count(), 101);
        let last = page(&grid, "t.page=99");
        assert!(
            last.contains("n249") && !last.contains("n199") && last.contains("3 / 3"),
            "{last}"
        );
        assert!(page(&grid, "t.q=zzz").contains("No row fits"));
        grid.rows.clear();
        assert!(page(&grid, "").contains("none"));
    }

    #[test]
    fn nothing_in_a_table_is_markup() {
        let html = grid().html(
            Lang::English,
            "/x",
            &Fields::parse("t.q=%22%3E%3Cscript%3E&y=%3Cscript%3E"),
        );
        let html = html.into_string();
        assert!(!html.contains("<script"), "{html}");
        let html = grid().html(Lang::Chinese, "/x", &Fields::default()).into_string();
        assert!(
            html.contains("&lt;script&gt;") && html.contains("/topic?name=%3Cscript%3E"),
            "{html}"
        );
    }

    #[test]
    fn spreadsheets_read_no_formula() {
        let mut grid = grid();
        grid.rows = vec![
            vec![Cell::text("=cmd()"), Cell::int(-3), Cell::missing()],
            vec![
                Cell::text("a,\"b\"\n"),
                Cell::int(1_234_567),
                Cell::real(Some(0.5)),
            ],
        ];
        let csv = grid.csv(&Fields::parse("t.sort=lag"));
        assert_eq!(
            csv,
            "name,lag,rate\r\n\"'=cmd()\",-3,\r\n\"a,\"\"b\"\"\n\",1234567,0.5\r\n"
        );
        assert_eq!(grouped(-1_234_567), "-1\u{202f}234\u{202f}567");
    }
}
