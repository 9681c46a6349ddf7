//! The limits of a customer, on the customer's page.

use store::{Key, Limit, LimitOwner, Limits, User, Whose};
use uuid::Uuid;

use super::super::key_form;
use super::super::limits::words;
use super::super::page::{Fields, missing, told};
use crate::clock;
use crate::manage::limits::{self, Named, Refused};
use crate::problem::Problem;
use crate::web::Call;

/// How many keys there are to choose from; those of others are limited on their own pages.
const KEYS: u16 = 100;

/// What stands on the page.
pub(super) struct Shown {
    pub(super) rows: Vec<LimitRow>,
    /// Whose limits may be set: the word for it, and how it is called.
    pub(super) owners: Vec<(String, String)>,
}

pub(super) struct LimitRow {
    pub(super) id: Uuid,
    pub(super) whose: String,
    pub(super) model: Option<String>,
    pub(super) text: String,
}

/// Those that apply to a customer, and those of the newest keys that spend from the account.
pub(super) async fn shown(call: &Call, user: &User) -> Result<Shown, Problem> {
    let store = &call.app.store;
    let keys = store.keys_page(Whose::Accounts(user.account_id), None, KEYS).await.map_err(told)?;
    let all = store.limits().await.map_err(told)?;
    let of_keys = keys.iter().filter_map(limits::of_key);
    let rows = all.into_iter().chain(of_keys).filter_map(|limit| row(&limit, user, &keys));
    let mut owners = vec![("account".to_owned(), "the account, whoever spends from it".to_owned())];
    if user.kind == "person" {
        owners.push(("user".to_owned(), "the user, whoever pays".to_owned()));
    }
    owners.push(("each".to_owned(), "each account, for the model alone".to_owned()));
    owners.extend(keys.iter().map(|key| (key.id.to_string(), named(key))));
    Ok(Shown { rows: rows.collect(), owners })
}

fn named(key: &Key) -> String {
    let name = if key.name.is_empty() { "unnamed" } else { &key.name };
    format!("the key {name} (…{})", key.last4)
}

fn row(limit: &Limit, user: &User, keys: &[Key]) -> Option<LimitRow> {
    let (whose, model) = match &limit.owner {
        LimitOwner::User(id) if *id == user.id => ("user".to_owned(), None),
        LimitOwner::Account(id) if *id == user.account_id => ("account".to_owned(), None),
        LimitOwner::Model(Some(id), model) if *id == user.account_id => {
            ("account".to_owned(), Some(model.clone()))
        }
        LimitOwner::Model(None, model) => ("each account".to_owned(), Some(model.clone())),
        LimitOwner::Key(id) => (named(keys.iter().find(|key| key.id == *id)?), None),
        _ => return None,
    };
    Some(LimitRow { id: limit.id, whose, model, text: words(&limit.limits) })
}

/// Sets limits in place of those that the same owner has.
pub(super) async fn set(call: &Call, user: &User, fields: &Fields) -> Result<(), Problem> {
    let rates = key_form::rates(fields).map_err(Problem::bad_request)?;
    if rates == Limits::default() {
        return Err(Problem::bad_request("Limits: expected one of the three numbers."));
    }
    let (name, model) = (Some(user.name.as_str()), fields.some("model"));
    let named = match fields.text("of") {
        "account" => Named { account: name, model, ..Named::default() },
        "user" => Named { user: name, model, ..Named::default() },
        "each" if model.is_none() => {
            return Err(Problem::bad_request("Model: each account is limited for a model alone."));
        }
        "each" => Named { model, ..Named::default() },
        _ => {
            let id = fields.id("of").ok_or_else(missing)?;
            // A key that is not on this page is not limited there.
            let store = &call.app.store;
            store.key(Whose::Accounts(user.account_id), id).await.map_err(told)?;
            Named { key: Some(id), model, ..Named::default() }
        }
    };
    let catalogue = &call.app.snapshots.current().catalogue;
    let owner = limits::owner(&call.app.store, catalogue, named).await;
    let owner = owner.map_err(|refused| match refused {
        Refused::Store(error) => told(error),
        Refused::Owner => Problem::bad_request("Model: only accounts are limited for one model."),
        refused => Problem::bad_request(refused.to_string()),
    })?;
    let limit = Limit { id: clock::new_id(), owner, limits: rates };
    call.store().set_limit(limit, call.now).await.map(drop).map_err(told)
}

/// Takes limits away that are on this page.
pub(super) async fn remove(call: &Call, user: &User, fields: &Fields) -> Result<(), Problem> {
    let id = fields.id("limit").ok_or_else(missing)?;
    let shown = shown(call, user).await?;
    if !shown.rows.iter().any(|row| row.id == id) {
        return Err(missing());
    }
    call.store().remove_limit(id, call.now).await.map_err(told)
}
