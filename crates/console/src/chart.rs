//! Lines over time, as SVG that is drawn here: no script, no style in it.

use crate::history::Point;
use crate::lang::Lang;
use admin::ask::seconds;
use maud::{Markup, html};
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 140.0;
/// Room for the numbers at the left and below.
const LEFT: f64 = 54.0;
const BELOW: f64 = 20.0;
const ABOVE: f64 = 8.0;

/// A line of a chart.
pub(crate) struct Line {
    /// Its class in the style sheet: `in`, `out` or `lag`.
    pub(crate) class: &'static str,
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// A chart, or that there is nothing yet to draw.
pub(crate) fn chart(lang: Lang, title: &str, lines: &[Line]) -> Markup {
    let all = || lines.iter().flat_map(|line| &line.points);
    let (first, last) = all().fold((i64::MAX, i64::MIN), |(first, last), (at, _)| {
        (first.min(*at), last.max(*at))
    });
    if first >= last {
        return html! {
            figure.chart { figcaption { (title) }
                p.empty { (lang.t(
                    "A line is drawn from the second look on: ten seconds from the start.",
                    "启动十秒后、第二次采样起开始绘制曲线。",
                )) } }
        };
    }
    let top = nice(all().fold(0.0, |top, (_, value)| value.max(top)));
    let x = |at: i64| LEFT + (WIDTH - LEFT) * (at - first) as f64 / (last - first) as f64;
    let y = |value: f64| ABOVE + (HEIGHT - BELOW - ABOVE) * (1.0 - value / top);
    let path = |points: &[Point]| {
        points.iter().fold(String::new(), |mut text, (at, value)| {
            let separator = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{separator}{:.1},{:.1}", x(*at), y(*value));
            text
        })
    };
    let clock = |at: i64| seconds(at).split(' ').nth(1).unwrap_or_default().to_owned();
    html! {
        figure.chart {
            figcaption {
                (title)
                @for line in lines {
                    span.key.(line.class) { (line.name) " "
                        @if let Some((_, value)) = line.points.last() { b { (short(*value)) } } }
                }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                @for part in [0.0, 0.5, 1.0] {
                    line.rule x1=(LEFT) x2=(WIDTH) y1=(y(top * part)) y2=(y(top * part)) {}
                    text x=(LEFT - 6.0) y=(y(top * part) + 4.0) text-anchor="end" { (short(top * part)) }
                }
                text x=(LEFT) y=(HEIGHT - 4.0) { (clock(first)) }
                text x=(WIDTH) y=(HEIGHT - 4.0) text-anchor="end" { (clock(last)) }
                @for line in lines { polyline class=(line.class) points=(path(&line.points)) {} }
            }
        }
    }
}

/// The next number above that people read easily.
fn nice(top: f64) -> f64 {
    let top = top.max(1.0);
    let scale = 10_f64.powf(top.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * scale);
    steps.into_iter().find(|step| *step >= top).unwrap_or(top)
}

/// A number in few letters.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e9 => format!("{:.1}G", value / 1e9),
        size if size >= 1e6 => format!("{:.1}M", value / 1e6),
        size if size >= 1e4 => format!("{:.1}k", value / 1e3),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_within_its_frame() {
        let line = |points: &[Point]| Line {
            class: "in",
            name: "<b>".to_owned(),
            points: points.to_vec(),
        };
        let drawn = chart(Lang::English, "T", &[line(&[(0, 0.0), (10_000, 130.0)])]).into_string();
        assert!(drawn.contains("points=\"54.0,120.0 900.0,47.2\""), "{drawn}");
        assert!(drawn.contains("&lt;b&gt;") && drawn.contains(">200<"), "{drawn}");
        assert!(!drawn.contains("style="));
        for points in [&[][..], &[(5, 1.0)]] {
            assert!(
                chart(Lang::English, "T", &[line(points)])
                    .into_string()
                    .contains("empty")
            );
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (999.4, "999"),
            (12_345.0, "12.3k"),
            (2e6, "2.0M"),
            (3e9, "3.0G"),
        ] {
            assert_eq!(short(value), expected);
        }
        for (top, expected) in [
            (0.0, 1.0),
            (1.5, 2.0),
            (49.0, 50.0),
            (51.0, 100.0),
            (100.0, 100.0),
        ] {
            assert!((nice(top) - expected).abs() < 1e-9, "{top}");
        }
    }
}
