//! `tollgate own-key set|list|change|remove|check`

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use store::{OwnKey, Store};

use super::output::Output;
use super::provider::ask;
use crate::clock;
use crate::config::Settings;
use crate::credentials::{self, Checked};
use crate::manage::own_keys::{self, Brought};
use crate::problem::Problem;
use crate::providers::Providers;
use crate::upstream::Upstream;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Seal a key that a user or an organization has at a provider; it is asked for, or read from standard input
    Set {
        #[command(flatten)]
        whose: Whose,

        /// What to call it
        #[arg(long, default_value = "")]
        name: String,

        /// When it fails, the request fails: the house's credential never takes its place
        #[arg(long)]
        always: bool,
    },
    /// List own keys, of which only their ends are known
    List {
        /// Only those of this user or organization
        user: Option<String>,
    },
    /// Say what happens when an own key fails
    Change {
        #[command(flatten)]
        whose: Whose,

        /// Whether the request fails then; otherwise the house's credential takes its place
        #[arg(long, action = clap::ArgAction::Set)]
        always: bool,
    },
    /// Remove an own key
    Remove(Whose),
    /// Try an own key at the provider's list of models, which costs nothing
    Check(Whose),
}

#[derive(Debug, Args)]
pub(super) struct Whose {
    /// The user or organization
    user: String,

    /// The provider
    provider: String,
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = super::desk(settings).await?;
    let providers = credentials::providers(settings, &store).await?;
    let provider = |whose: &Whose| own_keys::find(&providers, &whose.provider).map_err(plain);
    match command {
        Command::Set { whose, name, always } => {
            let provider = provider(&whose)?;
            let account = store.user(&whose.user).await?.account_id;
            anyhow::ensure!(
                providers.master_keys.first().is_some(),
                super::provider::NO_MASTER_KEY
            );
            let secret = ask(&format!("{} at {provider}", whose.user))?;
            let brought = Brought { provider, name, secret, always };
            let key = own_keys::set(&store, &providers, account, brought).await?;
            let text =
                format!("The key of {} at {} is sealed and in force.", whose.user, key.provider);
            output.say(&view(&whose.user, &key), text)?;
        }
        Command::List { user } => list(&store, user, output).await?,
        Command::Change { whose, always } => {
            let provider = provider(&whose)?;
            let account = store.user(&whose.user).await?.account_id;
            store.change_own_key((account, &provider), always).await?;
            let then = if always { "the request fails" } else { "the house's credential is used" };
            let json = json!({ "user": whose.user, "provider": provider, "always": always });
            output.say(&json, format_args!("Where that key fails, {then}."))?;
        }
        Command::Remove(whose) => {
            let provider = provider(&whose)?;
            let account = store.user(&whose.user).await?.account_id;
            store.remove_own_key((account, &provider), clock::now()).await?;
            let json = json!({ "user": whose.user, "provider": provider, "removed": true });
            output.say(&json, format_args!("The key of {} at {provider} is gone.", whose.user))?;
        }
        Command::Check(whose) => {
            let provider = provider(&whose)?;
            let account = store.user(&whose.user).await?.account_id;
            return check(&providers, &whose.user, (account, &provider), output).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn plain(problem: Problem) -> anyhow::Error {
    anyhow::Error::msg(problem.message)
}

async fn check(
    providers: &Providers,
    user: &str,
    (account, provider): (uuid::Uuid, &str),
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let own = providers.own(account, provider);
    let own = own.ok_or_else(|| anyhow::anyhow!("{user} has no key at {provider}"))?;
    let checked = credentials::check(&Upstream::new(true)?, &own).await;
    let (word, why) = checked.told();
    let json = json!({ "user": user, "provider": provider, "result": word, "detail": why });
    output.say(&json, format_args!("{word}: {why}"))?;
    let works = matches!(checked, Checked::Works);
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn view(user: &str, key: &OwnKey) -> Value {
    json!({
        "user": user, "id": key.id, "provider": key.provider, "name": key.name, "last4": key.last4,
        "always": key.always, "since": clock::rfc3339(key.created_at), "by": key.created_by,
        "master_key": key.key_id,
    })
}

async fn list(store: &Store, user: Option<String>, output: &Output) -> anyhow::Result<()> {
    let users = match user {
        Some(name) => vec![store.user(&name).await?],
        None => store.users().await?,
    };
    let keys = store.own_keys().await?;
    let of = |key: &OwnKey| users.iter().find(|user| user.account_id == key.account_id);
    let found: Vec<(&str, &OwnKey)> =
        keys.iter().filter_map(|key| Some((of(key)?.name.as_str(), key))).collect();
    let json = found.iter().map(|(user, key)| view(user, key)).collect();
    let row = |(user, key): &(&str, &OwnKey)| {
        let otherwise = if key.always { "fails" } else { "the house's" };
        vec![
            (*user).to_owned(),
            key.provider.clone(),
            format!("…{}", key.last4),
            otherwise.to_owned(),
            clock::rfc3339(key.created_at),
            key.created_by.clone(),
        ]
    };
    let columns = [
        ("USER", false),
        ("PROVIDER", false),
        ("KEY", false),
        ("WHERE IT FAILS", false),
        ("SINCE", false),
        ("BY", false),
    ];
    output.table(&json, &columns, found.iter().map(row).collect())
}
