//! Charts, drawn here as SVG: no script, and every number of it stands in a table beside it too.

use std::fmt::Write as _;

use super::html::{Html, escape};

/// How a value is written.
pub(crate) type Format = fn(i128) -> String;

/// The colours that there are.
const COLOURS: usize = 6;
const WIDTH: usize = 1_000;
const HEIGHT: i128 = 1_000;

/// One part of every bar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// One for each label.
    pub(crate) values: Vec<i128>,
}

/// Bars, one for each label, of parts on top of each other.
pub(crate) fn bars(title: &str, labels: &[String], series: &[Series], format: Format) -> Html {
    let total = |at: usize| series.iter().map(|one| value(one, at)).sum::<i128>();
    let highest = (0..labels.len()).map(total).max().unwrap_or(0);
    if highest <= 0 {
        return Html::of(format!(
            "<figure class=\"chart\"><figcaption>{}</figcaption><p class=\"empty\">Nothing in these days.</p></figure>",
            escape(title)
        ));
    }
    let top = nice(highest);
    let mut html = format!("<figure class=\"chart\"><figcaption>{}</figcaption>", escape(title));
    legend(&mut html, series);
    let _ = write!(
        html,
        "<div class=\"plot\"><ol class=\"y\" aria-hidden=\"true\"><li>{}</li><li>{}</li><li>{}</li></ol>",
        format(top),
        format(top / 2),
        format(0)
    );
    let peak = (0..labels.len()).max_by_key(|at| total(*at)).unwrap_or(0);
    let peak = labels.get(peak).map_or("", String::as_str);
    let _ = write!(
        html,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title><desc>{} bars from {} to {}; the highest is {} with {}.</desc>",
        escape(title),
        labels.len(),
        labels.first().map_or("", String::as_str),
        labels.last().map_or("", String::as_str),
        escape(peak),
        format(highest),
    );
    for line in [0, HEIGHT / 2] {
        let _ = write!(html, "<path class=\"grid\" d=\"M0 {line}H{WIDTH}\"/>");
    }
    columns(&mut html, labels, series, top, format);
    let _ = write!(html, "<path class=\"axis\" d=\"M0 {HEIGHT}H{WIDTH}\"/></svg>");
    html.push_str("<ol class=\"x\" aria-hidden=\"true\">");
    let middle = labels.len() / 2;
    for label in [labels.first(), labels.get(middle), labels.last()].into_iter().flatten() {
        let _ = write!(html, "<li>{}</li>", escape(label));
    }
    html.push_str("</ol></div>");
    table(&mut html, labels, series, format);
    html.push_str("</figure>");
    Html::of(html)
}

fn columns(html: &mut String, labels: &[String], series: &[Series], top: i128, format: Format) {
    let step = WIDTH / labels.len().max(1);
    let gap = (step / 5).max(1);
    for (at, label) in labels.iter().enumerate() {
        let sum: i128 = series.iter().map(|one| value(one, at)).sum();
        let (x, width) = (at * WIDTH / labels.len() + gap / 2, step.saturating_sub(gap).max(1));
        let _ = write!(html, "<g class=\"bar\"><title>{}: {}", escape(label), format(sum));
        if series.len() > 1 {
            for one in series.iter().filter(|one| value(one, at) > 0) {
                let _ = write!(html, "\n{}: {}", escape(&one.name), format(value(one, at)));
            }
        }
        let _ = write!(
            html,
            "</title><rect class=\"hit\" x=\"{}\" y=\"0\" width=\"{step}\" height=\"{HEIGHT}\"/>",
            at * WIDTH / labels.len()
        );
        let mut below = 0;
        for (number, one) in series.iter().enumerate() {
            let height = scaled(value(one, at), top, below);
            if height > 0 {
                let y = HEIGHT - below - height;
                let colour = number % COLOURS;
                let _ = write!(
                    html,
                    "<rect class=\"s{colour}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
                );
                below += height;
            }
        }
        html.push_str("</g>");
    }
}

/// The height of a part: what there is is seen, and no bar is higher than the plot.
fn scaled(value: i128, top: i128, below: i128) -> i128 {
    if value <= 0 {
        return 0;
    }
    let height = value.saturating_mul(HEIGHT) / top.max(1);
    height.max(6).min(HEIGHT - below)
}

fn value(series: &Series, at: usize) -> i128 {
    series.values.get(at).copied().unwrap_or(0).max(0)
}

fn legend(html: &mut String, series: &[Series]) {
    if series.len() < 2 {
        return;
    }
    html.push_str("<ul class=\"legend\">");
    for (number, one) in series.iter().enumerate() {
        let colour = number % COLOURS;
        let _ = write!(html, "<li><span class=\"dot s{colour}\"></span>{}</li>", escape(&one.name));
    }
    html.push_str("</ul>");
}

