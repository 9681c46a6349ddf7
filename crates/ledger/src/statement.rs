//! A bill as a document that proves itself: whoever has the file can work out every amount in it again, without the
//! program that wrote it and without its database.
//!
//! * Each receipt is there with all that it says, and its cost follows from its counters and the prices in the file.
//! * Lines and totals are the sums of the receipts.
//! * Where a receipt was sealed, its path leads to the root that the seal has signed. Those of before there were seals have
//!   none, and are counted.
//! * The document has a digest, so that nothing else in it changes unnoticed either.
//!
//! What it cannot prove: the name beside the user's id, and that the prices are those that were agreed.

mod build;
mod sheet;
mod verify;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hex;
use crate::merkle::Hash;
use crate::price::ModelPrice;
use crate::receipt::{Outcome, Receipt, UsageSource};
use crate::scope::{Scope, decode_scopes, encode_scopes};
use crate::seal::Seal;
use crate::usd::{Usd, sum_exact};

pub use build::{Builder, Head, Kept, PriceSource};
pub use sheet::{COLUMNS, Row, SheetSummary, verify_sheet};
pub use verify::{Difference, Summary};

/// What the file says it is.
pub const FORMAT: &str = "tollgate bill";
/// The version of its form.
pub const VERSION: u32 = 1;
/// The currency of every amount.
pub const CURRENCY: &str = "USD";

/// A file: a statement and its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The statement.
    pub bill: Statement,
    /// SHA-256 of the statement as JSON without white space.
    #[serde(with = "hex")]
    pub sha256: Hash,
}

/// What a user is to pay for a period, with everything that it takes to work it out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Who has used it.
    pub user: Party,
    /// Whose money.
    #[serde(with = "hex::id")]
    pub account_id: Uuid,
    /// When the requests were admitted.
    pub period: Span,
    /// [`CURRENCY`].
    pub currency: String,
    /// When this was written, microseconds since 1970.
    pub made_at: i64,
    /// Every rate of commission that a receipt has, ascending, in basis points.
    pub commission_bps: Vec<u32>,
    /// The sums of all receipts.
    pub totals: Sums,
    /// How many of them have no proof.
    pub unproved: u64,
    /// The sums by model.
    pub lines: Vec<ModelLine>,
    /// What the house has corrected in the period, by moment and id; left out where there is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// The prices that the receipts name.
    pub prices: Vec<PriceList>,
    /// The seals that the proofs lead to, by replica and number.
    pub seals: Vec<Seal>,
    /// Every receipt, by request and attempt.
    pub receipts: Vec<Item>,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The id, which the receipts name.
    #[serde(with = "hex::id")]
    pub id: Uuid,
    /// The name, for people.
    pub name: String,
}

/// From a moment on, and before another: microseconds since 1970.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The first moment of it.
    pub from: i64,
    /// The first moment after it.
    pub to: i64,
}

/// An amount, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Pico-dollars.
    pub pico: i128,
    /// The same in dollars, exactly.
    pub usd: String,
}

impl From<i128> for Amount {
    fn from(pico: i128) -> Self {
        Self { pico, usd: sum_exact(pico) }
    }
}

impl From<Usd> for Amount {
    fn from(usd: Usd) -> Self {
        i128::from(usd.pico()).into()
    }
}

/// Sums over receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// How many.
    pub receipts: u64,
    /// All prompt tokens, cached ones too.
    pub input_tokens: i128,
    /// All generated tokens, thinking ones too.
    pub output_tokens: i128,
    /// Of the prompt tokens, those read from a cache.
    pub cache_read_tokens: i128,
    /// Of the generated tokens, those of thinking.
    pub reasoning_tokens: i128,
    /// What the providers charge.
    pub cost: Amount,
    /// The share on top.
    pub commission: Amount,
    /// What is to be paid.
    pub charge: Amount,
    /// What of both the house pays.
    pub absorbed: Amount,
    /// What the providers bill the account itself, where its own keys were called with: not to be paid here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<Amount>,
}

/// The sums of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelLine {
    /// The provider.
    pub provider: String,
    /// The provider's model.
    pub model: String,
    /// Its sums.
    pub sums: Sums,
}

/// A transaction that corrects what was charged: a credit note, an adjustment, or what the house has paid because no credit
/// was left for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The transaction.
    #[serde(with = "hex::id")]
    pub id: Uuid,
    /// `credit_note`, `adjustment` or `absorb`.
    pub kind: String,
    /// What the account gets; negative: what is taken.
    pub amount: Amount,
    /// The transaction, or the request of a receipt, that it corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<Uuid>,
    /// Why.
    pub reason: String,
    /// When, microseconds since 1970.
    pub at: i64,
}

/// A price version, as far as it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// Its number, which the receipts name.
    pub version: i64,
    /// SHA-256 of the price file that it was read from, in hexadecimal.
    pub sha256: String,
    /// Where it came from.
    pub source: String,
    /// The models that the receipts name.
    pub models: Vec<Priced>,
}

