//! Rows of `api_usage`, summed as they are read: exactly, however the columns are typed.

use std::collections::BTreeMap;

use ledger::{Decimal, UsdError};
use store::Imported;

use super::report::Report;
use crate::keys;
use crate::providers;

pub(super) const WHAT: &str = "api_usage";

/// The sums of one key, provider and model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) rows: u64,
    input: i128,
    output: i128,
    total: i128,
    price: Decimal,
    /// A sum that is past anything that could be kept.
    overflow: bool,
    /// Rows whose total is not what goes in and comes out.
    pub(super) uneven: u64,
}

impl Sums {
    /// As they are kept; `None` where one does not fit.
    pub(super) fn kept(&self) -> Option<Imported> {
        let fits = |sum: i128| i64::try_from(sum).ok();
        (!self.overflow).then_some(())?;
        Some(Imported {
            requests: i64::try_from(self.rows).ok()?,
            input_tokens: fits(self.input)?,
            output_tokens: fits(self.output)?,
            total_tokens: fits(self.total)?,
            base: fits(self.price.pico())?,
        })
    }

    fn add(&mut self, row: &Counted) {
        self.rows += 1;
        self.input = self.input.saturating_add(row.input);
        self.output = self.output.saturating_add(row.output);
        self.total = self.total.saturating_add(row.total);
        self.uneven += u64::from(row.total != row.input.saturating_add(row.output));
        match self.price.checked_add(row.price) {
            Some(sum) => self.price = sum,
            None => self.overflow = true,
        }
    }
}

struct Counted {
    input: i128,
    output: i128,
    total: i128,
    price: Decimal,
}

/// Adds a row to the sums, or says why not.
pub(super) fn add(
    usage: &mut BTreeMap<(String, String, String), Sums>,
    row: Vec<Option<String>>,
    report: &mut Report,
) {
    report.count(WHAT).found += 1;
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let (key, provider, model) = (next(), next(), next());
    let numbers: [Option<String>; 4] = std::array::from_fn(|_| next());
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return report.refuse(WHAT, "(no key)", "it does not say whose it is", 1);
    };
    match counted(&numbers) {
        Ok(row) => {
            let place = (key, named(provider, true), named(model, false));
            usage.entry(place).or_default().add(&row);
        }
        Err(why) => report.refuse(WHAT, hint(&key), why, 1),
    }
}

/// What may be shown of a key of another make.
pub(super) fn hint(key: &str) -> String {
    let (start, end) = keys::prefix_and_last4(&secrecy::SecretString::from(key));
    if end == keys::UNSHOWN { format!("{start}…") } else { format!("{start}…{end}") }
}

/// A provider's or a model's name; one that is not given still has been paid.
fn named(text: Option<String>, provider: bool) -> String {
    let text = text.unwrap_or_default();
    let text = text.trim();
    if text.is_empty() {
        return "unknown".to_owned();
    }
    if !provider {
        return text.to_owned();
    }
    let lower = text.to_lowercase();
    let known = providers::ROWS.iter().find(|row| row.name == providers::canonical(&lower));
    known.map_or_else(|| text.to_owned(), |row| row.name.to_owned())
}

fn counted([input, output, total, price]: &[Option<String>; 4]) -> Result<Counted, &'static str> {
    let tokens = |cell: &Option<String>| -> Result<Option<i128>, &'static str> {
        let Some(text) = cell else { return Ok(None) };
        let number = Decimal::parse(text.trim()).map_err(|error| match error {
            UsdError::NotDecimal => "its tokens are no number",
            _ => "its tokens are out of range",
        })?;
        if number.is_negative() {
            return Err("its tokens are negative");
        }
        number.whole().map(Some).ok_or("its tokens are no whole number")
    };
    let (input, output) = (tokens(input)?.unwrap_or(0), tokens(output)?.unwrap_or(0));
    let total = match tokens(total)? {
        Some(total) => total,
        None => input.checked_add(output).ok_or("its tokens are out of range")?,
    };
    let price = match price {
        Some(text) => Decimal::parse(text.trim()).map_err(|_| "its price is no number")?,
        None if (input, output, total) == (0, 0, 0) => Decimal::ZERO,
        None => return Err("it has tokens and no price"),
    };
    if price.is_negative() {
        return Err("its price is negative");
    }
    Ok(Counted { input, output, total, price })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [&str; 7]) -> Vec<Option<String>> {
        cells.map(|cell| (cell != "NULL").then(|| cell.to_owned())).to_vec()
    }

    #[test]
    fn rows_are_summed_exactly_or_refused_with_a_reason() {
        let (mut usage, mut report) = (BTreeMap::new(), Report::default());
        let mut take = |cells| add(&mut usage, row(cells), &mut report);
        take(["key-one-1234", "OpenAI", "gpt-4o", "10", "5", "15", "1.5e-06"]);
        take(["key-one-1234", "openai", " gpt-4o", "1.0", "NULL", "NULL", "0.0000000000004"]);
        take(["key-one-1234", "openai", "gpt-4o", "0", "0", "7", "0.0000000000002"]);
        take(["key-one-1234", "NULL", "", "1", "1", "2", "0"]);
        take(["key-one-1234", "google", "gemini-2.5-flash", "0", "0", "0", "NULL"]);
        for bad in [
            ["key-one-1234", "openai", "gpt-4o", "-1", "5", "15", "1"],
            ["key-one-1234", "openai", "gpt-4o", "1.5", "5", "15", "1"],
            ["key-one-1234", "openai", "gpt-4o", "1", "5", "6", "NULL"],
            ["key-one-1234", "openai", "gpt-4o", "1", "5", "6", "-0.1"],
            ["key-one-1234", "openai", "gpt-4o", "1", "5", "6", "NaN"],
            ["key-one-1234", "openai", "gpt-4o", "many", "5", "6", "1"],
            ["NULL", "openai", "gpt-4o", "1", "5", "6", "1"],
            ["", "openai", "gpt-4o", "1", "5", "6", "1"],
        ] {
            take(bad);
        }
        let count = report.count(WHAT);
        assert_eq!((count.found, count.cannot), (13, 8));
        let of = |provider: &str, model: &str| {
            let key = ("key-one-1234".to_owned(), provider.to_owned(), model.to_owned());
            usage[&key].clone()
        };
        let sums = of("openai", "gpt-4o");
        assert_eq!((sums.rows, sums.uneven), (3, 1));
        let kept = sums.kept().expect("it fits");
        // 1.5 micro-dollars and 0.6 pico-dollars, rounded once.
        assert_eq!((kept.base, kept.total_tokens), (1_500_001, 23));
        assert_eq!((kept.input_tokens, kept.output_tokens), (11, 5));
        assert_eq!(of("unknown", "unknown").rows, 1);
        assert_eq!(of("gemini", "gemini-2.5-flash").kept().expect("it fits").base, 0);
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let (mut usage, mut report) = (BTreeMap::new(), Report::default());
        for _ in 0..2 {
            let cells = ["key-one-1234", "openai", "m", "1", "1", "2", "9000000"];
            add(&mut usage, row(cells), &mut report);
        }
        assert_eq!(usage.values().next().and_then(Sums::kept), None);
    }
}
