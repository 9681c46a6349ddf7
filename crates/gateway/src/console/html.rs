//! Pieces of pages that are made here and not in a template: amounts, moments, badges, tables. Text is escaped here.

use std::fmt;

use askama::Template;
use ledger::{sum_exact, sum_six_decimals};

use crate::clock;

/// HTML that may stand in a page as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Html {}

impl Html {
    /// What was put together with care: everything in it that is not ours is escaped.
    pub(crate) const fn of(html: String) -> Self {
        Self(html)
    }

    pub(crate) fn text(text: &str) -> Self {
        Self(escape(text))
    }

    pub(crate) fn link(href: &str, text: &str) -> Self {
        Self(format!("<a href=\"{}\">{}</a>", escape(href), escape(text)))
    }

    pub(crate) fn code(text: &str) -> Self {
        Self(format!("<code>{}</code>", escape(text)))
    }

    /// A name that is not broken into lines.
    pub(crate) fn whole(text: &str) -> Self {
        Self(format!("<span class=\"whole\">{}</span>", escape(text)))
    }

    /// A word in colour: `good`, `bad`, `warn` or `plain`.
    pub(crate) fn badge(kind: &str, text: &str) -> Self {
        Self(format!("<span class=\"badge {kind}\">{}</span>", escape(text)))
    }

    /// Something with a second line below it.
    pub(crate) fn below(&self, second: &Self) -> Self {
        Self(format!("{self}<span class=\"second\">{second}</span>"))
    }

    /// Two things beside each other.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(format!("{self} {other}"))
    }
}

/// Text that is none of ours.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// An amount with six decimals, which stand below each other in a table; all of them on a closer look.
pub(crate) fn money(pico: impl Into<i128>) -> Html {
    let pico = pico.into();
    dollars(pico, &sum_six_decimals(pico))
}

/// In pico-dollars.
const DOLLAR: i128 = 1_000_000_000_000;

/// An amount that stands alone: without zeros at its end, but for cents; of dollars, what is less than a cent is told apart.
pub(crate) fn amount(pico: impl Into<i128>) -> Html {
    let pico = pico.into();
    let text = short(pico);
    let cents = text.find('.').map_or(text.len(), |point| (point + 3).min(text.len()));
    match text.split_at_checked(cents) {
        Some((cents, fine)) if !fine.is_empty() && pico.abs() >= DOLLAR => {
            dollars(pico, &format!("{cents}<span class=\"fine\">{fine}</span>"))
        }
        _ => dollars(pico, &text),
    }
}

fn dollars(pico: i128, shown: &str) -> Html {
    let (sign, digits) = shown.strip_prefix('-').map_or(("", shown), |digits| ("\u{2212}", digits));
    Html(format!("<span class=\"money\" title=\"{} USD\">{sign}${digits}</span>", sum_exact(pico)))
}

/// Dollars with two to six decimals.
pub(crate) fn short(pico: i128) -> String {
    let text = sum_six_decimals(pico);
    let cents = text.len().saturating_sub(4);
    let (kept, rest) = text.split_at_checked(cents).unwrap_or((&text, ""));
    format!("{kept}{}", rest.trim_end_matches('0'))
}

/// The same with the sign and the currency, as an axis has it.
pub(crate) fn short_dollars(pico: i128) -> String {
    let text = short(pico);
    text.strip_prefix('-').map_or_else(|| format!("${text}"), |digits| format!("\u{2212}${digits}"))
}

