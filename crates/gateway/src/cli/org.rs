//! `tollgate org add|list|show` and `tollgate org member set|remove`

use clap::Args;
use serde_json::{Value, json};
use store::{Member, Role, Store, User};

use super::output::Output;
use super::user::view;
use crate::clock;
use crate::config::Settings;
use crate::manage::organizations::{self, Authority};
use crate::manage::people;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add an organization, with an account of the same name
    Add(Add),
    /// Who belongs to an organization
    #[command(subcommand)]
    Member(MemberCommand),
    /// List all organizations
    List,
    /// Show an organization and who belongs to it
    Show {
        /// The organization
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The name, which nobody else has
    #[arg(value_parser = people::name)]
    name: String,

    /// The user who owns it
    #[arg(long, value_name = "USER")]
    owner: String,

    /// Its account spends only what was put into it; otherwise it is billed later
    #[arg(long)]
    prepaid: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum MemberCommand {
    /// Take a user into an organization, or change as what
    Set {
        /// The organization
        organization: String,

        /// The user
        user: String,

        /// owner, admin, member or billing
        #[arg(long, value_parser = role)]
        role: Role,
    },
    /// Take a user out of an organization; their keys to its account are revoked
    Remove {
        /// The organization
        organization: String,

        /// The user
        user: String,
    },
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| {
        let names = Role::ALL.map(Role::name).join(", ");
        format!("expected one of {names}")
    })
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::desk(settings).await?;
    // Whoever has the books' password may do what operators do.
    let by = Authority::Operator;
    match command {
        Command::Add(Add { name, owner, prepaid }) => {
            let owner = store.user(&owner).await?;
            let made = organizations::create(&store, by, name, &owner, prepaid).await?;
            let text = format!("Organization {} added; {} owns it.", made.name, owner.name);
            output.say(&view(&made), text)
        }
        Command::Member(MemberCommand::Set { organization, user, role }) => {
            let (of, who) = (store.user(&organization).await?, store.user(&user).await?);
            organizations::set_member(&store, by, &of, &who, role).await?;
            let json = json!({ "organization": organization, "user": user, "role": role.name() });
            output.say(&json, format_args!("{user} is {} of {organization}.", role.name()))
        }
        Command::Member(MemberCommand::Remove { organization, user }) => {
            let (of, who) = (store.user(&organization).await?, store.user(&user).await?);
            organizations::remove_member(&store, by, &of, &who).await?;
            let json = json!({ "organization": organization, "user": user, "role": null });
            output.say(&json, format_args!("{user} is no longer in {organization}."))
        }
        Command::List => list(&store, output).await,
        Command::Show { name } => show(&store, &name, output).await,
    }
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let users = store.users().await?;
    let members = store.all_members().await?;
    let found: Vec<(&User, usize)> = users
        .iter()
        .filter(|user| user.kind == "organization")
        .map(|org| (org, members.iter().filter(|m| m.organization_id == org.id).count()))
        .collect();
    let shown = |(organization, count): &(&User, usize)| {
        let mut shown = view(organization);
        shown["members"] = (*count).into();
        shown
    };
    let json: Value = found.iter().map(shown).collect();
    let row = |(organization, count): &(&User, usize)| {
        let created = clock::rfc3339(organization.created_at);
        vec![organization.name.clone(), count.to_string(), created]
    };
    let columns = [("NAME", false), ("MEMBERS", true), ("CREATED", false)];
    output.table(&json, &columns, found.iter().map(row).collect())
}

async fn show(store: &Store, name: &str, output: &Output) -> anyhow::Result<()> {
    let organization = store.user(name).await?;
    if organization.kind != "organization" {
        anyhow::bail!("{name} is a person; `tollgate user list` shows those");
    }
    let members = store.members(organization.id).await?;
    let shown = |member: &Member| {
        let since = clock::rfc3339(member.created_at);
        json!({ "user": member.user, "role": member.role.name(), "since": since })
    };
    let mut json = view(&organization);
    json["members"] = members.iter().map(shown).collect();
    let row = |member: &Member| {
        let since = clock::rfc3339(member.created_at);
        vec![member.user.clone(), member.role.name().to_owned(), since]
    };
    let columns = [("USER", false), ("ROLE", false), ("SINCE", false)];
    output.table(&json, &columns, members.iter().map(row).collect())
}
