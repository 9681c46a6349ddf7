//! `tollgate model alias add|list|remove`

use clap::Args;
use serde_json::json;
use store::{ModelAlias, Store};

use super::output::Output;
use crate::clock;
use crate::config::Settings;
use crate::manage::aliases;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Other names for models
    #[command(subcommand)]
    Alias(AliasCommand),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum AliasCommand {
    /// Give a model another name, by which programs may ask for it
    Add(Add),
    /// List the other names
    List,
    /// Take a name away
    Remove {
        /// The name
        alias: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The name, such as fast
    #[arg(value_parser = aliases::name)]
    alias: String,

    /// The model, such as openai/gpt-4o-mini
    #[arg(value_name = "PROVIDER/MODEL")]
    model: String,

    /// It works, but is in no list of models
    #[arg(long)]
    hidden: bool,
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::desk(settings).await?;
    let Command::Alias(command) = command;
    match command {
        AliasCommand::Add(Add { alias, model, hidden }) => {
            let version = store.latest_price_version().await?;
            let version = version.ok_or_else(|| anyhow::anyhow!("there is no price version"))?.id;
            let catalogue = store.catalogue(version).await?;
            let model_id = aliases::model(&catalogue, &model).map_err(anyhow::Error::msg)?;
            aliases::check(&catalogue, &alias).map_err(anyhow::Error::msg)?;
            let json = json!({ "alias": alias, "model": model_id, "hidden": hidden });
            let text = format!("{alias} is {model_id}.");
            let new = ModelAlias { alias, model_id, hidden, created_at: clock::now() };
            store.set_aliases(&[new]).await?;
            output.say(&json, text)
        }
        AliasCommand::List => list(&store, output).await,
        AliasCommand::Remove { alias } => {
            store.remove_alias(&alias).await?;
            output
                .say(&json!({ "alias": alias, "removed": true }), format_args!("{alias} is gone."))
        }
    }
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let found = store.aliases().await?;
    let json = found
        .iter()
        .map(|alias| {
            json!({
                "alias": alias.alias, "model": alias.model_id, "hidden": alias.hidden,
                "created_at": clock::rfc3339(alias.created_at),
            })
        })
        .collect();
    let rows = found
        .iter()
        .map(|alias| {
            let listed = if alias.hidden { "no" } else { "yes" };
            let created = clock::rfc3339(alias.created_at);
            vec![alias.alias.clone(), alias.model_id.clone(), listed.to_owned(), created]
        })
        .collect();
    let columns = [("ALIAS", false), ("MODEL", false), ("LISTED", false), ("CREATED", false)];
    output.table(&json, &columns, rows)
}
