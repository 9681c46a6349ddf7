//! `tollgate budget set|list|remove`: the most that a key, a user or an account may spend in a period.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use ledger::{BudgetPeriod, Usd};
use serde_json::{Value, json};
use store::{Budget, BudgetOwner, NewBudget, Store};
use uuid::Uuid;

use super::credit::dollars;
use super::output::Output;
use crate::clock;
use crate::config::Settings;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Set a budget; another of the same owner and period is replaced
    Set(Set),
    /// List budgets, with what is spent of each in its present period
    List,
    /// Take a budget away
    Remove {
        /// Its id, as `tollgate budget list` shows it
        id: Uuid,
    },
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Period {
    Day,
    Week,
    Month,
    Total,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("owner").required(true).args(["key", "user", "account"]))]
pub(super) struct Set {
    /// The key whose budget it is, by its id
    #[arg(long, value_name = "UUID")]
    key: Option<Uuid>,

    /// The user whose keys share it
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// The user whose account it limits, whoever spends from it
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// How often it begins anew: at midnight, on Mondays, on the first of the month (UTC), or never
    #[arg(long, value_enum)]
    period: Period,

    /// How much, in dollars
    #[arg(long, value_name = "USD", value_parser = dollars)]
    usd: Usd,
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::books_desk(settings).await?;
    match command {
        Command::Set(Set { key, user, account, period, usd }) => {
            let owner = match (key, user, account) {
                (Some(key), ..) => {
                    let known = store.all_keys().await?.iter().any(|known| known.id == key);
                    if !known {
                        bail!("--key: there is no key {key}; `tollgate key list` shows their ids");
                    }
                    BudgetOwner::Key(key)
                }
                (_, Some(user), _) => BudgetOwner::User(store.user(&user).await?.id),
                (_, _, Some(account)) => {
                    BudgetOwner::Account(store.user(&account).await?.account_id)
                }
                _ => bail!("expected one of --key, --user and --account"),
            };
            let period = match period {
                Period::Day => BudgetPeriod::Day,
                Period::Week => BudgetPeriod::Week,
                Period::Month => BudgetPeriod::Month,
                Period::Total => BudgetPeriod::Total,
            };
            let (id, at) = (clock::new_id(), clock::now());
            store.set_budget(NewBudget { id, owner, period, limit: usd, at }).await?;
            let budgets = store.budgets(clock::now()).await?;
            let set = budgets.iter().find(|known| known.owner == owner && known.period == period);
            let set = set.context("the budget is gone again")?;
            output
                .say(&view(set), format_args!("Budget {} set: ${usd} ({}).", set.id, period.name()))
        }
        Command::List => list(&store, output).await,
        Command::Remove { id } => {
            store.remove_budget(id, clock::now()).await?;
            output.say(&json!({ "removed": true }), "The budget is gone.")
        }
    }
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let budgets = store.budgets(clock::now()).await?;
    let rows = budgets.iter().map(|budget| {
        let (kind, owner) = owner(budget.owner);
        let renews = budget.period.end(clock::now());
        vec![
            budget.id.to_string(),
            format!("{kind} {owner}"),
            budget.period.name().to_owned(),
            budget.limit.to_string(),
            budget.used.to_string(),
            budget.leased.to_string(),
            renews.map_or_else(|| "never".to_owned(), clock::rfc3339),
        ]
    });
    let columns = [
        ("ID", false),
        ("OWNER", false),
        ("PERIOD", false),
        ("LIMIT USD", true),
        ("SPENT", true),
        ("HELD", true),
        ("RENEWS", false),
    ];
    output.table(&budgets.iter().map(view).collect(), &columns, rows.collect())?;
    if budgets.is_empty() {
        output.note("No budgets yet: `tollgate budget set` makes one.")?;
    }
    Ok(())
}

fn owner(owner: BudgetOwner) -> (&'static str, Uuid) {
    match owner {
        BudgetOwner::Key(id) => ("key", id),
        BudgetOwner::User(id) => ("user", id),
        BudgetOwner::Account(id) => ("account", id),
    }
}

fn view(budget: &Budget) -> Value {
    let (kind, id) = owner(budget.owner);
    json!({
        "id": budget.id,
        "owner": { "kind": kind, "id": id },
        "period": budget.period.name(),
        "limit": budget.limit.to_string(),
        "spent": budget.used.to_string(),
        "held": budget.leased.to_string(),
        "renews_at": budget.period.end(clock::now()).map(clock::rfc3339),
    })
}
