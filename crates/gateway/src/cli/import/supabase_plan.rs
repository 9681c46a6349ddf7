//! What of a database comes, decided before anything is written.

use std::collections::{BTreeMap, HashMap};

use ledger::{Catalogue, Meter, Model, Rates};
use secrecy::SecretString;
use serde_json::json;
use store::{ImportedUser, Key, NewImported, NewKey, Store, User};
use uuid::Uuid;

use super::person;
use super::prices::{self, Elsewhere};
use super::report::Report;
use super::supabase::Source;
use super::supabase_usage::{self, Sums, hint};
use crate::manage::people;
use crate::providers;
use crate::scopes::Scopes;
use crate::{auth, clock, keys as secrets};

/// What is to be written.
pub(super) struct Plan {
    pub(super) users: Vec<ImportedUser>,
    pub(super) keys: Vec<(NewKey, bool)>,
    pub(super) version: i64,
    pub(super) catalogue: Catalogue,
    pub(super) prices: Vec<Model>,
    pub(super) usage: Vec<NewImported>,
}

/// Somebody to whom keys can belong: here already, or among those who come.
struct Owner {
    id: Uuid,
    account_id: Uuid,
    /// Runs the place, and gets no key by an import.
    operator: bool,
}

impl Owner {
    fn of(user: &User) -> Self {
        Self { id: user.id, account_id: user.account_id, operator: user.operator }
    }
}

pub(super) async fn plan(
    source: Source,
    store: &Store,
    (mode, label): (prices::Mode, &str),
    report: &mut Report,
) -> anyhow::Result<Plan> {
    let known: HashMap<String, User> =
        store.users().await?.into_iter().map(|user| (user.name.clone(), user)).collect();
    let here: HashMap<String, Key> =
        store.all_keys().await?.into_iter().map(|key| (key.hash.clone(), key)).collect();
    let (version, catalogue) = crate::cli::latest_prices(store).await?;
    let users = users(source.users, &known, report);
    let owners: HashMap<&str, Owner> = known
        .values()
        .filter(|user| user.kind == "person")
        .map(|user| (user.name.as_str(), Owner::of(user)))
        .chain(users.iter().map(|ImportedUser { new, .. }| {
            let (id, account_id) = (new.id, new.account_id);
            (new.name.as_str(), Owner { id, account_id, operator: false })
        }))
        .collect();
    let (keys, mut owned) = keys(source.keys, &owners, &here, label, report);
    let prices = prices::plan(&catalogue, theirs(source.prices, report), mode, report);
    // Keys that the source no longer has, but that are here from before.
    for key in here.values() {
        let held = Held { id: key.id, user: key.user_id, account: key.account_id };
        owned.entry(key.hash.clone()).or_insert(Ok(held));
    }
    let recorded = store.recorded_usage(label).await?;
    let usage = usage(source.usage, &owned, &recorded, report);
    Ok(Plan { users, keys, version, catalogue, prices, usage })
}

const USERS: &str = "Users";

fn users(
    rows: Vec<Option<String>>,
    known: &HashMap<String, User>,
    report: &mut Report,
) -> Vec<ImportedUser> {
    report.count(USERS).found = rows.len() as u64;
    let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        match row.filter(|name| !name.is_empty()) {
            Some(name) => *wanted.entry(name).or_default() += 1,
            None => report.refuse(USERS, "(no name)", "it has no name", 1),
        }
    }
    let mut come = Vec::new();
    for (name, rows) in wanted {
        if rows > 1 {
            report.refuse(USERS, &name, "it stands there more than once; once is enough", rows - 1);
        }
        match known.get(&name) {
            Some(user) if user.kind == "person" => report.count(USERS).here += 1,
            Some(_) => report.refuse(USERS, &name, "an organization here has that name", 1),
            None => match people::name(&name) {
                Ok(name) => {
                    report.count(USERS).comes += 1;
                    come.push(person(&name));
                }
                Err(why) => {
                    let why = format!("{why}; --rename \"{name}=NEW\" gives another name");
                    report.refuse(USERS, &name, why, 1);
                }
            },
        }
    }
    come
}

const KEYS: &str = "API_Keys";

/// A key that is here, or comes.
#[derive(Copy, Clone)]
struct Held {
    id: Uuid,
    user: Uuid,
    account: Uuid,
}

/// By the hash of a key: who holds it, or why it cannot come.
type Owned = HashMap<String, Result<Held, String>>;

