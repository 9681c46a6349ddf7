//! What the person at the terminal sees. Progress goes to standard error, results to standard output.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stderr, stdout};

use crate::{Result, sh};

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";

/// The start of a step.
pub(crate) fn heading(text: &str) {
    progress(&paint(BOLD, &format!("==> {text}")));
}

/// A command line that is about to run.
pub(crate) fn command(text: &str) {
    progress(&paint(DIM, &format!("    $ {text}")));
}

pub(crate) fn note(text: &str) {
    progress(&format!("    {text}"));
}

pub(crate) fn error(text: &str) {
    progress(&format!("{} {text}", paint(RED, "error:")));
}

/// A line of progress. A terminal that went away must not end the work.
pub(crate) fn progress(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// A result: unlike progress it was asked for, so failing to write it is an error.
pub(crate) fn print(text: &str) -> Result {
    stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|why| format!("cannot write to standard output: {why}"))
}

/// Rows as text: the first column to the left, the others to the right, but a last column of prose to the left.
pub(crate) fn table(rows: &[Vec<String>], last: Align) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let left = column == 0 || (last == Align::Left && column + 1 == columns);
            let gap = if column == 0 { "" } else { "  " };
            line.push_str(gap);
            let _ =
                if left { write!(line, "{cell:<width$}") } else { write!(line, "{cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Where the cells of a table's last column stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

fn paint(code: &str, text: &str) -> String {
    if stderr().is_terminal() && sh::env("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
