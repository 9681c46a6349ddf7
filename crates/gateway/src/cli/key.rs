//! `tollgate key create|list|rotate|disable|enable|revoke`

use anyhow::{Context as _, bail};
use clap::Args;
use ledger::{BudgetPeriod, Usd};
use secrecy::ExposeSecret as _;
use serde_json::json;
use store::{Key, KeyChange, Role, Store, StoreError, Whose};
use uuid::Uuid;

use super::output::Output;
use crate::config::Settings;
use crate::manage::keys::{self, Made, Wanted};
use crate::native::keys::KeyRow;
use crate::scopes::{Scope, Scopes};
use crate::{clock, keys as secrets};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a key; it is printed alone, this once
    Create(Box<Create>),
    /// List keys
    List {
        /// Only those of this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Put another key in a key's place; it is printed alone, this once
    Rotate {
        /// The key itself, or its id
        key: String,

        /// How long the old one goes on working, in hours
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=8_760))]
        overlap_hours: u32,
    },
    /// Switch a key off, everywhere within a second
    Disable {
        /// The key itself, or its id
        key: String,
    },
    /// Switch a key on again
    Enable {
        /// The key itself, or its id
        key: String,
    },
    /// Revoke a key for good, everywhere within a second
    Revoke {
        /// The key itself, or its id
        key: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Whose key it is
    #[arg(long, value_name = "NAME")]
    user: String,

    /// Whose account it spends from, where that is not the user's own: an organization's
    #[arg(long, value_name = "NAME")]
    payer: Option<String>,

    /// What to call it
    #[arg(long, default_value = "", value_parser = keys::name)]
    name: String,

    /// What it may do: inference, usage, keys, billing; may be given more than once. All but billing, where none is
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,

    /// From when on it is refused, such as 2027-01-31
    #[arg(long, value_name = "DATE", value_parser = moment_to_come)]
    expires_at: Option<i64>,

    /// The most that it may spend in all, in dollars; `tollgate budget set` has daily and monthly ones
    #[arg(long, value_name = "USD", value_parser = super::credit::dollars)]
    budget_usd: Option<Usd>,

    /// A model it may use, such as openai/gpt-4o; may be given more than once. All, where none is
    #[arg(long = "model", value_name = "PROVIDER/MODEL")]
    models: Vec<String>,

    /// A network or an address it may be used from; may be given more than once. All, where none is
    #[arg(long = "allow-ip", value_name = "NETWORK")]
    allowed_ips: Vec<String>,

    /// The most requests in a minute
    #[arg(long, value_name = "N", value_parser = per_minute)]
    requests_per_minute: Option<i64>,

    /// The most tokens in a minute
    #[arg(long, value_name = "N", value_parser = per_minute)]
    tokens_per_minute: Option<i64>,

    /// The most requests under way at once
    #[arg(long, value_name = "N", value_parser = per_minute)]
    concurrent_requests: Option<i64>,
}

pub(super) fn per_minute(text: &str) -> Result<i64, String> {
    keys::per_minute(text.parse().unwrap_or(0))
}

pub(super) fn moment_to_come(text: &str) -> Result<i64, String> {
    clock::parse_moment(text).filter(|at| *at > clock::now()).ok_or_else(|| {
        "expected a moment to come, such as 2027-01-31 or 2027-01-31T12:00:00Z".to_owned()
    })
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::desk(settings).await?;
    match command {
        Command::Create(create) => {
            let Made { secret, key } = create.run(&store).await?;
            let json = json!({ "key": secret.expose_secret(), "id": key.id });
            output.say(&json, secret.expose_secret())
        }
        Command::List { user } => list(&store, user.as_deref(), output).await,
        Command::Rotate { key, overlap_hours } => {
            let old = find(&store, &key).await?;
            let until = clock::now() + i64::from(overlap_hours) * 3_600_000_000;
            let Made { secret, key } = rotate(&store, &old, until).await?;
            let json = json!({
                "key": secret.expose_secret(), "id": key.id, "old_id": old.id,
                "old_expires_at": clock::rfc3339(until),
            });
            output.say(&json, secret.expose_secret())
        }
        Command::Disable { key } => switch(&store, &key, true, output).await,
        Command::Enable { key } => switch(&store, &key, false, output).await,
        Command::Revoke { key } => {
            let id = find(&store, &key).await?.id;
            let changed = store.revoke_key(Whose::Anybodys, id, clock::now()).await?;
            let text = if changed { "The key is revoked." } else { "The key was revoked before." };
            output.say(&json!({ "revoked": true, "changed": changed }), text)
        }
    }
}

/// The key that is meant: by itself, or by its id. A key that was brought along may look like an id.
async fn find(store: &Store, key: &str) -> anyhow::Result<Key> {
    let (hash, id) = (secrets::hash(key), key.parse::<Uuid>().ok());
    if hash.is_none() && id.is_none() {
        anyhow::bail!("expected a key such as tg-… or an id as `tollgate key list` shows it");
    }
    if let Some(hash) = hash {
        match store.key_by_hash(Whose::Anybodys, &ledger::to_hex(&hash)).await {
            Err(StoreError::NotFound { .. }) => {}
            found => return Ok(found?),
        }
    }
    let Some(id) = id else { anyhow::bail!("there is no such key") };
    match store.key(Whose::Anybodys, id).await {
        Err(StoreError::NotFound { .. }) => anyhow::bail!("there is no such key"),
        found => Ok(found?),
    }
}