fn keys(
    rows: Vec<(Option<String>, Option<String>)>,
    owners: &HashMap<&str, Owner>,
    here: &HashMap<String, Key>,
    label: &str,
    report: &mut Report,
) -> (Vec<(NewKey, bool)>, Owned) {
    report.count(KEYS).found = rows.len() as u64;
    let mut wanted: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for (key, user) in rows {
        match key.filter(|key| !key.is_empty()) {
            Some(key) => wanted.entry(key).or_default().push(user),
            None => report.refuse(KEYS, "(no key)", "it is empty", 1),
        }
    }
    let (mut come, mut owned) = (Vec::new(), Owned::new());
    let mut short = 0_u64;
    for (key, mut users) in wanted {
        let rows = users.len() as u64;
        users.sort();
        users.dedup();
        let digest = ledger::to_hex(&sha256(&key));
        let held = match holder(&key, &users, owners, here.get(&digest)) {
            Ok(Holder::Here(held)) => {
                report.count(KEYS).here += 1;
                Ok(held)
            }
            Ok(Holder::Comes(user, owner)) => {
                short += u64::from(key.len() < secrets::GUESSED);
                let new = new_key(&key, user, label, digest.clone());
                let held = Held { id: new.id, user: owner.id, account: owner.account_id };
                report.count(KEYS).comes += 1;
                come.push((new, false));
                Ok(held)
            }
            Err(why) => {
                report.refuse(KEYS, hint(&key), &why, rows);
                Err(why)
            }
        };
        if held.is_ok() && rows > 1 {
            let why = "it stands there more than once; once is enough";
            report.refuse(KEYS, hint(&key), why, rows - 1);
        }
        owned.insert(digest, held);
    }
    if short > 0 {
        report.note(format!(
            "Keys that are shorter than {} characters and can be guessed: {short}. `tollgate key rotate` puts another in the place of one.",
            secrets::GUESSED
        ));
    }
    (come, owned)
}

fn sha256(key: &str) -> secrets::KeyHash {
    use sha2::Digest as _;
    sha2::Sha256::digest(key.as_bytes()).into()
}

/// Whose key it is.
enum Holder<'a> {
    /// Of a key that is here.
    Here(Held),
    /// Of one that comes.
    Comes(&'a str, &'a Owner),
}

/// Whose key it is, or why it cannot come.
fn holder<'a>(
    key: &str,
    users: &'a [Option<String>],
    owners: &'a HashMap<&str, Owner>,
    here: Option<&Key>,
) -> Result<Holder<'a>, String> {
    usable(key)?;
    let user = match users {
        [Some(user)] if !user.is_empty() => user,
        [_] => return Err("it does not say whose it is".to_owned()),
        several => {
            let names: Vec<&str> =
                several.iter().map(|name| name.as_deref().unwrap_or("nobody")).collect();
            return Err(format!("it is of several users at once: {}", names.join(", ")));
        }
    };
    if let Some(here) = here {
        if here.user != *user {
            return Err(format!("it is a key of {} here, and of {user} there", here.user));
        }
        let held = Held { id: here.id, user: here.user_id, account: here.account_id };
        return Ok(Holder::Here(held));
    }
    match owners.get(user.as_str()) {
        None => Err(format!("its user {user} is not in Users, or cannot come")),
        Some(Owner { operator: true, .. }) => {
            Err(format!("its user {user} is an operator here, who gets no key by an import"))
        }
        Some(owner) => Ok(Holder::Comes(user, owner)),
    }
}

/// Why a text cannot be a key here.
fn usable(key: &str) -> Result<(), String> {
    let why = if auth::is_token(key) {
        "it looks like a token (JWT), which is never taken for a key"
    } else if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        "it has spaces or characters beyond ASCII, which no header carries whole"
    } else if secrets::hash(key).is_none() {
        "it is shorter than 8 characters, or longer than 256"
    } else {
        return Ok(());
    };
    Err(why.to_owned())
}

fn new_key(key: &str, user: &str, label: &str, hash: String) -> NewKey {
    let (prefix, last4) = secrets::prefix_and_last4(&SecretString::from(key));
    NewKey {
        id: clock::new_id(),
        user: user.to_owned(),
        name: format!("from {label}"),
        hash,
        prefix,
        last4,
        scopes: Scopes::ORDINARY.to_string(),
        created_at: clock::now(),
        ..NewKey::default()
    }
}

const PRICES: &str = "prices";

