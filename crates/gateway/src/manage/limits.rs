//! Limits of keys, users, accounts and models: whose are meant, and which there are, for the command line, the API and the
//! console.

use ledger::Catalogue;
use store::{Key, Limit, LimitOwner, Limits, Store, StoreError, Whose};
use uuid::Uuid;

use super::aliases;

/// Whom somebody names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named<'a> {
    pub(crate) key: Option<Uuid>,
    pub(crate) user: Option<&'a str>,
    /// The name of the user or organization whose account it is.
    pub(crate) account: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
}

/// Why there are no limits of that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("expected one of key, user, account and model; only account and model go together")]
    Owner,
    #[error("{0} is an organization, which has no keys of its own: limit its account")]
    Organization(String),
    #[error("model: {0}")]
    Model(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The owner that is meant, who is there.
pub(crate) async fn owner(
    store: &Store,
    catalogue: &Catalogue,
    named: Named<'_>,
) -> Result<LimitOwner, Refused> {
    match named {
        Named { key: Some(key), user: None, account: None, model: None } => {
            let known = store.key(Whose::Anybodys, key).await?;
            let live = known.revoked_at.is_none();
            live.then_some(LimitOwner::Key(key)).ok_or(StoreError::NotFound { what: "key" }.into())
        }
        Named { key: None, user: Some(name), account: None, model: None } => {
            let user = store.user(name).await?;
            match user.kind.as_str() {
                "person" => Ok(LimitOwner::User(user.id)),
                _ => Err(Refused::Organization(user.name)),
            }
        }
        Named { key: None, user: None, account: Some(name), model: None } => {
            Ok(LimitOwner::Account(store.user(name).await?.account_id))
        }
        Named { key: None, user: None, account, model: Some(model) } => {
            let model = aliases::model(catalogue, model).map_err(Refused::Model)?;
            let account = match account {
                Some(name) => Some(store.user(name).await?.account_id),
                None => None,
            };
            Ok(LimitOwner::Model(account, model))
        }
        _ => Err(Refused::Owner),
    }
}

/// The limits of a key, where it has any.
pub(crate) fn of_key(key: &Key) -> Option<Limit> {
    let limits = Limits {
        requests_per_minute: key.requests_per_minute,
        tokens_per_minute: key.tokens_per_minute,
        concurrent_requests: key.concurrent_requests,
    };
    let some = limits != Limits::default() && key.revoked_at.is_none();
    some.then_some(Limit { id: key.id, owner: LimitOwner::Key(key.id), limits })
}

/// All of them, oldest first; those of keys at the end.
pub(crate) async fn all(store: &Store) -> Result<Vec<Limit>, StoreError> {
    let mut limits = store.limits().await?;
    limits.extend(store.all_keys().await?.iter().filter_map(of_key));
    Ok(limits)
}

/// Kind of owner, its id and the model; each account where there is no id.
pub(crate) fn parts(owner: &LimitOwner) -> (&'static str, Option<Uuid>, Option<&str>) {
    match owner {
        LimitOwner::Key(id) => ("key", Some(*id), None),
        LimitOwner::User(id) => ("user", Some(*id), None),
        LimitOwner::Account(id) => ("account", Some(*id), None),
        LimitOwner::Model(id, model) => ("account", *id, Some(model)),
    }
}
