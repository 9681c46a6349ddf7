//! What a token is worth and what an account owes: pure rules, no I/O, no clock, no floating point.
//!
//! * [`Usd`] is a whole number of pico-dollars; every sum is checked, none is ever rounded but a commission.
//! * [`Usage`] counts what is priced, in counters that never overlap.
//! * [`ModelPrice`] turns a usage into a [`Cost`]: `Σ counter × unit price`, exactly.
//! * [`Catalogue`] is one immutable version of all prices; a [`Receipt`] names the version it was priced with, so
//!   that [`Receipt::check`] can work it out again at any time.
//! * [`bound()`] is the most that a request may be charged; a [`Purse`] is what one replica may spend, and holds it.
//!
//! A counter without a price is an error, never 0.
//!
//! ```
//! use ledger::{Meter, ModelPrice, Rates, Tariff, Terms, UnitPrice, Usage};
//!
//! let mut rates = Rates::default();
//! rates.set(Meter::Input, UnitPrice::parse("0.15", 6)?);
//! rates.set(Meter::Output, UnitPrice::parse("0.60", 6)?);
//! let tariff = Tariff { valid_from: None, rates: vec![(ledger::Condition::default(), rates)] };
//! let price = ModelPrice { tariffs: vec![tariff], ..ModelPrice::default() };
//!
//! let usage = Usage::of(&[(Meter::Input, 1_234), (Meter::Output, 567)]);
//! let cost = price.price(&usage, &Terms::default())?;
//! assert_eq!(cost.total.to_string(), "0.0005253");
//! assert_eq!(cost.total.share(500)?.to_string(), "0.000026265");
//! # Ok::<(), ledger::PriceError>(())
//! ```
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::indexing_slicing)
)]

mod bound;
mod catalogue;
mod content;
mod decimal;
mod hex;
mod import;
pub mod merkle;
mod price;
mod purse;
mod receipt;
mod route;
mod scope;
mod seal;
pub mod statement;
mod time;
mod upcoming;
mod usage;
mod usd;

pub use bound::{Demand, affordable_output, bound};
pub use catalogue::{Catalogue, Model, ModelInfo, Status};
pub use content::{Content, Counters, Held};
pub use decimal::Decimal;
pub use hex::{from_hex, to_hex};
pub use import::{ImportFault, PriceFiles, import};
pub use price::{
    Condition, Cost, Line, ModelPrice, Multipliers, PriceError, Rates, Tariff, Terms, UnitPrice,
};
pub use purse::{Broken, Purse, Short, Slice};
pub use receipt::{Bill, BillError, BillOf, Fault, Outcome, Receipt, UsageSource};
pub use route::{Route, Tried};
pub use scope::{BudgetPeriod, Scope, ScopeKind, decode_scopes, encode_scopes};
pub use seal::{Seal, SealFault, Signer, is_signed};
pub use time::{Windows, minute_of_week, parse_date};
pub use upcoming::Undated;
pub use usage::{Meter, Pass, Region, ServiceTier, Usage, UsageReport};
pub use usd::{Usd, UsdError, sum_exact, sum_six_decimals};