/// The flat prices: one for what goes in and what comes out.
fn theirs(rows: Vec<[Option<String>; 3]>, report: &mut Report) -> Vec<Elsewhere> {
    report.count(PRICES).found = rows.len() as u64;
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for [provider, model, price] in rows {
        let named = |text: Option<String>| text.map(|text| text.trim().to_owned());
        let (provider, model) =
            (named(provider).unwrap_or_default(), named(model).unwrap_or_default());
        let id = format!("{provider}/{model}");
        let lower = provider.to_lowercase();
        let known = providers::ROWS.iter().find(|row| row.name == providers::canonical(&lower));
        let Some(known) = known else {
            let why =
                format!("there is no provider of that name; there are {}", providers::names());
            report.refuse(PRICES, id, why, 1);
            continue;
        };
        if model.is_empty() || model.chars().any(|c| c.is_whitespace() || c.is_control()) {
            report.refuse(PRICES, id, "a model's name has no spaces", 1);
            continue;
        }
        let bare = providers::bare_model(known.name, &model).to_owned();
        let price = price.unwrap_or_default().trim().to_owned();
        found.entry((known.name.to_owned(), bare)).or_default().push(price);
    }
    let mut theirs = Vec::new();
    for ((provider, model), texts) in found {
        let id = format!("{provider}/{model}");
        let rows = texts.len() as u64;
        let read: Result<Vec<_>, _> = texts.iter().map(|text| prices::unit(text)).collect();
        let first = read.map(|prices| {
            let first = prices.first().copied();
            (first, prices.iter().all(|price| Some(*price) == first))
        });
        match first {
            Ok((Some(price), true)) => {
                if rows > 1 {
                    let why = "it stands there more than once; once is enough";
                    report.refuse(PRICES, id, why, rows - 1);
                }
                let rates: Rates =
                    [(Meter::Input, price), (Meter::Output, price)].into_iter().collect();
                theirs.push(Elsewhere { provider, model, mode: "chat".to_owned(), rates });
            }
            Ok(_) => report.refuse(PRICES, id, "it stands there with several prices", rows),
            Err(why) => report.refuse(PRICES, id, why, rows),
        }
    }
    theirs
}

fn usage(
    sums: BTreeMap<(String, String, String), Sums>,
    owned: &Owned,
    recorded: &HashMap<(Uuid, String, String), store::Imported>,
    report: &mut Report,
) -> Vec<NewImported> {
    const WHAT: &str = supabase_usage::WHAT;
    report.count(WHAT);
    let (mut come, mut uneven) = (Vec::new(), 0);
    let (mut base, mut tokens) = (0_i128, 0_i128);
    for ((key, provider, model), sum) in sums {
        let which = format!("{} {provider}/{model}", hint(&key));
        let held = match owned.get(&ledger::to_hex(&sha256(&key))) {
            Some(Ok(held)) => *held,
            Some(Err(why)) => {
                report.refuse(WHAT, which, format!("its key cannot come: {why}"), sum.rows);
                continue;
            }
            None => {
                report.refuse(WHAT, which, "its key is not in API_Keys", sum.rows);
                continue;
            }
        };
        let Some(sums) = sum.kept() else {
            let why = "its sum is past 9.2 million dollars, or its tokens past 64 bits";
            report.refuse(WHAT, which, why, sum.rows);
            continue;
        };
        let (user_id, account_id) = (held.user, held.account);
        let new = NewImported { key_id: held.id, user_id, account_id, provider, model, sums };
        let before = recorded.get(&new.place()).copied().unwrap_or_default();
        let Some(more) = sums.beyond(&before) else {
            let why = format!(
                "there is less than what was brought before: {} rows and {} dollars, before {} and {}",
                sums.requests,
                ledger::sum_exact(sums.base.into()),
                before.requests,
                ledger::sum_exact(before.base.into()),
            );
            report.refuse(WHAT, which, why, sum.rows);
            continue;
        };
        let count = report.count(WHAT);
        count.here += u64::try_from(before.requests).unwrap_or(0);
        count.comes += u64::try_from(more.requests).unwrap_or(0);
        if !more.is_nothing() {
            base += i128::from(more.base);
            tokens += i128::from(more.total_tokens);
            uneven += sum.uneven;
            come.push(new);
        }
    }
    if !come.is_empty() {
        let dollars = ledger::sum_exact(base);
        report
            .note(format!("The usage is {tokens} tokens and {dollars} dollars before commission."));
        report.fact("usage", json!({ "total_tokens": tokens.to_string(), "base_price": dollars }));
    }
    if uneven > 0 {
        report.note(format!(
            "Of {uneven} rows the total is not what goes in and comes out; they come as they are."
        ));
    }
    come
}
