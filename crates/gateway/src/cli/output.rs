//! What commands print: a sentence or an aligned table for people, one JSON value for programs.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

/// Where results go: standard output.
pub(crate) struct Output {
    json: bool,
}

/// A column: its title, and whether it holds numbers.
pub(crate) type Column = (&'static str, bool);

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A sentence, or the JSON value that says the same.
    pub(crate) fn say(&self, json: &Value, text: impl Display) -> anyhow::Result<()> {
        if self.json { self.json(json) } else { line(text) }
    }

    /// A table, or the JSON value that says the same.
    pub(crate) fn table(
        &self,
        json: &Value,
        columns: &[Column],
        rows: Vec<Vec<String>>,
    ) -> anyhow::Result<()> {
        if self.json {
            return self.json(json);
        }
        write!(std::io::stdout().lock(), "{}", aligned(columns, rows))?;
        Ok(())
    }

    /// Text for people only.
    pub(crate) fn note(&self, text: impl Display) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { line(text) }
    }

    /// Words in bold, on a terminal.
    pub(crate) fn strong(&self, text: &str) -> String {
        let bold = !self.json && std::io::stdout().is_terminal();
        if bold { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    #[expect(clippy::unused_self, reason = "printing goes through the output")]
    fn json(&self, value: &Value) -> anyhow::Result<()> {
        line(serde_json::to_string_pretty(value)?)
    }
}

/// A table as lines of text.
pub(crate) fn aligned(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|(title, _)| *title));
    table.add_rows(rows);
    for (index, (_, number)) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(if *number {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            });
            column.set_padding((0, 2));
        }
    }
    table.lines().flat_map(|row| [row.trim_end().to_owned(), "\n".to_owned()]).collect()
}

/// One line on standard output.
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// An error on standard error, with its causes.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
}
