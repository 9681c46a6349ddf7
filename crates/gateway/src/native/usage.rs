//! `GET /api/usage/check`: what is owed up to this moment by the account that the asking key spends from: all that it pays for,
//! or of an organization's, for who is only a member there, what they have used themselves.

use axum::response::Response;
use ledger::{sum_exact, sum_six_decimals};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use store::{ImportedBy, ImportedRow, Whose};

use crate::problem::Problem;
use crate::web::{self, Call};

/// The answer's outer object.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Checked {
    #[serde(rename = "priceToPay")]
    price_to_pay: PriceToPay,
}

#[derive(Serialize, JsonSchema)]
struct PriceToPay {
    username: String,
    total_input_tokens: i128,
    total_output_tokens: i128,
    total_tokens: i128,
    /// What the providers take, in dollars with six decimals.
    #[schemars(with = "f64")]
    base_price: Box<RawValue>,
    /// The sum of the commissions, whatever their rate.
    #[schemars(with = "f64")]
    commission_5_percent: Box<RawValue>,
    #[schemars(with = "f64")]
    final_price: Box<RawValue>,
    exact: Exact,
}

/// The same prices to the pico-dollar, as text: a JSON number would lose them in most readers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExactPrices")]
struct Exact {
    base_price: String,
    commission_5_percent: String,
    final_price: String,
}

/// The sums of the store, once it has every receipt that was written before: each is, before its answer ends. What was used
/// elsewhere and brought along counts too.
pub(crate) async fn check(call: Call) -> Result<Response, Problem> {
    let (app, (_, user)) = (&call.app, call.user()?);
    let whose = call.sees()?;
    app.journal.applied().await.map_err(Problem::store)?;
    let sums = app.store.usage_of(whose).await.map_err(Problem::store)?;
    // What was brought along is on the bill of whose account it is.
    let snapshot = app.snapshots.current();
    let mut people = snapshot.people.values();
    let before = match people.find(|payer| whose == Whose::Accounts(payer.account_id)) {
        Some(payer) => app.store.imported_usage(Some(payer.id), ImportedBy::Source).await,
        None => Ok(Vec::new()),
    };
    let before = before.map_err(Problem::store)?;
    let brought = |part: fn(&ImportedRow) -> i128| before.iter().map(part).sum::<i128>();
    let (base, share) = (brought(|row| row.base), brought(|row| row.commission));
    let (cost, commission) = (sums.cost + base, sums.commission + share);
    let charge = sums.charge + base + share;
    let price_to_pay = PriceToPay {
        username: user.to_owned(),
        total_input_tokens: sums.input_tokens + brought(|row| row.input_tokens),
        total_output_tokens: sums.output_tokens + brought(|row| row.output_tokens),
        total_tokens: sums.input_tokens + sums.output_tokens + brought(|row| row.total_tokens),
        base_price: number(cost)?,
        commission_5_percent: number(commission)?,
        final_price: number(charge)?,
        exact: Exact {
            base_price: sum_exact(cost),
            commission_5_percent: sum_exact(commission),
            final_price: sum_exact(charge),
        },
    };
    web::json(&Checked { price_to_pay })
}

/// A JSON number with exactly six decimals.
fn number(pico: i128) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(sum_six_decimals(pico)).map_err(Problem::internal)
}
