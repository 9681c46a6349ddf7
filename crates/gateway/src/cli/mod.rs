//! The command line: `tollgate COMMAND`, with `--json` for programs.

pub(crate) mod bill;
mod bill_pdf;
mod budget;
mod credit;
mod demo;
mod doctor;
mod import;
mod key;
mod limit;
mod migrate;
mod model;
mod openapi;
mod org;
mod output;
mod own_key;
mod prices;
mod provider;
mod replica;
mod report;
mod serve;
mod user;
mod verify;
mod verify_acts;
mod verify_bill;
mod verify_seals;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use ledger::Catalogue;
use store::Store;

use crate::config::{Settings, Source};
use crate::telemetry::{self, Lines, Relog};
use output::Output;

/// What a command ends with that cannot say whether something is right, since a newer program has written it.
const CANNOT_JUDGE: u8 = 3;

/// A self-hosted OpenRouter: one API in front of OpenAI, Gemini, Anthropic and DeepSeek, with a bill that can be proved
#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli<C: Subcommand = Command> {
    #[command(subcommand)]
    command: C,

    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

/// What runs for long. It stands apart, so that it needs no room for what is said of all other commands.
#[derive(Debug, Subcommand)]
enum Server {
    /// Serve the API
    Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Server(Server),
    /// Try it: the API with a simulator for all four providers, a user and a key, in a temporary folder
    Demo,
    /// Bring the database up to date and install the price list that comes with the program
    Migrate {
        /// Rehearse it: do everything that is to be done, take it back, and say what it was
        #[arg(long)]
        check: bool,
    },
    /// Check settings, database, prices and credentials
    Doctor,
    /// Users
    #[command(subcommand)]
    User(user::Command),
    /// Organizations, and who belongs to them
    #[command(subcommand)]
    Org(org::Command),
    /// API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Credit of accounts
    #[command(subcommand)]
    Credit(credit::Command),
    /// Budgets of keys, users and accounts
    #[command(subcommand)]
    Budget(budget::Command),
    /// Limits of keys, users, accounts and models: requests and tokens a minute, requests at once
    #[command(subcommand)]
    Limit(limit::Command),
    /// Processes that spend credit, and what they hold
    #[command(subcommand)]
    Replica(replica::Command),
    /// Providers and their credentials
    #[command(subcommand)]
    Provider(provider::Command),
    /// Keys that users and organizations have at providers themselves
    #[command(subcommand)]
    OwnKey(own_key::Command),
    /// Models, and other names for them
    #[command(subcommand)]
    Model(model::Command),
    /// Price versions
    #[command(subcommand)]
    Prices(prices::Command),
    /// Move in from another gateway
    #[command(subcommand)]
    Import(import::Command),
    /// What was used, by day, model or key
    Usage(report::UsageArgs),
    /// A user's bill: as a table, or as a file that can be checked with `verify-bill`
    Bill(bill::BillArgs),
    /// Work every receipt out again and compare, and check that each is where it was sealed, and everything that people have
    /// written as they have written it
    Verify(verify_acts::VerifyArgs),
    /// Print the description of the API, as /openapi.json gives it
    Openapi(openapi::OpenapiArgs),
    /// Work a bill out again from its file alone; needs no database
    VerifyBill(verify_bill::VerifyBillArgs),
}

/// What these arguments may say.
pub(crate) fn described(arguments: &[OsString]) -> clap::Command {
    if arguments.get(1).is_some_and(|name| name == "serve") {
        Cli::<Server>::command()
    } else {
        <Cli>::command()
    }
}

