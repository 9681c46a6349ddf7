//! Keys: made, changed, rotated, revoked. What is asked for is checked here, whoever asks, and the message names the field.

use foldhash::HashMap;
use ipnet::IpNet;
use ledger::{BudgetPeriod, Catalogue, Usd};
use secrecy::{ExposeSecret as _, SecretString};
use store::{Key, KeyChange, NewKey, Store, StoreError, Whose};
use uuid::Uuid;

use super::aliases;
use crate::scopes::Scopes;
use crate::snapshot::KeyEntry;
use crate::{clock, keys, proxies};

const LONGEST_NAME: usize = 100;
/// The most models, and the most networks, that a key is narrowed to.
const MOST_LISTED: usize = 100;

/// What a key is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Option<i64>,
    pub(crate) budget: Option<(BudgetPeriod, Usd)>,
    pub(crate) models: Option<Vec<String>>,
    pub(crate) allowed_ips: Option<Vec<String>>,
    pub(crate) requests_per_minute: Option<i64>,
    pub(crate) tokens_per_minute: Option<i64>,
    pub(crate) concurrent_requests: Option<i64>,
}

impl Wanted {
    /// A key that may do that, without limits.
    pub(crate) const fn of(name: String, scopes: Scopes) -> Self {
        Self {
            name,
            scopes,
            expires_at: None,
            budget: None,
            models: None,
            allowed_ips: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            concurrent_requests: None,
        }
    }

    /// What a key is like that is there, but for its budget.
    fn like(key: &Key) -> Self {
        Self {
            name: key.name.clone(),
            scopes: Scopes::stored(&key.scopes),
            expires_at: key.expires_at,
            budget: None,
            models: key.models.clone(),
            allowed_ips: key.allowed_ips.clone(),
            requests_per_minute: key.requests_per_minute,
            tokens_per_minute: key.tokens_per_minute,
            concurrent_requests: key.concurrent_requests,
        }
    }
}

/// A key that was just made. The secret is in the caller's hands alone.
pub(crate) struct Made {
    pub(crate) secret: SecretString,
    pub(crate) key: Key,
}

/// Makes a key of `user` that spends from the account of `payer`, or from the user's own.
pub(crate) async fn create(
    store: &Store,
    user: &str,
    payer: Option<&str>,
    wanted: Wanted,
    now: i64,
) -> Result<Made, StoreError> {
    let (secret, new) = draft(user, payer, wanted, now)?;
    let key = store.add_key(new).await?;
    Ok(Made { secret, key })
}

/// Makes a key that takes the place of another, which goes on working until `until`. The budget of the old one becomes that
/// of the new one, with what was spent of it, and both spend from it.
pub(crate) async fn rotate(
    store: &Store,
    whose: Whose,
    old: &Key,
    payer: &str,
    (now, until): (i64, i64),
) -> Result<Made, StoreError> {
    let wanted = Wanted::like(old);
    let (secret, new) = draft(&old.user, Some(payer), wanted, now)?;
    let key = store.rotate_key(whose, old.id, new, until).await?;
    Ok(Made { secret, key })
}

/// Changes a key.
pub(crate) async fn change(
    store: &Store,
    whose: Whose,
    id: Uuid,
    change: KeyChange,
) -> Result<Key, StoreError> {
    store.change_key(whose, id, change, clock::now()).await
}

/// A key and its secret, before either is in the store.
pub(crate) fn draft(
    user: &str,
    payer: Option<&str>,
    wanted: Wanted,
    now: i64,
) -> Result<(SecretString, NewKey), StoreError> {
    let secret = keys::generate();
    let hash = keys::hash(secret.expose_secret()).ok_or(StoreError::NotFound { what: "key" })?;
    let (prefix, last4) = keys::prefix_and_last4(&secret);
    let new = NewKey {
        id: clock::new_id(),
        user: user.to_owned(),
        payer: payer.map(str::to_owned),
        name: wanted.name,
        hash: ledger::to_hex(&hash),
        prefix,
        last4,
        scopes: wanted.scopes.to_string(),
        expires_at: wanted.expires_at,
        budget: wanted.budget,
        models: wanted.models,
        allowed_ips: wanted.allowed_ips,
        requests_per_minute: wanted.requests_per_minute,
        tokens_per_minute: wanted.tokens_per_minute,
        concurrent_requests: wanted.concurrent_requests,
        created_at: now,
    };
    Ok((secret, new))
}

/// A key that is narrowed to models, networks, rates or an end makes keys that are: as narrow where nothing is said, never
/// wider.
pub(crate) fn narrowed(mut wanted: Wanted, maker: &KeyEntry) -> Result<Wanted, String> {
    if let Some(own) = &maker.models {
        let models = wanted.models.get_or_insert_with(|| own.clone());
        if let Some(more) = models.iter().find(|model| !own.contains(model)) {
            return Err(format!("models: the key that asks may not use {more} itself"));
        }
    }
    if let Some(own) = &maker.allowed_ips {
        let same = || own.iter().map(ToString::to_string).collect();
        let within = |text: &String| {
            proxies::network(text).is_some_and(|one| own.iter().any(|whole| whole.contains(&one)))
        };
        let networks: &mut Vec<String> = wanted.allowed_ips.get_or_insert_with(same);
        if let Some(more) = networks.iter().find(|network| !within(network)) {
            return Err(format!(
                "allowed_ips: the key that asks may not be used from {more} itself"
            ));
        }
    }
    let own = maker.own_limits();
    let rates = [
        ("requests_per_minute", own.requests_per_minute, &mut wanted.requests_per_minute),
        ("tokens_per_minute", own.tokens_per_minute, &mut wanted.tokens_per_minute),
        ("concurrent_requests", own.concurrent_requests, &mut wanted.concurrent_requests),
    ];
    for (name, own, asked) in rates {
        let Some(own) = own else { continue };
        if *asked.get_or_insert(own) > own {
            return Err(format!("{name}: the key that asks has no more than {own} itself"));
        }
    }
    if let Some(end) = maker.expires_at
        && *wanted.expires_at.get_or_insert(end) > end
    {
        return Err(format!("expires_at: the key that asks ends at {}", clock::rfc3339(end)));
    }
    Ok(wanted)
}

