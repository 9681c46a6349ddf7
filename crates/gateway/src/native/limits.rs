//! `/api/operator/limits`: the limits of everybody, for whoever runs the place.

use std::collections::HashMap;

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Limit, LimitOwner, Limits, StoreError};
use uuid::Uuid;

use crate::clock;
use crate::manage::key_fields::per_minute;
use crate::manage::limits::{self, Named, Refused};
use crate::problem::Problem;
use crate::snapshot::Snapshot;
use crate::web::{self, Call};

/// How many a page has.
const PAGE: usize = 1_000;

/// Which limits are wanted: a page of 1000.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct LimitsQuery {
    /// Only those that apply to this user or organization: the user's, the account's, those of models for it.
    customer: Option<String>,
    /// How many to pass over.
    offset: Option<usize>,
}

/// Whose limits, and how much. Others of the same owner are replaced, and what is not named is not limited.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct LimitWish {
    /// The key that is limited, by its id.
    key: Option<String>,
    /// The name of the user whose keys share them.
    user: Option<String>,
    /// The name of the user or organization whose account is limited, whoever spends from it.
    account: Option<String>,
    /// The model that is limited: for that account, or for each account that has no limits of its own for it.
    model: Option<String>,
    /// The most requests in a minute.
    requests_per_minute: Option<i64>,
    /// The most tokens in a minute.
    tokens_per_minute: Option<i64>,
    /// The most requests under way at once.
    concurrent_requests: Option<i64>,
}

/// Limits of somebody.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LimitView {
    id: String,
    owner: LimitOwnerView,
    /// The model that they are for; null: whatever is asked.
    model: Option<String>,
    requests_per_minute: Option<i64>,
    tokens_per_minute: Option<i64>,
    concurrent_requests: Option<i64>,
}

/// Who has them.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LimitOwnerView {
    /// `key`, `user` or `account`.
    kind: &'static str,
    /// Null: each account by itself.
    id: Option<String>,
    /// Of users and accounts.
    name: Option<String>,
}

/// Limits, oldest first; those of keys at the end.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LimitList {
    limits: Vec<LimitView>,
    /// How many there are on all pages.
    total_count: usize,
}

/// That it is done.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LimitRemoved {
    removed: bool,
}

/// Names of users by their ids, and of their accounts by those.
struct Names<'a>(HashMap<Uuid, &'a str>);

impl<'a> Names<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let people = snapshot.people.values();
        let both = people.flat_map(|one| [(one.id, &*one.name), (one.account_id, &*one.name)]);
        Self(both.collect())
    }

    fn view(&self, limit: &Limit) -> LimitView {
        let (kind, id, model) = limits::parts(&limit.owner);
        let name = id.and_then(|id| self.0.get(&id)).map(|name| (*name).to_owned());
        let Limits { requests_per_minute, tokens_per_minute, concurrent_requests } = limit.limits;
        LimitView {
            id: limit.id.to_string(),
            owner: LimitOwnerView { kind, id: id.map(|id| id.to_string()), name },
            model: model.map(str::to_owned),
            requests_per_minute,
            tokens_per_minute,
            concurrent_requests,
        }
    }
}

/// `GET /api/operator/limits`
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let query: LimitsQuery = call.query()?;
    let store = &call.app.store;
    let all = match &query.customer {
        None => limits::all(store).await.map_err(Problem::store)?,
        Some(name) => {
            let user = store.user(name).await.map_err(|error| told(error.into()))?;
            let mut all = store.limits().await.map_err(Problem::store)?;
            all.retain(|limit| match &limit.owner {
                LimitOwner::User(id) => *id == user.id,
                LimitOwner::Account(id) => *id == user.account_id,
                LimitOwner::Model(id, _) => id.is_none_or(|id| id == user.account_id),
                LimitOwner::Key(_) => false,
            });
            all
        }
    };
    let snapshot = call.app.snapshots.current();
    let names = Names::of(&snapshot);
    let page = all.iter().skip(query.offset.unwrap_or(0)).take(PAGE);
    let limits = page.map(|limit| names.view(limit)).collect();
    web::json(&LimitList { limits, total_count: all.len() })
}

/// `PUT /api/operator/limits`
pub(crate) async fn set(call: Call) -> Result<Response, Problem> {
    let wish: LimitWish = call.json()?;
    let limits = Limits {
        requests_per_minute: per_minute("requests_per_minute", wish.requests_per_minute)?,
        tokens_per_minute: per_minute("tokens_per_minute", wish.tokens_per_minute)?,
        concurrent_requests: per_minute("concurrent_requests", wish.concurrent_requests)?,
    };
    if limits == Limits::default() {
        let message = "expected a limit: requests_per_minute, tokens_per_minute or concurrent_requests; DELETE takes limits away";
        return Err(Problem::bad_request(message));
    }
    let key = wish.key.as_deref().map(str::parse).transpose();
    let named = Named {
        key: key.map_err(|_| not_found("key"))?,
        user: wish.user.as_deref(),
        account: wish.account.as_deref(),
        model: wish.model.as_deref(),
    };
    let catalogue = &call.app.snapshots.current().catalogue;
    let owner = limits::owner(&call.app.store, catalogue, named).await.map_err(told)?;
    let mut limit = Limit { id: clock::new_id(), owner, limits };
    let set = call.store().set_limit(limit.clone(), call.now).await;
    limit.id = set.map_err(|error| told(error.into()))?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    let snapshot = call.app.snapshots.current();
    web::json(&Names::of(&snapshot).view(&limit))
}

/// `DELETE /api/operator/limits/{id}`
pub(crate) async fn remove(call: Call) -> Result<Response, Problem> {
    let id = call.param("id").parse().map_err(|_| not_found("limit"))?;
    let removed = call.store().remove_limit(id, call.now).await;
    removed.map_err(|error| told(error.into()))?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    web::json(&LimitRemoved { removed: true })
}

fn not_found(what: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
}

fn told(refused: Refused) -> Problem {
    match refused {
        Refused::Store(StoreError::NotFound { what }) => not_found(what),
        Refused::Store(error) => Problem::store(error),
        refused => Problem::bad_request(refused.to_string()),
    }
}