/// Runs the command line.
pub fn run() -> ExitCode {
    // Books, journals, keys and recordings are nobody else's from the moment they are made, whatever the shell says.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let outcome = Source::load().and_then(|source| {
        let cli = <Cli>::from_arg_matches(&source.matches()).unwrap_or_else(|wrong| wrong.exit());
        let (lines, _written, relog) = telemetry::start(&cli.settings)?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.enable_all().build()?.block_on(dispatch(cli, lines, (source, relog)))
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli, lines: Lines, again: (Source, Relog)) -> anyhow::Result<ExitCode> {
    let Cli { command, json, settings } = cli;
    let output = Output::new(json);
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Server(Server::Serve) => {
            Box::pin(serve::run(settings, lines, again, &output)).await.map(done)
        }
        Command::Demo => Box::pin(demo::run(settings, lines, &output)).await.map(done),
        Command::Migrate { check: true } => migrate::rehearse(&settings, &output).await.map(done),
        Command::Migrate { check: false } => migrate::run(&settings, &output).await.map(done),
        Command::Openapi(args) => openapi::run(&args, &settings, &output).map(done),
        Command::Doctor => doctor::run(&settings, &again.0, &output).await,
        Command::User(command) => user::run(command, &settings, &output).await.map(done),
        Command::Org(command) => org::run(command, &settings, &output).await.map(done),
        Command::Key(command) => key::run(command, &settings, &output).await.map(done),
        Command::Credit(command) => credit::run(command, &settings, &output).await.map(done),
        Command::Budget(command) => budget::run(command, &settings, &output).await.map(done),
        Command::Limit(command) => limit::run(command, &settings, &output).await.map(done),
        Command::Replica(command) => replica::run(command, &settings, &output).await.map(done),
        Command::Provider(command) => provider::run(command, &settings, &output).await,
        Command::OwnKey(command) => own_key::run(command, &settings, &output).await,
        Command::Model(command) => model::run(command, &settings, &output).await.map(done),
        Command::Prices(command) => prices::run(command, &settings, &output).await.map(done),
        Command::Import(command) => {
            Box::pin(import::run(command, &settings, &output)).await.map(done)
        }
        Command::Usage(args) => report::usage(args, &settings, &output).await.map(done),
        Command::Bill(args) => bill::run(args, &settings, &output).await.map(done),
        Command::Verify(args) => Box::pin(verify::run(&args, &settings, &output)).await,
        Command::VerifyBill(args) => verify_bill::run(&args, &output),
    }
}

/// Connections that read at the same time.
pub(crate) const READERS: u32 = 4;

/// Opens the store of the settings, up to date and with a price list. What is written is signed, where there is a key.
async fn open(settings: &Settings) -> anyhow::Result<Store> {
    let store = Store::open(&settings.database_url, READERS).await?;
    let signer = crate::journal::known_signer(&settings.data_dir)?;
    prepare(signer.map_or_else(|| store.clone(), |signer| store.signing(signer))).await
}

/// The same, for somebody who writes: a key that is missing is made.
pub(crate) async fn open_to_write(settings: &Settings) -> anyhow::Result<Store> {
    let store = Store::open(&settings.database_url, READERS).await?;
    sign_and_prepare(store, settings).await
}

/// The same, for a server.
pub(crate) async fn open_to_serve(settings: &Settings) -> anyhow::Result<Store> {
    let store = Store::open(&settings.database_url, READERS).await?;
    if !store.pending().await?.is_empty() {
        migrate::apart(settings).await?;
    }
    sign_and_prepare(store, settings).await
}

async fn sign_and_prepare(store: Store, settings: &Settings) -> anyhow::Result<Store> {
    prepare(store.signing(crate::journal::act_signer(&settings.data_dir)?)).await
}

async fn prepare(store: Store) -> anyhow::Result<Store> {
    store.migrate(crate::clock::now()).await?;
    crate::catalogue::install_shipped(&store).await?;
    Ok(store)
}

/// The same, for somebody who changes things from the command line.
async fn desk(settings: &Settings) -> anyhow::Result<Store> {
    let (name, at) = ("the command line".to_owned(), crate::clock::now());
    Ok(open_to_write(settings).await?.by(store::Actor { id: None, name, via: "cli", at }))
}

/// The same, with every receipt that is in the journal of the settings.
async fn books(settings: &Settings) -> anyhow::Result<Store> {
    let store = open(settings).await?;
    crate::journal::catch_up(&settings.data_dir, &store, None).await?;
    Ok(store)
}

/// The same, for somebody who changes things.
async fn books_desk(settings: &Settings) -> anyhow::Result<Store> {
    let store = desk(settings).await?;
    crate::journal::catch_up(&settings.data_dir, &store, None).await?;
    Ok(store)
}

/// The price version in force, and its prices.
async fn latest_prices(store: &Store) -> anyhow::Result<(i64, Catalogue)> {
    let version = store.latest_price_version().await?.context("there is no price version")?.id;
    Ok((version, store.catalogue(version).await?))
}

#[cfg(test)]
mod tests {
    use super::described;

    /// What `tollgate ARGS` says before it does anything.
    fn said(words: &[&str]) -> String {
        let command = described(&words.iter().map(Into::into).collect::<Vec<_>>());
        let told = command.try_get_matches_from(words).map(drop);
        told.map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
    }

    #[test]
    fn a_server_is_described_as_among_all_commands() {
        for words in [&["--help"][..], &["--prot", "3001"], &["now"], &["--port", "x"], &["--json"]]
        {
            let alone = said(&[&["tollgate", "serve"], words].concat());
            // Not the first word, so that all commands are known.
            let among = said(&[&["tollgate", "--json", "serve"], words].concat());
            assert_eq!(alone, among, "{words:?}");
        }
    }
}
