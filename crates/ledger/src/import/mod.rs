//! Price files: text in, a [`Catalogue`] or every fault with its place out. A file is taken whole or not at all.
//!
//! Three files make a full price list, all comma-separated with a header line: the models (one row each, prices in
//! dollars per million tokens unless the column says otherwise), dated prices, and pictures by quality and size.
//! The plain form `provider,model,price_per_token` is enough for a small list.

mod columns;
mod history;
mod models;
mod table;

use std::collections::BTreeMap;

use crate::catalogue::{Catalogue, Model};
use table::Table;

/// The text of the files of a price list.
#[derive(Copy, Clone, Debug, Default)]
pub struct PriceFiles<'a> {
    /// One row per model, or the plain form.
    pub models: &'a str,
    /// Prices by date.
    pub history: Option<&'a str>,
    /// Pictures by quality and size.
    pub images: Option<&'a str>,
}

/// Something wrong in a price file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("line {line}, column {column} ({field}): {message}")]
pub struct ImportFault {
    /// The line of the file, from 1.
    pub line: u64,
    /// The comma-separated column, from 1.
    pub column: usize,
    /// The name of that column.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Reads a price list.
///
/// # Errors
/// Every fault of every file, in order of place; nothing is taken from a list with a fault.
pub fn import(files: PriceFiles<'_>) -> Result<Catalogue, Vec<ImportFault>> {
    let mut faults = Vec::new();
    let table = Table::read(files.models, &mut faults);
    if table.columns().is_empty() {
        faults.push(table::fault(
            1,
            1,
            "provider",
            "empty; expected a header line and one row per model",
        ));
        return Err(faults);
    }
    let mut models = if table.is_plain() {
        models::read_plain(&table, &mut faults)
    } else {
        models::read_full(&table, &mut faults)
    };
    if let Some(text) = files.history {
        history::apply(&Table::read(text, &mut faults), &mut models, &mut faults);
    }
    if let Some(text) = files.images {
        models::attach_image_prices(&Table::read(text, &mut faults), &mut models, &mut faults);
    }
    if models.is_empty() && faults.is_empty() {
        faults.push(table::fault(2, 1, "provider", "no model; expected one row per model"));
    }
    faults.sort();
    if faults.is_empty() { Ok(models.into_values().collect()) } else { Err(faults) }
}

/// Models by provider and name, as the readers gather them.
type Models = BTreeMap<(String, String), Model>;

#[cfg(test)]
mod tests;
