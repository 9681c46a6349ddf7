//! The command line: `tollgate COMMAND`, with `--json` for programs.

mod demo;
mod doctor;
mod key;
mod output;
mod prices;
mod report;
mod serve;
mod user;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use store::Store;

use crate::config::{self, Settings};
use crate::telemetry;
use output::Output;

/// A self-hosted OpenRouter: one API in front of OpenAI, Gemini, Anthropic and DeepSeek, with a bill that can be proved
#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API
    Serve,
    /// Try it: the API with a simulator for all four providers, a user and a key, in a temporary folder
    Demo,
    /// Bring the database up to date and install the price list that comes with the program
    Migrate,
    /// Check settings, database, prices and credentials
    Doctor,
    /// Users
    #[command(subcommand)]
    User(user::Command),
    /// API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Price versions
    #[command(subcommand)]
    Prices(prices::Command),
    /// What was used, by day, model or key
    Usage(report::UsageArgs),
    /// A user's bill
    Bill(report::BillArgs),
    /// Work every receipt out again and compare
    Verify,
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let outcome = config::load_dotenv().and_then(|()| {
        let cli = Cli::parse();
        telemetry::start(&cli.settings)?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.enable_all().build()?.block_on(dispatch(cli))
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { command, json, settings } = cli;
    let output = Output::new(json);
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Serve => serve::run(settings, &output).await.map(done),
        Command::Demo => Box::pin(demo::run(settings, &output)).await.map(done),
        Command::Migrate => migrate(&settings, &output).await.map(done),
        Command::Doctor => doctor::run(&settings, &output).await,
        Command::User(command) => user::run(command, &settings, &output).await.map(done),
        Command::Key(command) => key::run(command, &settings, &output).await.map(done),
        Command::Prices(command) => prices::run(command, &settings, &output).await.map(done),
        Command::Usage(args) => report::usage(args, &settings, &output).await.map(done),
        Command::Bill(args) => report::bill(args, &settings, &output).await.map(done),
        Command::Verify => verify::run(&settings, &output).await,
    }
}

/// Connections that read at the same time.
pub(crate) const READERS: u32 = 4;

/// Opens the store of the settings, up to date and with a price list.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Store> {
    let store = Store::open(&settings.database_url, READERS).await?;
    store.migrate(crate::clock::now()).await?;
    crate::catalogue::install_shipped(&store).await?;
    Ok(store)
}

/// The same, with every receipt that is in the journal of the settings.
async fn books(settings: &Settings) -> anyhow::Result<Store> {
    let store = open(settings).await?;
    crate::journal::catch_up(&settings.data_dir, &store).await?;
    Ok(store)
}

async fn migrate(settings: &Settings, output: &Output) -> anyhow::Result<()> {
    let store = open(settings).await?;
    let version = store.latest_price_version().await?.map(|version| version.id);
    let engine = store.engine_name();
    output.say(
        &serde_json::json!({ "engine": engine, "price_version": version }),
        format_args!("The database ({engine}) is up to date."),
    )
}
