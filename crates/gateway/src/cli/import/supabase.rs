//! `tollgate import supabase`: users, plain-text keys, prices and usage of a database that an earlier gateway has left.

use std::collections::BTreeMap;

use anyhow::Context as _;
use store::{Column, Foreign, Store, Wanted};

use super::report::{Progress, Report};
use super::supabase_plan::{self, Plan};
use super::supabase_usage::Sums;
use super::{prices, write_keys, write_users};
use crate::cli::output::Output;
use crate::clock;
use crate::config::Settings;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The database to read, which is not changed: session, direct or pooler on port 6543
    #[arg(long, value_name = "URL")]
    from: String,

    /// Do it; without this it is only said what would be done
    #[arg(long)]
    apply: bool,

    /// The schema of its tables
    #[arg(long, default_value = "public", value_name = "NAME")]
    schema: String,

    /// Under which name its usage is recorded: another database needs another name
    #[arg(long, default_value = "supabase", value_name = "NAME", value_parser = source)]
    source: String,

    /// Which prices come
    #[arg(long, value_enum, default_value_t = prices::Mode::Missing)]
    prices: prices::Mode,

    /// Give a user another name here, such as "Ada Lovelace=ada"; may be given more than once
    #[arg(long = "rename", value_name = "OLD=NEW", value_parser = renaming)]
    renames: Vec<(String, String)>,
}

fn source(text: &str) -> Result<String, String> {
    crate::manage::people::name(text)
}

fn renaming(text: &str) -> Result<(String, String), String> {
    let (old, new) = text.rsplit_once('=').ok_or("expected such as \"Ada Lovelace=ada\"")?;
    Ok((old.to_owned(), crate::manage::people::name(new)?))
}

const USERS: Wanted = Wanted { table: "Users", columns: &[Column::of("User_name")] };
const KEYS: Wanted =
    Wanted { table: "API_Keys", columns: &[Column::of("API_key"), Column::of("User_name")] };
const PRICING: Wanted = Wanted {
    table: "pricing",
    columns: &[Column::of("provider"), Column::of("model"), Column::of("price_per_token")],
};
const USAGE: Wanted = Wanted {
    table: "api_usage",
    columns: &[
        Column::of("api_key"),
        Column::of("provider"),
        Column::of("model"),
        Column::of("input_tokens"),
        Column::of("output_tokens"),
        Column::of("total_tokens"),
        Column::of("price"),
    ],
};

/// Everything that was read. Keys are whole here: nothing of this is printed.
#[derive(Default)]
pub(super) struct Source {
    pub(super) users: Vec<Option<String>>,
    /// The key and its user.
    pub(super) keys: Vec<(Option<String>, Option<String>)>,
    /// Provider, model and price.
    pub(super) prices: Vec<[Option<String>; 3]>,
    /// By key, provider and model.
    pub(super) usage: BTreeMap<(String, String, String), Sums>,
}

pub(super) async fn run(
    args: Args,
    store: &Store,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let progress = Progress::new();
    let mut report = Report::default();
    report.order(&["Users", "API_Keys", "prices", "api_usage"]);
    let read = read(&args, &progress, &mut report).await;
    progress.done();
    let mut source = read?;
    rename(&mut source, &args.renames);
    let plan = Plan::of(source, store, (args.prices, &args.source), &mut report).await?;
    if args.apply {
        let applied = apply(&plan, store, settings, (&args.source, &progress)).await;
        progress.done();
        applied?;
    }
    report.print(args.apply, output)
}

async fn read(args: &Args, progress: &Progress, report: &mut Report) -> anyhow::Result<Source> {
    let mut from = Foreign::open(&args.from, &args.schema).await.context("--from")?;
    // All of them first: what is missing is said before anything is read.
    let [users, keys, pricing, usage] =
        [from.find(&USERS)?, from.find(&KEYS)?, from.find(&PRICING)?, from.find(&USAGE)?];
    let mut source = Source::default();
    let told = |what: &'static str| move |rows| progress.count(what, rows);
    let one = |row: Vec<Option<String>>, place: usize| row.into_iter().nth(place).flatten();
    from.each(&users, |row| source.users.push(one(row, 0)), told("reading users")).await?;
    let look = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter();
        source.keys.push((cells.next().flatten(), cells.next().flatten()));
    };
    from.each(&keys, look, told("reading keys")).await?;
    let look = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter();
        source.prices.push(std::array::from_fn(|_| cells.next().flatten()));
    };
    from.each(&pricing, look, told("reading prices")).await?;
    let look =
        |row: Vec<Option<String>>| super::supabase_usage::add(&mut source.usage, row, report);
    from.each(&usage, look, told("reading usage")).await?;
    from.close().await?;
    Ok(source)
}

fn rename(source: &mut Source, renames: &[(String, String)]) {
    let names = source.users.iter_mut().chain(source.keys.iter_mut().map(|(_, user)| user));
    for name in names.flatten() {
        if let Some((_, new)) = renames.iter().find(|(old, _)| old == name) {
            name.clone_from(new);
        }
    }
}

async fn apply(
    plan: &Plan,
    store: &Store,
    settings: &Settings,
    (source, progress): (&str, &Progress),
) -> anyhow::Result<()> {
    write_users(store, &plan.users, progress).await?;
    write_keys(store, &plan.keys, progress).await?;
    prices::write(store, (plan.version, &plan.catalogue), &plan.prices, source).await?;
    progress.count("writing usage", plan.usage.len() as u64);
    store.import_usage(source, &plan.usage, settings.commission_bps, clock::now()).await?;
    Ok(())
}

/// What usage is said to be, wherever it comes from.
pub(super) const HISTORY: &str = "Usage comes as sums without times: it counts in GET /api/usage/check, `tollgate usage` and the console's overview, and is no part of bills, balances, budgets and `tollgate verify`.";

impl Plan {
    async fn of(
        source: Source,
        store: &Store,
        (mode, label): (prices::Mode, &str),
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        let plan = supabase_plan::plan(source, store, (mode, label), report).await?;
        if !plan.usage.is_empty() {
            report.note(HISTORY);
        }
        Ok(plan)
    }
}
