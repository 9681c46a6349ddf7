//! `tollgate model alias add|list|remove`, `tollgate model hide|unhide|hidden`

use clap::Args;
use serde_json::json;
use store::{HiddenModel, ModelAlias, Store};

use super::output::Output;
use crate::clock;
use crate::config::Settings;
use crate::manage::aliases;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Other names for models
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Hide a model: to clients it does not exist, under any name
    Hide {
        /// The model, such as openai/gpt-4o-mini
        #[arg(value_name = "PROVIDER/MODEL")]
        model: String,
    },
    /// Show a hidden model again
    Unhide {
        /// The model
        #[arg(value_name = "PROVIDER/MODEL")]
        model: String,
    },
    /// List the hidden models
    Hidden,
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
    match command {
        Command::Alias(command) => alias(command, &store, output).await,
        Command::Hide { model } => {
            let (_, catalogue) = super::latest_prices(&store).await?;
            let model = aliases::model(&catalogue, &model).map_err(anyhow::Error::msg)?;
            store.hide_model(&model, clock::now()).await?;
            let json = json!({ "model": model, "hidden": true });
            output.say(&json, format_args!("{model} is hidden."))
        }
        Command::Unhide { model } => {
            // One that the price list has lost may still be named.
            let (_, catalogue) = super::latest_prices(&store).await?;
            let known = aliases::model(&catalogue, &model).unwrap_or(model);
            store.unhide_model(&known).await?;
            let json = json!({ "model": known, "hidden": false });
            output.say(&json, format_args!("{known} is shown again."))
        }
        Command::Hidden => hidden(&store, output).await,
    }
}

async fn hidden(store: &Store, output: &Output) -> anyhow::Result<()> {
    let found = store.hidden_models().await?;
    let moment = |model: &HiddenModel| clock::rfc3339(model.created_at);
    let json = found
        .iter()
        .map(|model| json!({ "model": model.model_id, "since": moment(model) }))
        .collect();
    let rows = found.iter().map(|model| vec![model.model_id.clone(), moment(model)]).collect();
    output.table(&json, &[("MODEL", false), ("SINCE", false)], rows)
}

async fn alias(command: AliasCommand, store: &Store, output: &Output) -> anyhow::Result<()> {
    match command {
        AliasCommand::Add(Add { alias, model, hidden }) => {
            let (_, catalogue) = super::latest_prices(store).await?;
            let model_id = aliases::model(&catalogue, &model).map_err(anyhow::Error::msg)?;
            aliases::check(&catalogue, &alias).map_err(anyhow::Error::msg)?;
            let json = json!({ "alias": alias, "model": model_id, "hidden": hidden });
            let text = format!("{alias} is {model_id}.");
            let new = ModelAlias { alias, model_id, hidden, created_at: clock::now() };
            store.set_aliases(&[new]).await?;
            output.say(&json, text)
        }
        AliasCommand::List => list(store, output).await,
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
