//! `tollgate limit set|list|remove`: how many requests and tokens a minute, and how many requests at once.

use clap::Args;
use serde_json::{Value, json};
use store::{Limit, LimitOwner, Limits, Store};
use uuid::Uuid;

use super::key::per_minute;
use super::output::Output;
use crate::clock;
use crate::config::Settings;
use crate::manage::limits::{self, Named, Refused, parts};

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
        let named = Named {
            key: self.key,
            user: self.user.as_deref(),
            account: self.account.as_deref(),
            model: self.model.as_deref(),
        };
        let (_, catalogue) = super::latest_prices(store).await?;
        limits::owner(store, &catalogue, named).await.map_err(|refused| match refused {
            Refused::Model(why) => anyhow::anyhow!("--model: {why}"),
            refused => refused.into(),
        })
    }
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let limits = limits::all(store).await?;
    let number = |number: Option<i64>| number.map(|n| n.to_string()).unwrap_or_default();
    let rows = limits.iter().map(|limit| {
        let (kind, id, model) = parts(&limit.owner);
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

fn view(limit: &Limit) -> Value {
    let (kind, id, model) = parts(&limit.owner);
    json!({
        "id": limit.id,
        "owner": { "kind": kind, "id": id },
        "model": model,
        "requests_per_minute": limit.limits.requests_per_minute,
        "tokens_per_minute": limit.limits.tokens_per_minute,
        "concurrent_requests": limit.limits.concurrent_requests,
    })
}