impl Create {
    async fn run(self, store: &Store) -> anyhow::Result<Made> {
        let flag = |flag: &str, message: String| anyhow::anyhow!("{flag}: {message}");
        let scopes = if self.scopes.is_empty() {
            Scopes::ORDINARY
        } else {
            let operator = store.user(&self.user).await?.operator;
            let granted = if operator { Scopes::OPERATORS } else { Scopes::ALL };
            keys::scopes(&self.scopes, granted).map_err(|e| flag("--scope", e))?
        };
        let mut wanted = Wanted::of(self.name, scopes);
        wanted.expires_at = self.expires_at;
        wanted.budget = self.budget_usd.map(|limit| (BudgetPeriod::Total, limit));
        if !self.models.is_empty() {
            let (_, catalogue) = super::latest_prices(store).await?;
            let models = keys::models(&catalogue, &self.models);
            wanted.models = Some(models.map_err(|e| flag("--model", e))?);
        }
        if !self.allowed_ips.is_empty() {
            let networks =
                keys::allowed_ips(&self.allowed_ips).map_err(|e| flag("--allow-ip", e))?;
            wanted.allowed_ips = Some(networks);
        }
        wanted.requests_per_minute = self.requests_per_minute;
        wanted.tokens_per_minute = self.tokens_per_minute;
        wanted.concurrent_requests = self.concurrent_requests;
        let payer = self.payer.as_deref();
        if let Some(payer) = payer.filter(|payer| *payer != self.user) {
            may_spend(store, &self.user, payer, wanted.scopes).await?;
        }
        Ok(keys::create(store, &self.user, payer, wanted, clock::now()).await?)
    }
}

/// Whether somebody may have a key to an organization's account that may do that.
async fn may_spend(store: &Store, user: &str, payer: &str, scopes: Scopes) -> anyhow::Result<()> {
    let (user, payer) = (store.user(user).await?, store.user(payer).await?);
    let memberships = store.memberships(user.id).await?;
    match memberships.iter().find(|member| member.organization_id == payer.id) {
        None => bail!("--payer: {} is no member of {}", user.name, payer.name),
        Some(member)
            if member.role == Role::Billing
                && (scopes.has(Scope::Inference) || scopes.has(Scope::Keys)) =>
        {
            bail!(
                "--scope: {} is there for billing at {}: expected usage and billing alone",
                user.name,
                payer.name
            )
        }
        Some(_) => Ok(()),
    }
}

async fn rotate(store: &Store, old: &Key, until: i64) -> anyhow::Result<Made> {
    let now = clock::now();
    let users = store.users().await?;
    let payer = users.iter().find(|user| user.account_id == old.account_id);
    let payer = payer.context("the key's account has no owner")?;
    Ok(keys::rotate(store, Whose::Anybodys, old, &payer.name, (now, until)).await?)
}

async fn switch(store: &Store, key: &str, disabled: bool, output: &Output) -> anyhow::Result<()> {
    let id = find(store, key).await?.id;
    let change = KeyChange { disabled: Some(disabled), ..KeyChange::default() };
    keys::change(store, Whose::Anybodys, id, change).await?;
    let text = if disabled { "The key is switched off." } else { "The key is switched on." };
    output.say(&json!({ "id": id, "disabled": disabled }), text)
}

async fn list(store: &Store, user: Option<&str>, output: &Output) -> anyhow::Result<()> {
    let keys = match user {
        Some(name) => store.keys_of(store.user(name).await?.id).await?,
        None => store.all_keys().await?,
    };
    let json = keys
        .iter()
        .map(|key| {
            let mut shown = json!(KeyRow::of(key));
            shown["user"] = key.user.clone().into();
            shown["disabled"] = key.disabled_at.is_some().into();
            shown["scopes"] = key.scopes.split_whitespace().collect();
            shown["allowed_ips"] = json!(key.allowed_ips);
            shown["requests_per_minute"] = key.requests_per_minute.into();
            shown["tokens_per_minute"] = key.tokens_per_minute.into();
            shown["concurrent_requests"] = key.concurrent_requests.into();
            shown
        })
        .collect();
    let rows = keys
        .iter()
        .map(|key| {
            let state = match (key.revoked_at, key.expires_at) {
                (Some(_), _) => "revoked".to_owned(),
                (None, _) if key.disabled_at.is_some() => "off".to_owned(),
                (None, Some(at)) if at <= clock::now() => "expired".to_owned(),
                (None, Some(at)) => format!("until {}", clock::rfc3339(at)),
                (None, None) => "active".to_owned(),
            };
            let used = key.last_used_at.map_or_else(|| "never".to_owned(), clock::rfc3339);
            let shown = format!("{}…{}", key.prefix, key.last4);
            vec![key.id.to_string(), key.user.clone(), key.name.clone(), shown, state, used]
        })
        .collect();
    let columns = [
        ("ID", false),
        ("USER", false),
        ("NAME", false),
        ("KEY", false),
        ("STATE", false),
        ("LAST USED", false),
    ];
    output.table(&json, &columns, rows)?;
    if keys.is_empty() { output.note(NONE) } else { Ok(()) }
}

const NONE: &str = "No keys yet: `tollgate key create --user NAME` makes one.";
