//! `tollgate key create|list|revoke`

use anyhow::Context as _;
use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::json;
use store::StoreError;
use uuid::Uuid;

use super::output::Output;
use crate::config::Settings;
use crate::native::keys::{allowed_models, create, view};
use crate::{clock, keys};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a key; it is printed alone, this once
    Create(Create),
    /// List keys
    List {
        /// Only those of this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Revoke a key, everywhere within a second
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

    /// What to call it
    #[arg(long, default_value = "")]
    name: String,

    /// From when on it is refused, such as 2027-01-31
    #[arg(long, value_name = "DATE", value_parser = moment_to_come)]
    expires_at: Option<i64>,

    /// The most that it may spend in all, in dollars; `tollgate budget set` has daily and monthly ones
    #[arg(long, value_name = "USD", value_parser = super::credit::dollars)]
    budget_usd: Option<ledger::Usd>,

    /// A model it may use, such as openai/gpt-4o; may be given more than once. All, where none is
    #[arg(long = "model", value_name = "PROVIDER/MODEL")]
    models: Vec<String>,
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
    let store = super::open(settings).await?;
    match command {
        Command::Create(Create { user, name, expires_at, budget_usd, models }) => {
            let models = if models.is_empty() {
                None
            } else {
                let version = store.latest_price_version().await?;
                let version = version.context("there is no price version")?.id;
                let allowed = allowed_models(&store.catalogue(version).await?, &models);
                Some(allowed.map_err(|message| anyhow::anyhow!("--model: {message}"))?)
            };
            let (key, stored) =
                create(&store, &user, &name, expires_at, budget_usd, models).await?;
            let json = json!({ "key": key.expose_secret(), "id": stored.id });
            output.say(&json, key.expose_secret())
        }
        Command::List { user } => list(&store, user.as_deref(), output).await,
        Command::Revoke { key } => {
            let now = clock::now();
            let revoked = if let Some(hash) = keys::hash(&key) {
                store.revoke_key_by_hash(None, &ledger::to_hex(&hash), now).await
            } else if let Ok(id) = key.parse::<Uuid>() {
                store.revoke_key_by_id(None, id, now).await
            } else {
                anyhow::bail!(
                    "expected a key such as tg-… or an id as `tollgate key list` shows it"
                );
            };
            let changed = match revoked {
                Ok(changed) => changed,
                Err(StoreError::NotFound { .. }) => anyhow::bail!("there is no such key"),
                Err(error) => return Err(error.into()),
            };
            let text = if changed { "The key is revoked." } else { "The key was revoked before." };
            output.say(&json!({ "revoked": true, "changed": changed }), text)
        }
    }
}

async fn list(store: &store::Store, user: Option<&str>, output: &Output) -> anyhow::Result<()> {
    let keys = match user {
        Some(name) => store.keys_of(store.user(name).await?.id).await?,
        None => store.all_keys().await?,
    };
    let json = keys
        .iter()
        .map(|key| {
            let mut shown = view(key);
            shown["user"] = key.user.clone().into();
            shown
        })
        .collect();
    let rows = keys
        .iter()
        .map(|key| {
            let state = match (key.revoked_at, key.expires_at) {
                (Some(_), _) => "revoked".to_owned(),
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
