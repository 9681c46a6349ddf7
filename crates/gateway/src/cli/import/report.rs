//! What an import tells: what there is, what is here already, what comes, and what cannot, each with its reason.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use serde_json::{Value, json};

use crate::cli::output::{self, Output};

/// One kind of thing, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) found: u64,
    pub(super) here: u64,
    pub(super) comes: u64,
    pub(super) cannot: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Report {
    counts: Vec<(&'static str, Count)>,
    /// By what, which and why: how many rows.
    cannot: BTreeMap<(&'static str, String, String), u64>,
    notes: Vec<String>,
    /// More, for programs.
    facts: serde_json::Map<String, Value>,
}

impl Report {
    /// Says in which order kinds of things are shown.
    pub(super) fn order(&mut self, kinds: &[&'static str]) {
        for what in kinds {
            self.count(what);
        }
    }

    /// The counts of a kind of thing, which are shown in the order in which they are first asked for.
    pub(super) fn count(&mut self, what: &'static str) -> &mut Count {
        let place = self.counts.iter().position(|(known, _)| *known == what);
        let place = place.unwrap_or_else(|| {
            self.counts.push((what, Count::default()));
            self.counts.len() - 1
        });
        &mut self.counts[place].1
    }

    /// Says what cannot come, of a kind of thing that is counted.
    pub(super) fn refuse(
        &mut self,
        what: &'static str,
        which: impl Into<String>,
        why: impl Into<String>,
        rows: u64,
    ) {
        self.count(what).cannot += rows;
        self.leave(what, which, why, rows);
    }

    /// Says what of a thing stays behind while the thing itself comes, or what is not counted.
    pub(super) fn leave(
        &mut self,
        what: &'static str,
        which: impl Into<String>,
        why: impl Into<String>,
        rows: u64,
    ) {
        let key = (what, printable(&which.into()), printable(&why.into()));
        *self.cannot.entry(key).or_default() += rows;
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(printable(&note.into()));
    }

    pub(super) fn fact(&mut self, name: &str, value: Value) {
        self.facts.insert(name.to_owned(), value);
    }

    /// Prints it: before, or once it is done.
    pub(super) fn print(&self, applied: bool, output: &Output) -> anyhow::Result<()> {
        let comes = if applied { "CAME" } else { "WOULD COME" };
        let cannot = if applied { "COULD NOT COME" } else { "CANNOT COME" };
        let columns = [
            ("WHAT", false),
            ("FOUND", true),
            ("HERE BEFORE", true),
            (comes, true),
            (cannot, true),
        ];
        let row = |(what, count): &(&'static str, Count)| {
            let numbers = [count.found, count.here, count.comes, count.cannot];
            let numbers = numbers.iter().map(ToString::to_string);
            [(*what).to_owned()].into_iter().chain(numbers).collect()
        };
        output.table(&self.json(applied), &columns, self.counts.iter().map(row).collect())?;
        if !self.cannot.is_empty() {
            output.note(format_args!(
                "\n{}",
                if applied { "What could not come:" } else { "What cannot come:" }
            ))?;
            let rows = self.cannot.iter().map(|((what, which, why), rows)| {
                vec![(*what).to_owned(), which.clone(), rows.to_string(), why.clone()]
            });
            let columns = [("WHAT", false), ("WHICH", false), ("ROWS", true), ("WHY", false)];
            output.note(output::aligned(&columns, rows.collect()).trim_end())?;
        }
        if !self.notes.is_empty() {
            output.note("")?;
        }
        for note in &self.notes {
            output.note(note)?;
        }
        output.note(if applied {
            "\nDone. The same command again brings only what is new."
        } else {
            "\nNothing was changed. The same command with --apply brings it."
        })
    }

    fn json(&self, applied: bool) -> Value {
        let tables = self.counts.iter().map(|(what, count)| {
            json!({
                "what": what, "found": count.found, "here": count.here, "comes": count.comes,
                "cannot": count.cannot,
            })
        });
        let cannot = self.cannot.iter().map(|((what, which, why), rows)| {
            json!({ "what": what, "which": which, "rows": rows, "why": why })
        });
        let mut json = json!({
            "applied": applied, "tables": tables.collect::<Value>(),
            "cannot": cannot.collect::<Value>(), "notes": self.notes,
        });
        for (name, value) in &self.facts {
            json[name] = value.clone();
        }
        json
    }
}

/// A stranger's text on one line, not too long, without anything that moves a terminal's cursor.
fn printable(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// How far long work is: one line on a terminal, nothing elsewhere.
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal() }
    }

    pub(super) fn count(&self, what: &str, rows: u64) {
        if self.shown {
            let _ = write!(std::io::stderr().lock(), "\r\u{1b}[K{what}: {rows}");
        }
    }

    /// Takes the line away.
    pub(super) fn done(&self) {
        if self.shown {
            let _ = write!(std::io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, printable};

    #[test]
    fn what_cannot_come_is_counted_and_the_same_reason_is_told_once() {
        let mut report = Report::default();
        report.count("keys").found = 3;
        report.refuse("keys", "ab…", "it is short", 1);
        report.refuse("keys", "ab…", "it is short", 1);
        report.leave("keys", "cd…", "its tags", 1);
        let json = report.json(false);
        assert_eq!(json["tables"][0]["cannot"], 2);
        assert_eq!(json["cannot"].as_array().map(Vec::len), Some(2));
        assert_eq!(json["cannot"][0]["rows"], 2);
    }

    #[test]
    fn no_text_of_strangers_moves_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(printable(&"x".repeat(400)).chars().count(), 301);
    }
}
