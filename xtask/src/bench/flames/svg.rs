//! A tree of stacks as a picture: what is called in a function stands above it, as wide as it takes time.

use std::fmt::Write as _;

use super::fold::Stacks;

/// In tenths of a pixel, as is every length here.
const WIDTH: u64 = 12_000;
const ROW: u64 = 170;
const TOP: u64 = 400;
/// Functions that take less than this of all the time are left out: one in so many.
const LEAST: u64 = 250;
/// A letter of the font, about.
const LETTER: u64 = 66;
/// Longer names are cut, in the words that come up as well.
const LONGEST: usize = 120;

/// Whose code it is, by the start of its name, and how it is painted.
const COLOURS: [(&str, &str, &[&str]); 5] = [
    ("own", "#f59e0b", &["gateway", "wire", "ledger", "store", "tollgate"]),
    ("http", "#38bdf8", &["hyper", "h2", "http", "httparse", "axum", "tower", "matchit"]),
    ("run", "#a3a3a3", &["tokio", "mio", "std", "core", "alloc", "futures"]),
    ("json", "#86efac", &["serde", "serde_json", "itoa", "ryu", "memchr"]),
    ("rest", "#d4d4d8", &[]),
];

/// The picture.
pub(super) fn draw(title: &str, stacks: &Stacks) -> String {
    let trunk = stacks.trunk();
    let mut frames = String::new();
    let rows = row(trunk, (0, WIDTH), (0, trunk.total().max(1)), &mut frames);
    let height = TOP + rows * ROW + ROW;
    let mut styles = String::new();
    for (class, colour, _) in COLOURS {
        let _ = write!(styles, ".{class}{{fill:{colour}}}");
    }
    // Rows count from the bottom.
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"monospace\" font-size=\"11\">\n\
         <style>{styles}text{{fill:#18181b}}rect{{stroke:#fff;stroke-width:.5}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"14\">{}</text>\n\
         <text x=\"8\" y=\"35\">{} samples; orange: this project, blue: HTTP, green: JSON and searching, grey: the rest</text>\n\
         <g transform=\"translate(0 {})\">\n{frames}</g>\n</svg>\n",
        tenths(WIDTH),
        tenths(height),
        escaped(title),
        trunk.total(),
        tenths(height - ROW),
    )
}

/// What is called in a function, side by side from `left` on; how many rows that takes.
fn row(
    stacks: &Stacks,
    (left, width): (u64, u64),
    (depth, all): (u64, u64),
    out: &mut String,
) -> u64 {
    let (mut at, mut rows) = (left, 0);
    for (name, below) in stacks.below() {
        let wide = width * below.total() / stacks.total().max(1);
        if below.total() * LEAST >= all && wide > 0 {
            frame(name, below.total(), (at, wide), (depth, all), out);
            rows = rows.max(1 + row(below, (at, wide), (depth + 1, all), out));
        }
        at += wide;
    }
    rows
}

fn frame(
    name: &str,
    samples: u64,
    (at, wide): (u64, u64),
    (depth, all): (u64, u64),
    out: &mut String,
) {
    let (x, y) = (tenths(at), tenths((depth + 1) * ROW));
    let name: String = name.chars().take(LONGEST).collect();
    let share = samples * 1_000 / all;
    let _ = write!(
        out,
        "<g><title>{} {} %</title><rect class=\"{}\" x=\"{x}\" y=\"-{y}\" width=\"{}\" height=\"{}\"/>",
        escaped(&name),
        tenths(share),
        class(&name),
        tenths(wide),
        tenths(ROW - 10),
    );
    let room = usize::try_from(wide.saturating_sub(40) / LETTER).unwrap_or(0);
    if room >= 3 {
        let shown = fitting(&name, room);
        let (x, y) = (tenths(at + 20), tenths((depth + 1) * ROW - 120));
        let _ = write!(out, "<text x=\"{x}\" y=\"-{y}\">{}</text>", escaped(&shown));
    }
    out.push_str("</g>\n");
}

/// A name where there is room for so many letters: its end says most.
fn fitting(name: &str, room: usize) -> String {
    let long = name.chars().count();
    if long <= room {
        return name.to_owned();
    }
    let end: String = name.chars().skip(long - (room - 1)).collect();
    format!("…{end}")
}

fn class(name: &str) -> &'static str {
    let first = name.split("::").next().unwrap_or_default();
    let found = COLOURS.iter().find(|(_, _, crates)| crates.contains(&first));
    found.map_or("rest", |(class, ..)| class)
}

/// `12.3`, or `12` for 120.
fn tenths(length: u64) -> String {
    match length % 10 {
        0 => (length / 10).to_string(),
        rest => format!("{}.{rest}", length / 10),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::fold::read;
    use super::{draw, fitting};

    #[test]
    fn a_picture_has_what_takes_time() {
        let samples =
            ["\t1 wire::a\n\t2 gateway::b\n\n", "\t3 hyper::<c>\n\t2 gateway::b\n\n"].concat();
        let svg = draw("A & B", &read(&samples.repeat(300)));
        assert!(svg.contains("A &amp; B") && svg.contains("600 samples"), "{svg}");
        assert!(svg.contains("wire::a 50 %") && svg.contains("class=\"http\""), "{svg}");
        assert!(!svg.contains("gateway::b"), "the trunk is left out: {svg}");
        assert_eq!(fitting("gateway::pipeline::run", 6), "…::run");
    }
}
