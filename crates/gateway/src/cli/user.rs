//! `tollgate user add|list|set|password|disable|enable|operator|identity`

use std::io::Read as _;
use std::net::SocketAddr;

use anyhow::bail;
use clap::{Args, ValueEnum};
use ledger::Usd;
use serde_json::json;
use store::{NewUser, Store, User};

use super::output::Output;
use crate::clock;
use crate::config::Settings;
use crate::manage::people;
use crate::people::{links, password};

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
    /// Print an address, good for a day, at which a user chooses a password
    Password {
        /// The user
        name: String,

        /// Set the password that standard input has, instead
        #[arg(long)]
        stdin: bool,
    },
    /// Shut a user out: sessions end, keys are refused
    Disable {
        /// The user
        name: String,
    },
    /// Let a user in again
    Enable {
        /// The user
        name: String,
    },
    /// Say whether a user runs the place
    Operator(Operator),
    /// Say who a user is at an issuer of tokens
    Identity {
        /// The user
        name: String,

        /// The issuer, as its tokens name it, such as <https://PROJECT.supabase.co/auth/v1>
        #[arg(long, value_name = "URL")]
        issuer: String,

        /// The user's id there
        #[arg(long, value_name = "ID")]
        subject: String,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whether").required(true).args(["yes", "no"]))]
pub(super) struct Operator {
    /// The user
    name: String,

    /// From now on
    #[arg(long)]
    yes: bool,

    /// No longer
    #[arg(long)]
    no: bool,
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
    #[arg(value_parser = people::name)]
    name: String,

    /// This user runs the place
    #[arg(long)]
    operator: bool,

    /// This user's account spends only what was put into it; otherwise it is billed later
    #[arg(long)]
    prepaid: bool,
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
            output.say(&view(&user), format_args!("User {} added.", user.name))?;
            let name = &user.name;
            output
                .note(format_args!("`tollgate user password {name}` lets them choose a password."))
        }
        Command::List => list(&store, output).await,
        Command::Set { name, pays: how } => {
            let user = store.user(&name).await?;
            store.set_prepaid(user.account_id, how == Pays::First, Usd::ZERO).await?;
            let user = store.user(&name).await?;
            output.say(&view(&user), format_args!("User {name} pays {}.", pays(user.prepaid)))
        }
        Command::Password { name, stdin: false } => {
            let user = person(&store, &name).await?;
            let here = SocketAddr::new(settings.host, settings.port);
            let base = links::base(settings, here);
            let link = links::password(&store, &base, &user, clock::now()).await?;
            output.say(&json!({ "user": name, "link": link }), link)
        }
        Command::Password { name, stdin: true } => {
            let user = person(&store, &name).await?;
            let hash = password::hash(password_from_stdin()?).await?;
            store.set_password(&user, &hash, None).await?;
            let json = json!({ "user": name, "changed": true });
            output.say(&json, format_args!("{name} has another password, and is signed out."))
        }
        Command::Disable { name } => switch(&store, &name, true, output).await,
        Command::Enable { name } => switch(&store, &name, false, output).await,
        Command::Operator(Operator { name, yes, .. }) => {
            store.set_operator(&person(&store, &name).await?, yes).await?;
            let user = store.user(&name).await?;
            let what = if yes { "runs the place" } else { "is a customer" };
            output.say(&view(&user), format_args!("{name} {what}."))
        }
        Command::Identity { name, issuer, subject } => {
            let user = person(&store, &name).await?;
            store.add_identity((&issuer, &subject), &user, clock::now()).await?;
            let json = json!({ "user": name, "issuer": issuer, "subject": subject });
            output.say(&json, format_args!("{name} is {subject} at {issuer}."))
        }
    }
}

/// A user who can sign in.
async fn person(store: &Store, name: &str) -> anyhow::Result<User> {
    let user = store.user(name).await?;
    if user.kind != "person" {
        bail!("{name} is an organization, which never signs in");
    }
    Ok(user)
}

/// A password, without the end of its line.
fn password_from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().take(4_096).read_to_string(&mut text)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    password::check(text).map_err(anyhow::Error::msg)?;
    Ok(text.to_owned())
}

async fn switch(store: &Store, name: &str, off: bool, output: &Output) -> anyhow::Result<()> {
    let user = store.user(name).await?;
    store.set_disabled(&user, off.then(clock::now)).await?;
    let user = store.user(name).await?;
    let what = if off { "is shut out" } else { "may come in again" };
    output.say(&view(&user), format_args!("{name} {what}."))
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let users = store.users().await?;
    let json = users.iter().map(view).collect();
    let role = |user: &User| match (user.kind.as_str(), user.operator) {
        ("organization", _) => "organization",
        (_, true) => "operator",
        (_, false) => "customer",
    };
    let rows = users
        .iter()
        .map(|user| {
            vec![
                user.name.clone(),
                role(user).to_owned(),
                pays(user.prepaid).to_owned(),
                if user.disabled_at.is_some() { "off" } else { "active" }.to_owned(),
                clock::rfc3339(user.created_at),
            ]
        })
        .collect();
    let columns =
        [("NAME", false), ("ROLE", false), ("PAYS", false), ("STATE", false), ("CREATED", false)];
    output.table(&json, &columns, rows)
}

pub(super) fn view(user: &User) -> serde_json::Value {
    json!({
        "id": user.id,
        "account_id": user.account_id,
        "name": user.name,
        "kind": user.kind,
        "operator": user.operator,
        "prepaid": user.prepaid,
        "disabled": user.disabled_at.is_some(),
        "created_at": clock::rfc3339(user.created_at),
    })
}
