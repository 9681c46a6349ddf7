//! `tollgate import supabase|litellm`: moving in from another gateway. First a look at what would come, then `--apply`.

mod litellm;
mod litellm_config;
mod litellm_keys;
mod litellm_models;
mod litellm_people;
mod prices;
mod report;
mod supabase;
mod supabase_plan;
mod supabase_usage;

use store::{ImportedUser, NewKey, NewUser, Store, StoreError};
use uuid::Uuid;

use super::output::Output;
use crate::clock;
use crate::config::Settings;
use report::Progress;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    #[command(
        about = "From a PostgreSQL database with the tables Users, API_Keys, pricing and api_usage: its keys go on working"
    )]
    Supabase(Box<supabase::Args>),
    #[command(
        about = "From LiteLLM: the models of its config.yaml, and the users, teams and virtual keys of its database"
    )]
    Litellm(Box<litellm::Args>),
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::desk(settings).await?;
    match command {
        Command::Supabase(args) => supabase::run(*args, &store, settings, output).await,
        Command::Litellm(args) => litellm::run(*args, &store, output).await,
    }
}

/// How many users or keys are written in one transaction.
const AT_ONCE: usize = 500;

/// A person who is billed later, as `user add` makes one.
fn person(name: &str) -> ImportedUser {
    ImportedUser { new: account(name, None), budget: None, members: Vec::new() }
}

/// A person, or an organization with its owner.
fn account(name: &str, owner: Option<Uuid>) -> NewUser {
    NewUser {
        id: clock::new_id(),
        account_id: clock::new_id(),
        name: name.to_owned(),
        owner,
        operator: false,
        prepaid: false,
        created_at: clock::now(),
    }
}

async fn write_users(
    store: &Store,
    users: &[ImportedUser],
    progress: &Progress,
) -> Result<(), StoreError> {
    let mut written = 0;
    for some in users.chunks(AT_ONCE) {
        store.import_users(some).await?;
        written += some.len() as u64;
        progress.count("writing users", written);
    }
    Ok(())
}

async fn write_keys(
    store: &Store,
    keys: &[(NewKey, bool)],
    progress: &Progress,
) -> Result<(), StoreError> {
    let mut written = 0;
    for some in keys.chunks(AT_ONCE) {
        store.import_keys(some).await?;
        written += some.len() as u64;
        progress.count("writing keys", written);
    }
    Ok(())
}
