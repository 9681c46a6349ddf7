//! A comma-separated file as rows of named cells that know their place.

use std::collections::BTreeMap;

use super::ImportFault;
use crate::price::UnitPrice;
use crate::usd::UsdError;

/// The columns of the plain form.
const PLAIN: [&str; 3] = ["provider", "model", "price_per_token"];
/// Dearer than any unit that is sold: a price above is a slip of the unit.
const DEAREST: UnitPrice = match UnitPrice::from_pico(100_000_000_000_000) {
    Some(price) => price,
    None => UnitPrice::FREE,
};

/// A file: its header and its rows.
pub(super) struct Table {
    columns: Vec<String>,
    rows: Vec<(u64, Vec<String>)>,
}

/// One row of it.
#[derive(Copy, Clone)]
pub(super) struct Row<'a> {
    pub(super) line: u64,
    columns: &'a [String],
    cells: &'a [String],
}

impl Table {
    /// Splits `text`; rows with another number of cells than the header are faults.
    pub(super) fn read(text: &str, faults: &mut Vec<ImportFault>) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut table = Self { columns: Vec::new(), rows: Vec::new() };
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let line = error.position().map_or(1, csv::Position::line);
                    faults.push(fault(line, 1, "row", "cannot be read as comma-separated text"));
                    return table;
                }
            };
            let line = record.position().map_or(1, csv::Position::line);
            let cells: Vec<String> = record.iter().map(|cell| cell.trim().to_owned()).collect();
            table.take(line, cells, faults);
        }
        table
    }

    fn take(&mut self, line: u64, cells: Vec<String>, faults: &mut Vec<ImportFault>) {
        if self.columns.is_empty() {
            if is_headless_plain(&cells) {
                self.columns = PLAIN.map(str::to_owned).to_vec();
            } else {
                check_header(line, &cells, faults);
                self.columns = cells;
                return;
            }
        }
        if cells.len() == self.columns.len() {
            self.rows.push((line, cells));
        } else {
            let message =
                format!("{} cells, but the header has {}", cells.len(), self.columns.len());
            faults.push(fault(line, cells.len(), "row", &message));
        }
    }

    /// Whether this is the form `provider,model,price_per_token`.
    pub(super) fn is_plain(&self) -> bool {
        self.columns.len() == PLAIN.len()
            && PLAIN.iter().all(|name| self.columns.iter().any(|c| c == name))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, cells)| Row { line: *line, columns: &self.columns, cells })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Reports each of `names` that the header lacks.
    pub(super) fn require(&self, names: &[&str], faults: &mut Vec<ImportFault>) -> bool {
        let missing: Vec<_> =
            names.iter().filter(|name| !self.columns.iter().any(|c| c == *name)).collect();
        for name in &missing {
            faults.push(fault(
                1,
                self.columns.len().saturating_add(1),
                name,
                "the header lacks this column",
            ));
        }
        missing.is_empty()
    }
}

impl<'a> Row<'a> {
    /// The text of a cell; empty where the file has no such column.
    pub(super) fn text(&self, field: &str) -> &'a str {
        self.position(field).and_then(|i| self.cells.get(i)).map_or("", String::as_str)
    }

    /// A fault at one cell of this row.
    pub(super) fn fault(&self, field: &str, message: &str) -> ImportFault {
        fault(self.line, self.position(field).map_or(1, |i| i.saturating_add(1)), field, message)
    }

    fn position(&self, field: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == field)
    }

    /// The cells that are not empty, by column.
    pub(super) fn filled(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.columns
            .iter()
            .zip(self.cells)
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(c, v)| (c.as_str(), v.as_str()))
    }

    /// A name that must be there, with nothing in it that could be mistaken.
    pub(super) fn name(&self, field: &str, faults: &mut Vec<ImportFault>) -> Option<String> {
        let text = self.text(field);
        if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            faults.push(self.fault(field, "expected a name without spaces"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A price per 10^`power` units; `None` where the cell is empty or faulty.
    pub(super) fn price(
        &self,
        field: &str,
        power: u32,
        faults: &mut Vec<ImportFault>,
    ) -> Option<UnitPrice> {
        let text = self.text(field);
        if text.is_empty() {
            return None;
        }
        if text == "free" {
            return Some(UnitPrice::FREE);
        }
        let message = match UnitPrice::parse(text, power) {
            Ok(price) if price > DEAREST => "more than 100 dollars a unit; is the unit right?",
            Ok(price) => return Some(price),
            Err(UsdError::TooPrecise) => {
                "less than a pico-dollar a unit; write free where it costs nothing"
            }
            Err(_) if text.starts_with('-') => "a price is never negative",
            Err(_) => "expected a plain decimal number of dollars such as 0.15",
        };
        faults.push(self.fault(field, message));
        None
    }

    /// A whole number; `None` where the cell is empty or faulty.
    pub(super) fn whole(&self, field: &str, faults: &mut Vec<ImportFault>) -> Option<u64> {
        let text = self.text(field);
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok();
        if number.is_none() {
            faults.push(self.fault(field, "expected a whole number"));
        }
        number
    }
}

pub(super) fn fault(line: u64, column: usize, field: &str, message: &str) -> ImportFault {
    ImportFault {
        line,
        column: column.max(1),
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

/// Three cells of which the last is a price: the plain form without its header.
fn is_headless_plain(cells: &[String]) -> bool {
    matches!(cells, [_, _, price] if UnitPrice::parse(price, 0).is_ok() || price == "free")
}

fn check_header(line: u64, cells: &[String], faults: &mut Vec<ImportFault>) {
    let mut seen = BTreeMap::new();
    for (index, name) in cells.iter().enumerate() {
        let column = index.saturating_add(1);
        if let Some(first) = seen.insert(name, column) {
            faults.push(fault(
                line,
                column,
                name,
                &format!("the header has this column twice (first at {first})"),
            ));
        }
    }
}
