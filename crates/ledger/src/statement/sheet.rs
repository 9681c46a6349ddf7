//! A bill as a table for spreadsheets: a row for every counter of every receipt, then its commission and its charge; at the
//! end the totals. It can be added up again, but carries no proof.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::verify::At;
use super::{Difference, Item, Statement};
use crate::catalogue::Catalogue;
use crate::usage::Meter;
use crate::usd::{Usd, parse_scaled, sum_exact};

/// The columns. Prices and amounts are in dollars, exactly; the quantity of a commission is in basis points of the cost, that
/// of a total the number of receipts.
pub const COLUMNS: [&str; 8] =
    ["time", "request_id", "attempt", "model", "item", "quantity", "unit_price", "amount"];

const COMMISSION: &str = "commission";
const CHARGE: &str = "charge";
/// What the provider bills the account itself, which is taken off.
const DIRECT: &str = "paid to the provider";
/// What the house pays, likewise.
const ABSORBED: &str = "absorbed";
const TOTALS: [&str; 3] = ["total cost", "total commission", "total charge"];
/// What was corrected, with the kind of correction behind it; only where there is any, as is what is left to pay then.
const CORRECTION: &str = "correction: ";
const TO_PAY: &str = "to pay";

/// A row of the table.
pub type Row = [String; 8];

/// What a table comes to, all of it added up again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SheetSummary {
    /// How many receipts.
    pub receipts: u64,
    /// Pico-dollars, as are the following.
    pub cost: i128,
    /// The share on top.
    pub commission: i128,
    /// What was charged.
    pub charge: i128,
    /// What was added to that later; negative: what was taken back.
    pub corrections: i128,
}

impl Statement {
    /// The rows below the columns. `time` writes a moment.
    ///
    /// # Errors
    /// What cannot be priced with the prices of the statement itself.
    pub fn rows<'a>(
        &'a self,
        time: &'a dyn Fn(i64) -> String,
    ) -> Result<impl Iterator<Item = Result<Row, Difference>> + 'a, Difference> {
        let catalogues = self.catalogues()?;
        let of_items =
            self.receipts.iter().flat_map(move |item| match rows(item, &catalogues, time) {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(difference) => vec![Err(difference)],
            });
        let sums = &self.totals;
        let amounts = [&sums.cost, &sums.commission, &sums.charge];
        let totals = TOTALS.into_iter().zip(amounts).map(|(item, amount)| {
            let (name, quantity) = (item.to_owned(), sums.receipts.to_string());
            let none = String::new;
            Ok([none(), none(), none(), none(), name, quantity, none(), amount.usd.clone()])
        });
        let last = |at: String, item: String, amount: String| -> Row {
            let none = String::new;
            [at, none(), none(), none(), item, none(), none(), amount]
        };
        let corrections = self.corrections.iter().map(move |correction| {
            let item = format!("{CORRECTION}{}", correction.kind);
            let off = sum_exact(correction.amount.pico.saturating_neg());
            Ok(last(time(correction.at), item, off))
        });
        let to_pay = (!self.corrections.is_empty())
            .then(|| Ok(last(String::new(), TO_PAY.to_owned(), self.due().usd)));
        Ok(of_items.chain(totals).chain(corrections).chain(to_pay))
    }
}

