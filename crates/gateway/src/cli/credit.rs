//! `tollgate credit add|correct|show`: what an account has, and how it came to have it.

use anyhow::bail;
use clap::{Args, ValueEnum};
use ledger::Usd;
use serde_json::{Value, json};
use store::{Adjustment, AdjustmentKind, CreditSource, NewCredit, Transaction};
use uuid::Uuid;

use super::output::Output;
use crate::clock;
use crate::config::Settings;
use crate::manage::acts::reason;

/// Transactions shown.
const SHOWN: u16 = 20;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add credit to a user's account
    Add(Add),
    /// Correct an account by a new entry; nothing that stands is ever changed
    Correct(Correct),
    /// Show an account: what is left, and its latest transactions
    Show {
        /// Whose account
        #[arg(long, value_name = "NAME")]
        user: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Whose account
    #[arg(long, value_name = "NAME")]
    user: String,

    /// How much, in dollars, such as 10 or 0.50
    #[arg(long, value_name = "USD", value_parser = dollars)]
    usd: Usd,

    /// A gift: it was not paid for
    #[arg(long)]
    promo: bool,

    /// When what is left of it expires, such as 2027-01-31
    #[arg(long, value_name = "DATE", value_parser = super::key::moment_to_come)]
    expires_at: Option<i64>,

    /// Why, for the books
    #[arg(long, default_value = "", value_parser = reason)]
    reason: String,

    /// The id of this act, so that doing it again does nothing; made up where it is left out
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The customer gets it back as credit
    CreditNote,
    /// The customer owes it, too
    Charge,
    /// It was paid out
    Refund,
}

#[derive(Debug, Args)]
pub(super) struct Correct {
    /// Whose account
    #[arg(long, value_name = "NAME")]
    user: String,

    /// What it is
    #[arg(long, value_enum)]
    kind: Kind,

    /// How much, in dollars
    #[arg(long, value_name = "USD", value_parser = dollars)]
    usd: Usd,

    /// What it corrects: the id of a transaction or of a request
    #[arg(long, value_name = "UUID")]
    corrects: Uuid,

    /// Why, for the books
    #[arg(long, value_parser = reason)]
    reason: String,

    /// The id of this act, so that doing it again does nothing; made up where it is left out
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
}

/// A positive amount.
pub(super) fn dollars(text: &str) -> Result<Usd, String> {
    let amount = Usd::parse(text.trim_start_matches('$')).map_err(|error| error.to_string())?;
    if amount > Usd::ZERO { Ok(amount) } else { Err("expected more than nothing".to_owned()) }
}

/// Who does it, in the books.
const ACTOR: &str = "command line";

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::desk(settings).await?;
    let user = match command {
        Command::Add(Add { user, usd, promo, expires_at, reason, id }) => {
            let new = NewCredit {
                id: id.unwrap_or_else(clock::new_id),
                account_id: store.user(&user).await?.account_id,
                amount: usd,
                source: if promo { CreditSource::Promo } else { CreditSource::Paid },
                expires_at,
                actor: ACTOR.to_owned(),
                reason,
                at: clock::now(),
            };
            let id = new.id;
            store.add_credit(new).await?;
            output.note(format_args!("Transaction {id}: ${usd} for {user}."))?;
            user
        }
        Command::Correct(Correct { user, kind, usd, corrects, reason, id }) => {
            if reason.trim().is_empty() {
                bail!("--reason: expected a few words");
            }
            let taken = Usd::from_pico(usd.pico().saturating_neg());
            let (kind, amount) = match kind {
                Kind::CreditNote => (AdjustmentKind::CreditNote, usd),
                Kind::Charge => (AdjustmentKind::Adjustment, taken),
                Kind::Refund => (AdjustmentKind::Refund, taken),
            };
            let adjustment = Adjustment {
                id: id.unwrap_or_else(clock::new_id),
                account_id: store.user(&user).await?.account_id,
                amount,
                kind,
                corrects: Some(corrects),
                actor: ACTOR.to_owned(),
                reason,
                at: clock::now(),
            };
            let id = adjustment.id;
            store.adjust(adjustment).await?;
            output.note(format_args!("Transaction {id} corrects {corrects}."))?;
            user
        }
        Command::Show { user } => user,
    };
    show(settings, &user, output).await
}

async fn show(settings: &Settings, user: &str, output: &Output) -> anyhow::Result<()> {
    let store = super::books_desk(settings).await?;
    let account = store.user(user).await?.account_id;
    let balance = store.balance(account, clock::now()).await?;
    let transactions = store.transactions(account, None, SHOWN).await?;
    let left = Usd::from_pico(balance.posted.pico().saturating_sub(balance.floor.pico()));
    let json = json!({
        "user": user,
        "account_id": account,
        "prepaid": balance.prepaid,
        "balance": balance.posted.to_string(),
        "held_by_replicas": balance.leased.to_string(),
        "credit_line": Usd::from_pico(balance.floor.pico().saturating_neg()).to_string(),
        "left": balance.prepaid.then(|| left.to_string()),
        "transactions": transactions.iter().map(view).collect::<Vec<_>>(),
    });
    if balance.prepaid {
        output.note(format_args!("{user} has ${left} left.\n"))?;
    } else {
        output.note(format_args!("{user} pays later: the balance is ${}.\n", balance.posted))?;
    }
    let rows = transactions.iter().map(|transaction| {
        let corrects =
            transaction.corrects.map_or_else(String::new, |id| format!("corrects {id} "));
        vec![
            clock::rfc3339(transaction.created_at),
            transaction.id.to_string(),
            transaction.kind.clone(),
            Usd::from_pico(transaction.amount).to_string(),
            format!("{corrects}{}", transaction.reason),
        ]
    });
    let columns =
        [("AT", false), ("TRANSACTION", false), ("KIND", false), ("USD", true), ("WHY", false)];
    output.table(&json, &columns, rows.collect())
}

fn view(transaction: &Transaction) -> Value {
    json!({
        "id": transaction.id,
        "kind": transaction.kind,
        "amount": Usd::from_pico(transaction.amount).to_string(),
        "corrects": transaction.corrects,
        "actor": transaction.actor,
        "reason": transaction.reason,
        "created_at": clock::rfc3339(transaction.created_at),
    })
}
