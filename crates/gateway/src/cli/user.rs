//! `tollgate user add|list`

use clap::Args;
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
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The name, as the header `user` will give it
    #[arg(value_parser = user_name)]
    name: String,

    /// This user runs the place
    #[arg(long)]
    operator: bool,
}

/// A name that survives a header, a shell and a file name.
fn user_name(text: &str) -> Result<String, String> {
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
    let store = super::open(settings).await?;
    match command {
        Command::Add(Add { name, operator }) => {
            let new = NewUser {
                id: clock::new_id(),
                account_id: clock::new_id(),
                name,
                operator,
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
                        clock::rfc3339(user.created_at),
                    ]
                })
                .collect();
            output.table(&json, &[("NAME", false), ("ROLE", false), ("CREATED", false)], rows)
        }
    }
}

fn view(user: &User) -> serde_json::Value {
    json!({
        "id": user.id,
        "account_id": user.account_id,
        "name": user.name,
        "operator": user.operator,
        "created_at": clock::rfc3339(user.created_at),
    })
}