/// The rows of one receipt.
fn rows(
    item: &Item,
    catalogues: &BTreeMap<i64, Catalogue>,
    time: &dyn Fn(i64) -> String,
) -> Result<Vec<Row>, Difference> {
    let place = || format!("receipt {}/{}", item.request_id, item.attempt);
    let at = At(&place);
    let receipt = item.receipt().ok_or_else(|| at.differs("report", &item.report, "readable"))?;
    let moment = time(item.started_at);
    let row = |model: &str, what: &str, quantity: String, price: String, amount: String| -> Row {
        let (id, attempt) = (item.request_id.to_string(), item.attempt.to_string());
        let model = format!("{}/{model}", item.provider);
        [moment.clone(), id, attempt, model, what.to_owned(), quantity, price, amount]
    };
    let nothing = Catalogue::default();
    let catalogue = catalogues.get(&item.price_version).unwrap_or(&nothing);
    let bps = item.commission_bps;
    let bill =
        receipt.bill(catalogue).map_err(|error| at.differs("cost", &item.cost.usd, error))?;
    let usd = |pico: i64| sum_exact(pico.into());
    let lines = bill.lines.iter().map(|(model, line)| {
        let (price, amount) = (usd(line.unit_price.pico()), usd(line.amount.pico()));
        row(model, line.meter.name(), line.quantity.to_string(), price, amount)
    });
    let mut rows: Vec<Row> = lines.collect();
    let commission = item.commission.usd.clone();
    rows.push(row(&item.model, COMMISSION, bps.to_string(), String::new(), commission));
    if receipt.report.direct().is_some() {
        let off = usd(bill.direct.pico().saturating_neg());
        rows.push(row(&item.model, DIRECT, String::new(), String::new(), off));
    }
    if item.absorbed.pico != 0 {
        let off = sum_exact(item.absorbed.pico.saturating_neg());
        rows.push(row(&item.model, ABSORBED, String::new(), String::new(), off));
    }
    rows.push(row(&item.model, CHARGE, String::new(), String::new(), item.charge.usd.clone()));
    Ok(rows)
}

/// Adds a table up again: quantities times prices, commissions, charges, totals.
///
/// # Errors
/// The first row that is not what it says, or that cannot be read.
pub fn verify_sheet(text: &str) -> Result<SheetSummary, Difference> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = At(&|| "line 1".to_owned());
    let columns = reader.headers().map_err(|error| header.differs("columns", error, "readable"))?;
    header.same("columns", &columns.iter().collect::<Vec<_>>().join(","), &COLUMNS.join(","))?;
    let mut sheet = Sheet::default();
    for (number, record) in (2_u64..).zip(reader.records()) {
        let line = |number| format!("line {number}");
        let place = || line(number);
        let record = record.map_err(|error| At(&place).differs("row", error, "readable"))?;
        let number = record.position().map_or(number, csv::Position::line);
        let place = || line(number);
        let at = At(&place);
        let cells: Vec<&str> = record.iter().collect();
        let Ok(cells) = <[&str; 8]>::try_from(cells) else {
            return Err(at.differs("row", format!("{} cells", record.len()), COLUMNS.len()));
        };
        sheet.row(cells, &at)?;
    }
    sheet.end()
}

/// A table as far as it has been read.
#[derive(Default)]
struct Sheet {
    sums: SheetSummary,
    /// The receipt whose rows these are.
    open: Option<Open>,
    last: Option<(Uuid, i16)>,
    totals: usize,
    /// Whether there are corrections, and whether what is to be paid stands behind them.
    is_corrected: bool,
    is_closed: bool,
}

/// A receipt before its charge.
struct Open {
    key: (Uuid, i16),
    cost: Usd,
    commission: Option<Usd>,
    direct: Option<Usd>,
    absorbed: Option<Usd>,
}

