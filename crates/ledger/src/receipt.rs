//! What one upstream attempt cost, and the proof of it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalogue::{Catalogue, Model};
use crate::price::{Cost, Line, PriceError, Terms};
use crate::scope::Scope;
use crate::usage::{Usage, UsageReport};
use crate::usd::{Usd, UsdError};

/// Who says what was used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider's own counters.
    Provider,
    /// Estimated by us from the text, because the provider's answer had no counters, or some that cannot be true.
    Estimated,
}

/// How an attempt ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client has the answer.
    Ok,
    /// The client hung up before the answer was there; the provider charged nevertheless.
    ClientGone,
    /// The provider answered and charged, but the answer could not be used.
    UpstreamFailed,
    /// No provider gave an answer: nothing was used, and nothing is charged.
    Failed,
    /// The process died while the answer was under way: what the client may have got of it is charged.
    Crashed,
    /// The answer used something that the price version has no price for. A whole answer was withheld from the client and
    /// nothing is charged; of a stream that the client has got, what has a price is. The counters are kept for the
    /// operator, who owes the provider.
    Unpriced,
}

macro_rules! names {
    ($type:ident: $($variant:ident = $name:literal),+) => {
        impl $type {
            /// The name in JSON and in the database.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
names!(UsageSource: Provider = "provider", Estimated = "estimated");
names!(Outcome: Ok = "ok", ClientGone = "client_gone", UpstreamFailed = "upstream_failed", Failed = "failed", Crashed = "crashed", Unpriced = "unpriced");

/// What one upstream attempt cost. Append-only: a correction is another receipt.
///
/// `charge + absorbed = cost + commission`, and `cost` is a pure function of `report`, `terms` and the price version, so that
/// anybody who has the price list can work it out again. Where the account's own key was called with, the provider's price
/// is in the report's route, `cost` is nothing, and the commission is all that is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The request: the `x-request-id` of the answer.
    pub request_id: Uuid,
    /// The attempt, from 1.
    pub attempt: i16,
    /// Whose money.
    pub account_id: Uuid,
    /// Who asked.
    pub user_id: Uuid,
    /// With which key.
    pub key_id: Uuid,
    /// The surface that the client spoke to: `native`, later also the dialects.
    pub surface: String,
    /// The provider that was called.
    pub provider: String,
    /// The provider's model that was asked for: the one whose price applies.
    pub model: String,
    /// The model that the provider says has answered.
    pub model_served: Option<String>,
    /// The provider's own id of the answer.
    pub upstream_id: Option<String>,
    /// The price version pinned at admission.
    pub price_version: i64,
    /// Commission, in basis points of the provider's price.
    pub commission_bps: u32,
    /// What was used, on which terms.
    pub report: UsageReport,
    /// Who says so.
    pub usage_source: UsageSource,
    /// How it ended.
    pub outcome: Outcome,
    /// What the provider charges the house.
    pub cost: Usd,
    /// Our share on top.
    pub commission: Usd,
    /// What the account pays: both together, but for what is absorbed.
    pub charge: Usd,
    /// What the house pays, because nobody else does.
    pub absorbed: Usd,
    /// The most that could be charged: what was held for the request, as last extended. None where nothing had to be.
    pub bound: Option<Usd>,
    /// What that was held in, in ascending order.
    pub scopes: Vec<Scope>,
    /// Admission, microseconds since 1970: the moment whose prices apply.
    pub started_at: i64,
    /// Settlement, microseconds since 1970.
    pub ended_at: i64,
}

/// The three amounts of a receipt, and the lines that prove the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Every counter with its unit price, by the model that ran.
    pub lines: Vec<(String, Line)>,
    /// Σ of the lines, or nothing where the provider bills the account itself.
    pub cost: Usd,
    /// Σ of the lines, where the provider bills the account itself.
    pub direct: Usd,
    /// `Σ of the lines × bps / 10 000`, rounded half to even at the pico-dollar.
    pub commission: Usd,
    /// `cost + commission`.
    pub charge: Usd,
}

/// Why a report could not be priced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// The catalogue lacks the model.
    #[error("unknown model {0}")]
    UnknownModel(String),
    /// The model lacks a price.
    #[error("model {0}: {1}")]
    Price(String, PriceError),
    /// An amount is out of range.
    #[error(transparent)]
    Amount(#[from] UsdError),
}

impl Bill {
    /// Prices every pass of `report` at its own model and adds the commission.
    ///
    /// A pass that names no model ran on `model`. Each pass is priced by itself: its own prompt decides whether it is
    /// a long-context one. Source: Anthropic's `usage.iterations`.
    ///
    /// Where the report says that the provider bills the account itself, whatever amount it names, only the commission is
    /// charged.
    pub fn of(
        catalogue: &Catalogue,
        provider: &str,
        model: &str,
        report: &UsageReport,
        at: i64,
        commission_bps: u32,
    ) -> Result<Self, BillError> {
        let name = |ran: &str| format!("{provider}/{ran}");
        let cost = |known: Option<&Model>, ran: &str, usage: &Usage, terms: &Terms| {
            let known = known.ok_or_else(|| BillError::UnknownModel(name(ran)))?;
            let cost = known.price.price(usage, terms);
            cost.map(Some).map_err(|error| BillError::Price(name(ran), error))
        };
        Self::each(catalogue, provider, model, report, at, commission_bps, cost)
    }

    /// The same as far as there are prices: for an answer that the client has got although it used something that has
    /// none.
    pub fn of_known(
        catalogue: &Catalogue,
        provider: &str,
        model: &str,
        report: &UsageReport,
        at: i64,
        commission_bps: u32,
    ) -> Result<Self, BillError> {
        let cost = |known: Option<&Model>, _: &str, usage: &Usage, terms: &Terms| {
            Ok(known.and_then(|known| known.price.price_known(usage, terms).ok()))
        };
        Self::each(catalogue, provider, model, report, at, commission_bps, cost)
    }

    /// Adds up what `cost` says of each pass and the model that it ran on; none where the pass is left out.
    fn each(
        catalogue: &Catalogue,
        provider: &str,
        model: &str,
        report: &UsageReport,
        at: i64,
        commission_bps: u32,
        cost: impl Fn(Option<&Model>, &str, &Usage, &Terms) -> Result<Option<Cost>, BillError>,
    ) -> Result<Self, BillError> {
        let mut bill = Self::default();
        let mut price = Usd::ZERO;
        let &UsageReport { service_tier, fast, region, .. } = report;
        let terms = Terms { at, service_tier, fast, region };
        for pass in &report.passes {
            let ran = pass.model.as_deref().unwrap_or(model);
            let known = catalogue.get(provider, ran);
            let Some(cost) = cost(known, ran, &pass.usage, &terms)? else { continue };
            price = price.checked_add(cost.total)?;
            bill.lines.extend(cost.lines.into_iter().map(|line| (ran.to_owned(), line)));
        }
        let payer = if report.direct().is_some() { &mut bill.direct } else { &mut bill.cost };
        *payer = price;
        bill.commission = price.share(commission_bps)?;
        bill.charge = bill.cost.checked_add(bill.commission)?;
        Ok(bill)
    }
}

/// How a bill is made: [`Bill::of`] or [`Bill::of_known`].
pub type BillOf = fn(&Catalogue, &str, &str, &UsageReport, i64, u32) -> Result<Bill, BillError>;

/// What is wrong with a receipt, found by working it out again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The report cannot be priced with the version named.
    #[error("cannot be priced again: {0}")]
    Unpriceable(#[from] BillError),
    /// An amount differs.
    #[error("{what} is {stored}, but {recomputed} by its price version")]
    Differs {
        /// Which amount.
        what: &'static str,
        /// As the receipt has it.
        stored: Usd,
        /// As worked out again.
        recomputed: Usd,
    },
}

impl Receipt {
    /// What it comes to by its counters and the price version it names. Of one that says that something has no price, and is
    /// right about it, that is nothing where nothing was charged, and else what has a price.
    ///
    /// # Errors
    /// It has no price, and does not say so.
    pub fn bill(&self, catalogue: &Catalogue) -> Result<Bill, BillError> {
        let of = |bill: BillOf| {
            let Self { provider, model, report, started_at, commission_bps, .. } = self;
            bill(catalogue, provider, model, report, *started_at, *commission_bps)
        };
        match of(Bill::of) {
            Err(_) if self.outcome == Outcome::Unpriced => {
                let direct = self.report.direct().unwrap_or_default();
                let amounts = [self.cost, self.commission, self.charge, self.absorbed, direct];
                let is_free = amounts.iter().all(|amount| *amount == Usd::ZERO);
                if is_free { Ok(Bill::default()) } else { of(Bill::of_known) }
            }
            bill => bill,
        }
    }

    /// Works the receipt out again from its counters and the price version it names.
    pub fn check(&self, catalogue: &Catalogue) -> Result<(), Fault> {
        let bill = self.bill(catalogue)?;
        let owed = self.charge.checked_add(self.absorbed).map_err(BillError::from)?;
        for (what, stored, recomputed) in [
            ("cost", self.cost, bill.cost),
            ("direct", self.report.direct().unwrap_or_default(), bill.direct),
            ("commission", self.commission, bill.commission),
            ("charge", owed, bill.charge),
        ] {
            if stored != recomputed {
                return Err(Fault::Differs { what, stored, recomputed });
            }
        }
        match self.bound {
            Some(bound) if self.charge > bound => {
                Err(Fault::Differs { what: "charge", stored: self.charge, recomputed: bound })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "receipt_tests.rs"]
mod tests;
