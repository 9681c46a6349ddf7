//! `tollgate limit set|list|remove`: how many requests and tokens a minute, and how many requests at once.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};
use store::{Limit, LimitOwner, Limits, Store};
use uuid::Uuid;

use super::key::per_minute;
use super::output::Output;
use crate::clock;
use crate::config::Settings;
use crate::manage::keys;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Set limits; others of the same owner are replaced, and what is not named is not limited
    Set(Set),
    /// List limits
    List,
    /// Take limits away
    Remove {
        /// Their id, as `tollgate limit list` shows it
        id: Uuid,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("owner").required(true).multiple(true).args(["key", "user", "account", "model"]))]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true).args(["requests_per_minute", "tokens_per_minute", "concurrent_requests"]))]
pub(super) struct Set {
    /// The key that is limited, by its id
    #[arg(long, value_name = "UUID", conflicts_with_all = ["user", "account", "model"])]
    key: Option<Uuid>,

    /// The user whose keys share them
    #[arg(long, value_name = "NAME", conflicts_with_all = ["account", "model"])]
    user: Option<String>,

    /// The user or organization whose account is limited, whoever spends from it
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// The model that is limited: for that account, or for each account that has no limits of its own for it
    #[arg(long, value_name = "PROVIDER/MODEL")]
    model: Option<String>,

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

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::desk(settings).await?;
    match command {
        Command::Set(set) => {
            let owner = set.owner(&store).await?;
            let limits = Limits {
                requests_per_minute: set.requests_per_minute,
                tokens_per_minute: set.tokens_per_minute,
                concurrent_requests: set.concurrent_requests,
            };
            let limit = Limit { id: clock::new_id(), owner, limits };
            let mut shown = view(&limit);
            let id = store.set_limit(limit, clock::now()).await?;
            shown["id"] = id.to_string().into();
            output.say(&shown, format_args!("Limits {id} set."))
        }
        Command::List => list(&store, output).await,
        Command::Remove { id } => {
            store.remove_limit(id, clock::now()).await?;
            output.say(&json!({ "removed": true }), "The limits are gone.")
        }
    }
}

impl Set {
    async fn owner(&self, store: &Store) -> anyhow::Result<LimitOwner> {
        let account = match &self.account {
            Some(name) => Some(store.user(name).await?.account_id),
            None => None,
        };
        Ok(match (self.key, &self.user, account, &self.model) {
            (Some(key), ..) => LimitOwner::Key(key),
            (_, Some(user), ..) => LimitOwner::User(store.user(user).await?.id),
            (.., account, Some(model)) => LimitOwner::Model(account, known(store, model).await?),
            (.., Some(account), None) => LimitOwner::Account(account),
            _ => bail!("expected one of --key, --user, --account and --model"),
        })
    }
}

/// A model as limits name it.
async fn known(store: &Store, model: &str) -> anyhow::Result<String> {
    let (_, catalogue) = super::latest_prices(store).await?;
    let models = keys::models(&catalogue, &[model.to_owned()]);
    let models = models.map_err(|why| anyhow::anyhow!("--model: {why}"))?;
    models.into_iter().next().context("--model: expected one")
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let keys = store.all_keys().await?.into_iter().filter(|key| key.revoked_at.is_none());
    let of_keys = keys.map(|key| Limit {
        id: key.id,
        owner: LimitOwner::Key(key.id),
        limits: Limits {
            requests_per_minute: key.requests_per_minute,
            tokens_per_minute: key.tokens_per_minute,
            concurrent_requests: key.concurrent_requests,
        },
    });
    let of_keys = of_keys.filter(|limit| limit.limits != Limits::default());
    let limits: Vec<Limit> = store.limits().await?.into_iter().chain(of_keys).collect();
    let number = |number: Option<i64>| number.map(|n| n.to_string()).unwrap_or_default();
    let rows = limits.iter().map(|limit| {
        let (kind, id, model) = owner(&limit.owner);
        let id = id.map_or_else(|| "each".to_owned(), |id| id.to_string());
        let Limits { requests_per_minute, tokens_per_minute, concurrent_requests } = limit.limits;
        vec![
            limit.id.to_string(),
            format!("{kind} {id}"),
            model.unwrap_or_default().to_owned(),
            number(requests_per_minute),
            number(tokens_per_minute),
            number(concurrent_requests),
        ]
    });
    let columns = [
        ("ID", false),
        ("OWNER", false),
        ("MODEL", false),
        ("REQUESTS/MIN", true),
        ("TOKENS/MIN", true),
        ("AT ONCE", true),
    ];
    output.table(&limits.iter().map(view).collect(), &columns, rows.collect())?;
    if limits.is_empty() {
        output.note("No limits yet: `tollgate limit set` makes some.")?;
    }
    Ok(())
}

/// Kind, id and model; each account where there is no id.
fn owner(owner: &LimitOwner) -> (&'static str, Option<Uuid>, Option<&str>) {
    match owner {
        LimitOwner::Key(id) => ("key", Some(*id), None),
        LimitOwner::User(id) => ("user", Some(*id), None),
        LimitOwner::Account(id) => ("account", Some(*id), None),
        LimitOwner::Model(id, model) => ("account", *id, Some(model)),
    }
}

fn view(limit: &Limit) -> Value {
    let (kind, id, model) = owner(&limit.owner);
    json!({
        "id": limit.id,
        "owner": { "kind": kind, "id": id },
        "model": model,
        "requests_per_minute": limit.limits.requests_per_minute,
        "tokens_per_minute": limit.limits.tokens_per_minute,
        "concurrent_requests": limit.limits.concurrent_requests,
    })
}
