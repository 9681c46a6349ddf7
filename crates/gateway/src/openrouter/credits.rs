//! `GET /api/v1/credits`: what was put into the account, and what was used of it.

use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Grain, Role};

use super::dollars::Dollars;
use super::{Data, forbidden};
use crate::clock;
use crate::problem::Problem;
use crate::web::{self, Call};

/// What is left is the one less the other.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Credits {
    /// What was put in, less what was paid out or has expired.
    total_credits: Dollars,
    /// What was charged.
    total_usage: Dollars,
}

/// Once the store has every receipt that was written before.
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let account = call.who.account_id().unwrap_or_default();
    if call.person()?.role(account) == Some(Role::Member) {
        return Err(forbidden("your role in this organization does not let you see its credit"));
    }
    call.app.journal.applied().await.map_err(Problem::store)?;
    let store = &call.app.store;
    let put_in = store.put_in(account, clock::now()).await.map_err(Problem::store)?;
    let ever = (i64::MIN, i64::MAX);
    let used = store.rollup_total(Grain::AccountMonth, account, ever).await;
    let used = used.map_err(Problem::store)?;
    let data =
        Credits { total_credits: Dollars::pico(put_in), total_usage: Dollars::pico(used.charge) };
    web::json(&Data { data })
}