/// A whole number in groups of three digits.
pub(crate) fn grouped(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('\u{2212}');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn count(number: impl Into<i128>) -> Html {
    Html(grouped(number))
}

/// A moment to the second, in UTC.
pub(crate) fn moment(at: i64) -> Html {
    let text = clock::rfc3339(at);
    let shown = text.replace('T', " ");
    let shown = shown.trim_end_matches('Z');
    Html(format!("<time datetime=\"{text}\" title=\"{text}\">{shown}</time>"))
}

/// The day of a moment.
pub(crate) fn day(at: i64) -> String {
    clock::rfc3339(at).get(..10).unwrap_or_default().to_owned()
}

/// How long ago that is, or how long it is until then.
pub(crate) fn since(at: i64, now: i64) -> Html {
    let seconds = now.saturating_sub(at) / 1_000_000;
    let (far, ago) = (seconds.abs(), seconds >= 0);
    let (number, unit) = match far {
        0..60 => return Html(format!("<time title=\"{}\">just now</time>", clock::rfc3339(at))),
        60..3_600 => (far / 60, "minute"),
        3_600..86_400 => (far / 3_600, "hour"),
        _ => (far / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    let text = format!("{number} {unit}{plural}");
    let text = if ago { format!("{text} ago") } else { format!("in {text}") };
    Html(format!("<time title=\"{}\">{text}</time>", clock::rfc3339(at)))
}

/// What stands above a column of a table.
#[derive(Clone, Default)]
pub(crate) struct Head {
    pub(crate) name: &'static str,
    pub(crate) numeric: bool,
    /// Whether the name is only read out.
    pub(crate) is_hidden: bool,
    /// By what the table is sorted by this column.
    pub(crate) link: Option<SortLink>,
    /// `ascending` or `descending` where it is.
    pub(crate) order: &'static str,
}

#[derive(Clone)]
pub(crate) struct SortLink {
    pub(crate) href: String,
    pub(crate) id: String,
}

/// What a head says of a list that goes by its column, or does not.
pub(crate) const fn order(is_current: bool, falls: bool) -> &'static str {
    match (is_current, falls) {
        (false, _) => "",
        (true, false) => "ascending",
        (true, true) => "descending",
    }
}

/// Heads by their names; those of numbers have a `#` in front.
fn heads(names: &[&'static str]) -> Vec<Head> {
    let head = |name: &&'static str| match name.strip_prefix('#') {
        Some(name) => Head { name, numeric: true, ..Head::default() },
        None => Head { name, ..Head::default() },
    };
    names.iter().map(head).collect()
}

/// A table, which on a phone is a list of cards.
#[derive(Template)]
#[template(path = "table.html")]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) heads: Vec<Head>,
    pub(crate) rows: Vec<Vec<Html>>,
    pub(crate) foot: Option<Vec<Html>>,
    /// What is said where there are no rows.
    pub(crate) empty: Html,
}

impl askama::filters::HtmlSafe for Table {}

impl Table {
    pub(crate) fn new(caption: &str, names: &[&'static str], rows: Vec<Vec<Html>>) -> Self {
        Self::of(caption, heads(names), rows)
    }

    pub(crate) fn of(caption: &str, heads: Vec<Head>, rows: Vec<Vec<Html>>) -> Self {
        let empty = Html::text("Nothing here yet.");
        Self { caption: caption.to_owned(), heads, rows, foot: None, empty }
    }

    /// What to do where there are no rows: a sentence, and a link with its text.
    #[must_use]
    pub(crate) fn or(mut self, text: &str, link: Option<(&str, &str)>) -> Self {
        let link = link.map_or_else(String::new, |(href, text)| {
            format!("<p><a class=\"button\" href=\"{}\">{}</a></p>", escape(href), escape(text))
        });
        self.empty = Html(format!("<p>{}</p>{link}", escape(text)));
        self
    }

    #[must_use]
    pub(crate) fn foot(mut self, foot: Vec<Html>) -> Self {
        self.foot = Some(foot);
        self
    }

    fn pairs<'a>(&'a self, row: &'a [Html]) -> impl Iterator<Item = (&'a Head, &'a Html)> {
        self.heads.iter().zip(row)
    }

    /// Whether there are forms in it, which stand in the middle of their rows.
    fn has_forms(&self) -> bool {
        self.heads.iter().any(|head| head.is_hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::{amount, escape, grouped, money, short, since};

    #[test]
    fn amounts_are_shown_short_and_told_whole() {
        assert_eq!(
            money(1_234_567_890_123_i64).to_string(),
            "<span class=\"money\" title=\"1.234567890123 USD\">$1.234568</span>"
        );
        assert_eq!(
            amount(-12_500_000_000_000_i64).to_string(),
            "<span class=\"money\" title=\"-12.5 USD\">\u{2212}$12.50</span>"
        );
        assert_eq!(
            amount(1_234_500_000_000_i64).to_string(),
            "<span class=\"money\" title=\"1.2345 USD\">$1.23<span class=\"fine\">45</span></span>"
        );
        assert_eq!((short(0).as_str(), short(1_000_000).as_str()), ("0.00", "0.000001"));
        assert_eq!(short(99_120_000_000_000), "99.12");
    }

    #[test]
    fn numbers_texts_and_times() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            (grouped(999).as_str(), grouped(-1_000).as_str()),
            ("999", "\u{2212}1\u{202f}000")
        );
        assert_eq!(
            escape("<a href='x'>&\"</a>"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;"
        );
        let hour = 3_600_000_000;
        assert!(since(0, hour).to_string().contains("1 hour ago"));
        assert!(since(49 * hour, 0).to_string().contains("in 2 days"));
    }
}