/// What a model costs: pico-dollars by meter, under each condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priced {
    /// The provider.
    pub provider: String,
    /// The provider's model.
    pub model: String,
    /// All that is known of its price.
    pub price: ModelPrice,
}

/// A receipt, with its proof where it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The request.
    #[serde(with = "hex::id")]
    pub request_id: Uuid,
    /// The attempt.
    pub attempt: i16,
    /// Whose money.
    #[serde(with = "hex::id")]
    pub account_id: Uuid,
    /// Who asked.
    #[serde(with = "hex::id")]
    pub user_id: Uuid,
    /// With which key.
    #[serde(with = "hex::id")]
    pub key_id: Uuid,
    /// The surface that the client spoke to.
    pub surface: String,
    /// The provider.
    pub provider: String,
    /// The provider's model.
    pub model: String,
    /// The model that the provider says has answered.
    pub model_served: Option<String>,
    /// The provider's own id of the answer.
    pub upstream_id: Option<String>,
    /// The price version.
    pub price_version: i64,
    /// Commission in basis points.
    pub commission_bps: u32,
    /// What was used, as the text that is stored and hashed.
    pub report: String,
    /// Who says so.
    pub usage_source: UsageSource,
    /// How it ended.
    pub outcome: Outcome,
    /// What the provider charges.
    pub cost: Amount,
    /// The share on top.
    pub commission: Amount,
    /// What is to be paid.
    pub charge: Amount,
    /// What of both the house pays.
    pub absorbed: Amount,
    /// The most that could be charged, where something was held.
    pub bound: Option<Amount>,
    /// Where it was held: the bytes of [`crate::encode_scopes`] in hexadecimal.
    pub scopes: String,
    /// Admission, microseconds since 1970.
    pub started_at: i64,
    /// Settlement, likewise.
    pub ended_at: i64,
    /// SHA-256 of all of the above as [`crate::Content`] has it.
    #[serde(with = "hex")]
    pub content_hash: Hash,
    /// How it leads to a seal.
    pub proof: Option<Proof>,
}

/// The way from a receipt to a seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The hash of the seal.
    #[serde(with = "hex")]
    pub seal: Hash,
    /// The place among the receipts that it seals, from 0.
    pub leaf: u32,
    /// The neighbours on the way to its root.
    #[serde(with = "hex::list")]
    pub path: Vec<Hash>,
}

impl Item {
    /// A receipt as it is stored.
    pub fn new(receipt: &Receipt, report: String, content_hash: Hash) -> Self {
        Self {
            request_id: receipt.request_id,
            attempt: receipt.attempt,
            account_id: receipt.account_id,
            user_id: receipt.user_id,
            key_id: receipt.key_id,
            surface: receipt.surface.clone(),
            provider: receipt.provider.clone(),
            model: receipt.model.clone(),
            model_served: receipt.model_served.clone(),
            upstream_id: receipt.upstream_id.clone(),
            price_version: receipt.price_version,
            commission_bps: receipt.commission_bps,
            report,
            usage_source: receipt.usage_source,
            outcome: receipt.outcome,
            cost: receipt.cost.into(),
            commission: receipt.commission.into(),
            charge: receipt.charge.into(),
            absorbed: receipt.absorbed.into(),
            bound: receipt.bound.map(Amount::from),
            scopes: encode_scopes(&receipt.scopes).map_or_else(String::new, |s| hex::to_hex(&s)),
            started_at: receipt.started_at,
            ended_at: receipt.ended_at,
            content_hash,
            proof: None,
        }
    }

    /// The receipt. `None` where the report cannot be read or an amount is past the range.
    pub fn receipt(&self) -> Option<Receipt> {
        let amount = |amount: &Amount| Usd::try_from_pico(amount.pico).ok();
        Some(Receipt {
            request_id: self.request_id,
            attempt: self.attempt,
            account_id: self.account_id,
            user_id: self.user_id,
            key_id: self.key_id,
            surface: self.surface.clone(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            model_served: self.model_served.clone(),
            upstream_id: self.upstream_id.clone(),
            price_version: self.price_version,
            commission_bps: self.commission_bps,
            report: serde_json::from_str(&self.report).ok()?,
            usage_source: self.usage_source,
            outcome: self.outcome,
            cost: amount(&self.cost)?,
            commission: amount(&self.commission)?,
            charge: amount(&self.charge)?,
            absorbed: amount(&self.absorbed)?,
            bound: match &self.bound {
                Some(bound) => Some(amount(bound)?),
                None => None,
            },
            scopes: scopes(&self.scopes)?,
            started_at: self.started_at,
            ended_at: self.ended_at,
        })
    }
}

/// Scopes in hexadecimal, 50 digits each.
fn scopes(text: &str) -> Option<Vec<Scope>> {
    let (each, rest) = text.as_bytes().as_chunks::<50>();
    let scope = |digits: &[u8; 50]| {
        let bytes: [u8; 25] = hex::from_hex(std::str::from_utf8(digits).ok()?)?;
        decode_scopes(Some(&bytes))?.pop()
    };
    if rest.is_empty() { each.iter().map(scope).collect() } else { None }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