impl Sheet {
    fn row(&mut self, cells: [&str; 8], at: &At<'_>) -> Result<(), Difference> {
        let [_, request_id, attempt, _, item, quantity, price, amount] = cells;
        let unreadable =
            |field: &str, text: &str| at.differs(field, format!("{text:?}"), "readable");
        let (amount, exact) = parse_scaled(amount, 12).map_err(|_| unreadable("amount", amount))?;
        if !exact {
            return Err(at.differs("amount", "finer than a pico-dollar", "a whole number of them"));
        }
        if request_id.is_empty() {
            return self.total(item, quantity, amount, at);
        }
        let key = request_id.parse().ok().zip(attempt.parse().ok());
        let key = key.ok_or_else(|| unreadable("request_id", request_id))?;
        let amount = Usd::try_from_pico(amount).map_err(|e| at.differs("amount", amount, e))?;
        if self.totals > 0 || self.last.is_some_and(|last| last >= key) {
            return Err(at.differs("request_id", request_id, "not to stand here"));
        }
        let new = Open { key, cost: Usd::ZERO, commission: None, direct: None, absorbed: None };
        let open = self.open.get_or_insert(new);
        if open.key != key {
            return Err(at.differs(
                "request_id",
                request_id,
                format!("{}/{}", open.key.0, open.key.1),
            ));
        }
        let past = |error| at.differs("amount", amount, error);
        match (item, open.commission) {
            (DIRECT, Some(_)) if open.direct.is_none() && open.absorbed.is_none() => {
                at.same("amount", &amount, &Usd::ZERO.checked_sub(open.cost).map_err(past)?)?;
                open.direct = Some(amount);
            }
            (ABSORBED, Some(_)) if open.absorbed.is_none() && amount < Usd::ZERO => {
                open.absorbed = Some(amount);
            }
            (CHARGE, Some(commission)) => {
                let cost = open.cost.checked_add(open.direct.unwrap_or_default()).map_err(past)?;
                let owed = cost.checked_add(commission);
                let off = open.absorbed.unwrap_or_default();
                let charge = owed.and_then(|owed| owed.checked_add(off)).map_err(past)?;
                at.same("amount", &amount, &charge)?;
                self.sums.add(cost, commission, amount);
                (self.open, self.last) = (None, Some(key));
            }
            (COMMISSION, None) => {
                let bps = quantity.parse().map_err(|_| unreadable("quantity", quantity))?;
                at.same("amount", &amount, &open.cost.share(bps).map_err(past)?)?;
                open.commission = Some(amount);
            }
            (meter, None) if Meter::from_name(meter).is_some() => {
                let count: u64 = quantity.parse().map_err(|_| unreadable("quantity", quantity))?;
                let price = Usd::parse(price).map_err(|_| unreadable("unit_price", price))?;
                let product = i128::from(count).checked_mul(price.pico().into());
                let found = sum_exact(product.unwrap_or(i128::MAX));
                at.same("amount", &amount.to_string(), &found)?;
                open.cost = open.cost.checked_add(amount).map_err(past)?;
            }
            _ => return Err(at.differs("item", item, "not to stand here")),
        }
        Ok(())
    }

    fn total(
        &mut self,
        item: &str,
        quantity: &str,
        amount: i128,
        at: &At<'_>,
    ) -> Result<(), Difference> {
        if self.open.is_some() {
            return Err(at.differs("item", item, "the charge of the receipt above"));
        }
        if self.totals == TOTALS.len() && !self.is_closed {
            return self.corrected(item, amount, at);
        }
        let SheetSummary { receipts, cost, commission, charge, .. } = self.sums;
        let mut sums = TOTALS.into_iter().zip([cost, commission, charge]);
        let Some((name, sum)) = sums.nth(self.totals) else {
            return Err(at.differs("item", item, "behind the end"));
        };
        at.same("item", &item, &name)?;
        at.same("quantity", &quantity, &receipts.to_string().as_str())?;
        at.same("amount", &sum_exact(amount), &sum_exact(sum))?;
        self.totals = self.totals.saturating_add(1);
        Ok(())
    }

    fn corrected(&mut self, item: &str, amount: i128, at: &At<'_>) -> Result<(), Difference> {
        if item.starts_with(CORRECTION) {
            self.sums.corrections = self.sums.corrections.saturating_add(amount);
            self.is_corrected = true;
            return Ok(());
        }
        if !self.is_corrected {
            return Err(at.differs("item", item, "behind the end"));
        }
        at.same("item", &item, &TO_PAY)?;
        let left = self.sums.charge.saturating_add(self.sums.corrections);
        at.same("amount", &sum_exact(amount), &sum_exact(left))?;
        self.is_closed = true;
        Ok(())
    }

    fn end(self) -> Result<SheetSummary, Difference> {
        let at = At(&|| "the end".to_owned());
        at.same("totals", &self.totals, &TOTALS.len())?;
        at.same(TO_PAY, &self.is_closed, &self.is_corrected)?;
        Ok(self.sums)
    }
}

impl SheetSummary {
    fn add(&mut self, cost: Usd, commission: Usd, charge: Usd) {
        self.receipts = self.receipts.saturating_add(1);
        for (sum, amount) in
            [(&mut self.cost, cost), (&mut self.commission, commission), (&mut self.charge, charge)]
        {
            *sum = sum.saturating_add(amount.pico().into());
        }
    }
}
