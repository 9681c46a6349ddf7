//! `tollgate user add|list`

use clap::{Args, ValueEnum};
use ledger::Usd;
use serde_json::json;
use store::{NewUser, User};

use super::output::Output;
use crate::clock;
use crate::config::Settings;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a user, with an account of the same name
    Add(Add),
    /// List all users
    List,
    /// Change how a user pays
    Set {
        /// The user
        name: String,

        /// Only with credit that is there, or by a bill afterwards
        #[arg(long, value_enum)]
        pays: Pays,
    },
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Pays {
    First,
    Later,
}

const fn pays(prepaid: bool) -> &'static str {
    if prepaid { "first" } else { "later" }
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The name, as the header `user` will give it
    #[arg(value_parser = user_name)]
    name: String,

    /// This user runs the place
    #[arg(long)]
    operator: bool,

    /// This user's account spends only what was put into it; otherwise it is billed later
    #[arg(long)]
    prepaid: bool,
}

/// A name that survives a header, a shell and a file name.
pub(crate) fn user_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
    if text.is_empty() || text.len() > 100 || !text.chars().all(plain) {
        return Err("expected 1 to 100 letters, digits and . _ - @ +".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::desk(settings).await?;
    match command {
        Command::Add(Add { name, operator, prepaid }) => {
            let new = NewUser {
                id: clock::new_id(),
                account_id: clock::new_id(),
                name,
                owner: None,
                operator,
                prepaid,
                created_at: clock::now(),
            };
            let user = store.add_user(new).await?;
            output.say(&view(&user), format_args!("User {} added.", user.name))
        }
        Command::List => {
            let users = store.users().await?;
            let json = users.iter().map(view).collect();
            let rows = users
                .iter()
                .map(|user| {
                    vec![
                        user.name.clone(),
                        if user.operator { "operator" } else { "customer" }.to_owned(),
                        pays(user.prepaid).to_owned(),
                        clock::rfc3339(user.created_at),
                    ]
                })
                .collect();
            let columns = [("NAME", false), ("ROLE", false), ("PAYS", false), ("CREATED", false)];
            output.table(&json, &columns, rows)
        }
        Command::Set { name, pays: how } => {
            let user = store.user(&name).await?;
            store.set_prepaid(user.account_id, how == Pays::First, Usd::ZERO).await?;
            let user = store.user(&name).await?;
            output.say(&view(&user), format_args!("User {name} pays {}.", pays(user.prepaid)))
        }
    }
}

fn view(user: &User) -> serde_json::Value {
    json!({
        "id": user.id,
        "account_id": user.account_id,
        "name": user.name,
        "operator": user.operator,
        "prepaid": user.prepaid,
        "created_at": clock::rfc3339(user.created_at),
    })
}
