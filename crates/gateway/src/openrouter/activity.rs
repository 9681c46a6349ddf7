//! `GET /api/v1/activity`: what was used on each of the last thirty days that are over (UTC), by model.

use std::collections::BTreeMap;

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Grain, Rollup, Whose};
use uuid::Uuid;

use super::dollars::Dollars;
use super::{Data, catalog, keys, wishes};
use crate::clock;
use crate::problem::Problem;
use crate::web::{self, Call};

/// How many days there are to be seen.
const DAYS: i64 = 30;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Which activity is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ActivityQuery {
    /// One of the last thirty days that are over, such as 2026-11-24.
    date: Option<String>,
    /// Only that of one key.
    api_key_hash: Option<String>,
    /// Only that of one user.
    user_id: Option<String>,
    /// `workspace`: each row says which account paid.
    group_by: Option<GroupBy>,
    /// Only the account of the key that asks.
    workspace_id: Option<String>,
}

#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum GroupBy {
    Workspace,
}

/// A day of a model.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Activity {
    date: String,
    model: String,
    model_permaslug: String,
    endpoint_id: String,
    provider_name: String,
    usage: Dollars,
    /// What providers bill the account themselves for calls with its own keys, by the price list.
    byok_usage_inference: Dollars,
    requests: i64,
    prompt_tokens: i64,
    /// Which are among the prompt tokens.
    cached_tokens: i64,
    completion_tokens: i64,
    /// Which are among the completion tokens.
    reasoning_tokens: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<String>,
}

/// Newest day first. Once the store has every receipt that was written before.
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let query: ActivityQuery = call.query()?;
    wishes::check_workspace(&call, query.workspace_id.as_deref())?;
    let days = days(query.date.as_deref(), call.now)?;
    call.app.journal.applied().await.map_err(Problem::store)?;
    let account = call.who.account_id().unwrap_or_default();
    let rollups = match only(&call, account, &query).await? {
        None => call.app.store.rollups(Grain::Account, account, days).await,
        Some(keys) => of_keys(&call, &keys, days).await,
    };
    let mut rollups = rollups.map_err(Problem::store)?;
    rollups.sort_by(|a, b| b.day.cmp(&a.day).then_with(|| a.item.cmp(&b.item)));
    let workspace = query.group_by.map(|GroupBy::Workspace| account.to_string());
    let data: Vec<Activity> =
        rollups.into_iter().map(|rollup| Activity::of(rollup, workspace.clone())).collect();
    web::json(&Data { data })
}

/// The days that are asked for, by their numbers since 1970: from the first on and before the second.
fn days(date: Option<&str>, now: i64) -> Result<(i64, i64), Problem> {
    let today = now.div_euclid(MICROS_PER_DAY);
    let Some(date) = date else { return Ok((today - DAYS, today)) };
    let day = ledger::parse_date(date).map(|at| at.div_euclid(MICROS_PER_DAY));
    let day = day.filter(|day| (today - DAYS..today).contains(day));
    day.map(|day| (day, day + 1)).ok_or_else(|| {
        let (first, last) = (date_of(today - DAYS), date_of(today - 1));
        Problem::bad_request(format!("date: expected a day from {first} to {last}"))
    })
}

fn date_of(day: i64) -> String {
    let mut text = clock::rfc3339(day.saturating_mul(MICROS_PER_DAY));
    text.truncate("2026-11-24".len());
    text
}

/// The keys whose activity is asked for and may be seen; `None`: the whole account's.
async fn only(
    call: &Call,
    account: Uuid,
    query: &ActivityQuery,
) -> Result<Option<Vec<Uuid>>, Problem> {
    let person = call.person()?;
    // Who only pays sees what for.
    let whose = person.reach(account).unwrap_or(Whose::Accounts(account));
    let own = match whose {
        Whose::UsersOfAccount(user, _) => Some(user),
        _ => None,
    };
    if let Some(hash) = &query.api_key_hash {
        let key = keys::by_hash(call, whose, hash).await?;
        let others = query.user_id.as_ref().is_some_and(|id| *id != key.user_id.to_string());
        return Ok(Some(if others { Vec::new() } else { vec![key.id] }));
    }
    let asked: Option<Uuid> = match &query.user_id {
        None => None,
        Some(text) => {
            let bad = |_| Problem::bad_request("user_id: expected the id of a user");
            Some(text.parse().map_err(bad)?)
        }
    };
    let user = match (asked, own) {
        (None, None) => return Ok(None),
        (Some(asked), Some(own)) if asked != own => return Ok(Some(Vec::new())),
        (asked, own) => asked.or(own).unwrap_or_default(),
    };
    let keys = call.app.store.keys_of(user).await.map_err(Problem::store)?;
    Ok(Some(keys.iter().filter(|key| key.account_id == account).map(|key| key.id).collect()))
}

async fn of_keys(
    call: &Call,
    keys: &[Uuid],
    days: (i64, i64),
) -> Result<Vec<Rollup>, store::StoreError> {
    let mut sums: BTreeMap<(i64, String), Rollup> = BTreeMap::new();
    for key in keys {
        for more in call.app.store.rollups(Grain::Key, *key, days).await? {
            let sum = sums.entry((more.day, more.item.clone())).or_insert_with(|| Rollup {
                day: more.day,
                item: more.item.clone(),
                ..Rollup::default()
            });
            for (sum, more) in [
                (&mut sum.receipts, more.receipts),
                (&mut sum.input_tokens, more.input_tokens),
                (&mut sum.output_tokens, more.output_tokens),
                (&mut sum.cache_read, more.cache_read),
                (&mut sum.reasoning, more.reasoning),
                (&mut sum.charge, more.charge),
                (&mut sum.direct, more.direct),
            ] {
                *sum = sum.saturating_add(more);
            }
        }
    }
    Ok(sums.into_values().collect())
}

impl Activity {
    fn of(rollup: Rollup, workspace_id: Option<String>) -> Self {
        let provider = rollup.item.split('/').next().unwrap_or_default();
        Self {
            date: date_of(rollup.day),
            model: rollup.item.clone(),
            model_permaslug: rollup.item.clone(),
            provider_name: catalog::provider_name(provider).to_owned(),
            usage: Dollars::pico(rollup.charge),
            byok_usage_inference: Dollars::pico(rollup.direct),
            requests: rollup.receipts,
            prompt_tokens: rollup.input_tokens,
            cached_tokens: rollup.cache_read,
            completion_tokens: rollup.output_tokens,
            reasoning_tokens: rollup.reasoning,
            endpoint_id: rollup.item,
            workspace_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MICROS_PER_DAY, days};

    #[test]
    fn only_days_that_are_over() {
        // 2026-11-26T12:00:00Z
        let now = ledger::parse_date("2026-11-26").expect("a date") + MICROS_PER_DAY / 2;
        let today = now / MICROS_PER_DAY;
        let asked = |date: &str| days(Some(date), now).map_err(|problem| problem.message);
        assert_eq!(days(None, now).map_err(|problem| problem.message), Ok((today - 30, today)));
        assert_eq!(asked("2026-11-25"), Ok((today - 1, today)));
        assert_eq!(asked("2026-10-27"), Ok((today - 30, today - 29)));
        for date in ["2026-11-26", "2026-10-26", "2026-11-31", "yesterday", ""] {
            let message = "date: expected a day from 2026-10-27 to 2026-11-25";
            assert_eq!(asked(date), Err(message.into()), "{date}");
        }
    }
}
