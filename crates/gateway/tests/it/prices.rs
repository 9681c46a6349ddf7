//! The price list as a test reads it: by itself, in plain decimals.

use std::collections::BTreeMap;

use crate::books::Books;

/// The file of models that is shipped.
const MODELS: &str = include_str!("../../../../pricing/model_prices.csv");

/// Makes the books charge the plain prices of the shipped file at every hour and date, as the expected bills do:
/// without off-peak hours, and without the changes that providers have announced.
pub(crate) async fn at_any_time(books: &Books) {
    let mut reader = csv::Reader::from_reader(MODELS.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let kept: Vec<usize> =
        (0..header.len()).filter(|at| !header[*at].starts_with("offpeak_")).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |row: &csv::StringRecord| {
        writer.write_record(kept.iter().map(|at| &row[*at])).expect("a row");
    };
    write(&header);
    reader.records().for_each(|row| write(&row.expect("a row")));
    let list = writer.into_inner().expect("a file");
    let file = books.folder.path().join("peak.csv");
    std::fs::write(&file, list).expect("written");
    let file = file.to_str().expect("text");
    books.cli(&["prices", "import", "--replace", file]).await;
}

/// A row of the shipped file, by column.
pub(crate) struct Row(BTreeMap<String, String>);

impl Row {
    pub(crate) fn of(provider: &str, model: &str) -> Self {
        let mut reader = csv::Reader::from_reader(MODELS.as_bytes());
        let rows = reader.deserialize().map(|row| row.expect("a row"));
        let mut found = rows.filter(|row: &BTreeMap<String, String>| {
            row["provider"] == provider && row["model"] == model
        });
        Self(found.next().unwrap_or_else(|| panic!("{provider}/{model} is not in the list")))
    }

    /// A price of so many units, in pico-dollars each; `None` where the cell is empty.
    pub(crate) fn price(&self, column: &str, units: i128) -> Option<i128> {
        let cell = self.0.get(column).filter(|cell| !cell.is_empty())?;
        let pico = pico_dollars(cell);
        assert_eq!(pico % units, 0, "{column}: {cell} is no whole number of pico-dollars a unit");
        Some(pico / units)
    }
}

/// A decimal number of dollars, in pico-dollars.
pub(crate) fn pico_dollars(decimal: &str) -> i128 {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    assert!(fraction.len() <= 12, "{decimal} is finer than a pico-dollar");
    format!("{whole}{fraction:0<12}").parse().expect("a plain decimal")
}