/// The last of the keys that have taken each other's place, by each that is not that one.
pub(crate) fn successors(keys: &[Key]) -> HashMap<Uuid, Uuid> {
    let next: HashMap<Uuid, Uuid> =
        keys.iter().filter_map(|key| Some((key.id, key.rotated_to?))).collect();
    let last = |first: Uuid| {
        let line = std::iter::successors(Some(first), |key| next.get(key).copied());
        // A key is made after all those whose place it takes.
        line.take(next.len().saturating_add(1)).last().unwrap_or(first)
    };
    next.keys().map(|key| (*key, last(*key))).collect()
}

/// What to call a key.
pub(crate) fn name(text: &str) -> Result<String, String> {
    super::one_line(text, LONGEST_NAME)
}

/// From when on it is refused.
pub(crate) fn expiry(text: &str, now: i64) -> Result<i64, String> {
    clock::parse_moment(text)
        .filter(|at| *at > now)
        .ok_or_else(|| "expected a moment to come, such as 2027-01-31T00:00:00Z".to_owned())
}

/// What it may do, which is no more than who makes it may grant.
pub(crate) fn scopes(names: &[String], granted: Scopes) -> Result<Scopes, String> {
    let known = Scopes::ALL.to_string();
    let wanted = Scopes::parse(names.iter().map(String::as_str))
        .map_err(|name| format!("there is no scope {name:?}; expected some of: {known}"))?;
    if names.is_empty() {
        return Err(format!("expected at least one of: {known}"));
    }
    if !wanted.within(granted) {
        return Err(format!("you may grant no more than: {granted}"));
    }
    Ok(wanted)
}

/// Ids of models as keys keep them, each with the name of its provider.
pub(crate) fn models(catalogue: &Catalogue, ids: &[String]) -> Result<Vec<String>, String> {
    if ids.is_empty() {
        return Err("expected at least one model; leave it out to allow all".to_owned());
    }
    if ids.len() > MOST_LISTED {
        return Err(format!("expected at most {MOST_LISTED} models"));
    }
    ids.iter()
        .map(|id| {
            aliases::known(catalogue, id).ok_or_else(|| {
                let id = crate::routing::quoted(id);
                format!("{id} is not in the price list; expected ids such as openai/gpt-4o")
            })
        })
        .collect()
}

/// Networks and addresses that it may be used from.
pub(crate) fn allowed_ips(texts: &[String]) -> Result<Vec<String>, String> {
    if texts.is_empty() {
        return Err("expected at least one network; leave it out to allow all".to_owned());
    }
    if texts.len() > MOST_LISTED {
        return Err(format!("expected at most {MOST_LISTED} networks"));
    }
    let read = |text: &String| {
        let network: Option<IpNet> = proxies::network(text);
        network.map(|network| network.to_string()).ok_or_else(|| {
            let text = crate::routing::quoted(text);
            format!("{text} is no network; expected such as 203.0.113.0/24 or 2001:db8::1")
        })
    };
    texts.iter().map(read).collect()
}

/// A number of requests or tokens in a minute, or of requests at once.
pub(crate) fn per_minute(number: i64) -> Result<i64, String> {
    if (1..=1_000_000_000).contains(&number) {
        Ok(number)
    } else {
        Err("expected a whole number from 1 to 1000000000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{allowed_ips, name, per_minute, scopes};
    use crate::scopes::Scopes;

    #[test]
    fn what_makes_no_sense_is_named() {
        let list = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(allowed_ips(&list(&["10.1.2.3/8"])), Ok(list(&["10.0.0.0/8"])));
        assert!(
            allowed_ips(&list(&["10.1.2.3", "x"])).is_err_and(|e| e.starts_with("\"x\" is no"))
        );
        assert!(allowed_ips(&[]).is_err());
        assert_eq!(
            scopes(&list(&["usage"]), Scopes::ALL),
            Scopes::parse(["usage"]).map_err(|_| String::new())
        );
        assert!(
            scopes(&list(&["billing"]), Scopes::ORDINARY)
                .is_err_and(|e| e.contains("no more than"))
        );
        assert!(scopes(&list(&["root"]), Scopes::ALL).is_err_and(|e| e.contains("\"root\"")));
        assert!(scopes(&[], Scopes::ALL).is_err());
        assert!(name(&"n".repeat(101)).is_err() && name("a\nb").is_err() && name("").is_ok());
        assert!(per_minute(0).is_err() && per_minute(1).is_ok());
    }
}