fn table(html: &mut String, labels: &[String], series: &[Series], format: Format) {
    html.push_str("<details class=\"data\"><summary>As a table</summary><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Day</th>");
    for one in series {
        let _ = write!(html, "<th scope=\"col\" class=\"number\">{}</th>", escape(&one.name));
    }
    html.push_str("</tr></thead><tbody>");
    for (at, label) in labels.iter().enumerate() {
        if series.iter().all(|one| value(one, at) == 0) {
            continue;
        }
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(label));
        for one in series {
            let _ = write!(html, "<td class=\"number\">{}</td>", format(value(one, at)));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div></details>");
}

/// A row of a ranking.
pub(crate) struct Rank {
    pub(crate) label: Html,
    pub(crate) value: i128,
    /// What stands at its end.
    pub(crate) shown: Html,
}

/// Bars that lie, the longest first, each with its label and its number: a table that can be seen.
pub(crate) fn ranked(title: &str, ranks: &[Rank], empty: &str) -> Html {
    let mut html = format!("<figure class=\"ranked\"><figcaption>{}</figcaption>", escape(title));
    if ranks.is_empty() {
        let _ = write!(html, "<p class=\"empty\">{}</p></figure>", escape(empty));
        return Html::of(html);
    }
    let longest = ranks.iter().map(|rank| rank.value).max().unwrap_or(0).max(1);
    html.push_str("<ol>");
    for Rank { label, value, shown } in ranks {
        let width = ((*value).max(0).saturating_mul(HEIGHT) / longest).max(4);
        let _ = write!(
            html,
            "<li><span class=\"label\">{label}</span><span class=\"number\">{shown}</span><svg viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" width=\"{WIDTH}\" height=\"10\"/><rect class=\"s0\" width=\"{width}\" height=\"10\"/></svg></li>"
        );
    }
    html.push_str("</ol></figure>");
    Html::of(html)
}

/// How much of a whole there is.
pub(crate) fn meter(title: &str, value: i128, whole: i128) -> Html {
    let width = value.max(0).saturating_mul(HEIGHT) / whole.max(1);
    let kind = if width >= 900 { "s5" } else { "s0" };
    let width = width.min(HEIGHT);
    Html::of(format!(
        "<svg class=\"meter\" viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title><rect class=\"track\" width=\"{WIDTH}\" height=\"10\"/><rect class=\"{kind}\" width=\"{width}\" height=\"10\"/></svg>",
        escape(title)
    ))
}

/// A line without axes, for the corner of a tile.
pub(crate) fn sparkline(title: &str, values: &[i128]) -> Html {
    let highest = values.iter().copied().max().unwrap_or(0);
    if highest <= 0 || values.len() < 2 {
        return Html::default();
    }
    let step = WIDTH / (values.len() - 1);
    let mut line = String::new();
    for (at, value) in values.iter().enumerate() {
        let y = HEIGHT - (*value).max(0).saturating_mul(HEIGHT - 60) / highest - 20;
        let _ = write!(line, "{}{} {y}", if at == 0 { "M" } else { "L" }, at * step);
    }
    let end = (values.len() - 1) * step;
    Html::of(format!(
        "<svg class=\"spark\" viewBox=\"0 0 {end} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title><path class=\"area\" d=\"{line}L{end} {HEIGHT}L0 {HEIGHT}Z\"/><path class=\"line\" d=\"{line}\"/></svg>",
        escape(title)
    ))
}

/// The least round number that is not below, and whose half, which stands on the axis too, is as round.
fn nice(highest: i128) -> i128 {
    let mut unit: i128 = 1;
    while unit.saturating_mul(10) < highest {
        unit = unit.saturating_mul(10);
    }
    let steps = [1, 2, 3, 4, 5, 6, 8, 10].map(|step| unit.saturating_mul(step));
    steps.into_iter().find(|top| *top >= highest && top % 2 == 0).unwrap_or(highest)
}

#[cfg(test)]
mod tests {
    use super::{HEIGHT, Rank, Series, bars, nice, ranked, scaled, sparkline};
    use crate::console::html::Html;

    fn plain(value: i128) -> String {
        value.to_string()
    }

    #[test]
    fn an_axis_ends_at_a_round_number_that_is_high_enough() {
        for (highest, top) in [(1, 2), (3, 4), (10, 10), (11, 20), (21, 30), (45, 50), (99, 100)] {
            assert_eq!(nice(highest), top, "{highest}");
        }
        assert!(nice(i128::MAX) >= i128::MAX / 2);
    }

    #[test]
    fn bars_are_as_high_as_their_values_and_never_leave_the_plot() {
        assert_eq!((scaled(50, 100, 0), scaled(0, 100, 0)), (HEIGHT / 2, 0));
        assert_eq!(scaled(1, 1_000_000, 0), 6, "what there is is seen");
        assert_eq!(scaled(100, 100, 10), HEIGHT - 10);
        let labels = ["a".to_owned(), "b".to_owned()];
        let series =
            |name: &str, values: &[i128]| Series { name: name.into(), values: values.to_vec() };
        let both = [series("x", &[5, 0]), series("<y>", &[5, 20])];
        let html = bars("T", &labels, &both, plain).to_string();
        // The second is the axis' whole height, the first a half of it in two parts.
        assert!(
            html.contains("height=\"250\"")
                && html.contains("y=\"0\" width=\"400\" height=\"1000\""),
            "{html}"
        );
        assert!(html.contains("&lt;y&gt;") && !html.contains("<y>"));
        assert!(html.contains(
            "<th scope=\"row\">b</th><td class=\"number\">0</td><td class=\"number\">20</td>"
        ));
        let none = bars("T", &labels, &[series("x", &[0, 0])], plain).to_string();
        assert!(none.contains("Nothing in these days") && !none.contains("<svg"));
    }

    #[test]
    fn rankings_and_lines() {
        let rank = |value| Rank { label: Html::text("m"), value, shown: Html::text("n") };
        let html = ranked("T", &[rank(10), rank(5), rank(0)], "none").to_string();
        assert!(
            html.contains("width=\"1000\" height=\"10\"/></svg>") && html.contains("width=\"500\"")
        );
        assert!(ranked("T", &[], "none <yet>").to_string().contains("none &lt;yet&gt;"));
        assert_eq!(sparkline("T", &[0, 0]), Html::default());
        assert!(sparkline("T", &[0, 5, 10]).to_string().contains("M0 980L500 510L1000 40"));
    }
}
