//! `tollgate import litellm`: the models of its config.yaml, and the users, teams and virtual keys of its database.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use anyhow::Context as _;
use ledger::{Catalogue, Model};
use sha2::{Digest as _, Sha256};
use store::{Foreign, ImportedUser, Key, Member, ModelAlias, NewKey, Role, Store, User, Wanted};
use uuid::Uuid;

use super::litellm_config::{self, Config};
use super::litellm_keys::{self, Place};
use super::litellm_models::{self, Names};
use super::litellm_people::{self, Named, named};
use super::report::{Progress, Report};
use super::{prices, write_keys, write_users};
use crate::catalogue;
use crate::cli::output::Output;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["config", "from"]))]
pub(in crate::cli) struct Args {
    /// Its config.yaml: models become other names for ours. No key in it is read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Its database, which is not changed: users, teams and virtual keys
    #[arg(long, value_name = "URL")]
    from: Option<String>,

    /// Do it; without this it is only said what would be done
    #[arg(long)]
    apply: bool,

    /// The schema of its tables
    #[arg(long, default_value = "public", value_name = "NAME")]
    schema: String,

    /// Who gets the keys that belong to no user, and the teams without an admin
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,

    /// A user here who is the one of that name there; their keys come to this user
    #[arg(long, value_name = "NAME")]
    join: Vec<String>,

    /// Which prices of config.yaml come
    #[arg(long, value_enum, default_value_t = prices::Mode::Missing)]
    prices: prices::Mode,
}

/// What is to be written.
struct Plan {
    version: i64,
    catalogue: Catalogue,
    prices: Vec<Model>,
    aliases: Vec<ModelAlias>,
    people: Vec<ImportedUser>,
    keys: Vec<(NewKey, bool)>,
}

pub(super) async fn run(args: Args, store: &Store, output: &Output) -> anyhow::Result<()> {
    let progress = Progress::new();
    let mut report = Report::default();
    if args.from.is_some() {
        report.order(&["users", "teams", "keys"]);
    }
    let config = match &args.config {
        None => None,
        Some(path) => {
            let config = litellm_config::read(&catalogue::read_file(path)?);
            Some(config.map_err(|error| error.context(path.display().to_string()))?)
        }
    };
    let rows = match &args.from {
        None => None,
        Some(url) => {
            let rows = Rows::read(url, &args.schema, &progress, &mut report).await;
            progress.done();
            Some(rows?)
        }
    };
    let plan = Plan::of(config, rows, &args, store, &mut report).await?;
    if args.apply {
        let applied = plan.apply(store, &progress).await;
        progress.done();
        applied?;
    }
    report.print(args.apply, output)
}

/// Who is here before.
pub(super) struct Here<'a> {
    pub(super) names: HashMap<&'a str, &'a User>,
    pub(super) ids: HashMap<Uuid, &'a User>,
    /// By the ids of organizations: the members who may have keys.
    pub(super) holders: HashMap<Uuid, HashSet<Uuid>>,
    /// Whom somebody has said to be the user of that name in `LiteLLM`.
    pub(super) joined: &'a [String],
}

impl<'a> Here<'a> {
    fn of(users: &'a [User], members: &[Member], joined: &'a [String]) -> anyhow::Result<Self> {
        let names: HashMap<&str, &User> =
            users.iter().map(|user| (user.name.as_str(), user)).collect();
        for name in joined {
            let person = names.get(name.as_str()).is_some_and(|user| user.kind == "person");
            anyhow::ensure!(person, "--join: there is no user {name}");
        }
        let ids = users.iter().map(|user| (user.id, user)).collect();
        let mut holders = HashMap::<Uuid, HashSet<Uuid>>::new();
        for member in members.iter().filter(|member| member.role != Role::Billing) {
            holders.entry(member.organization_id).or_default().insert(member.user_id);
        }
        Ok(Self { names, ids, holders, joined })
    }
}

/// The id that a user or a team of `LiteLLM` gets here. It is always the same, so that a later run knows what an earlier one
/// has made, and takes nothing else for it.
pub(super) fn id(what: &str, id: &str) -> Uuid {
    let hash: [u8; 32] = Sha256::digest(format!("tollgate import litellm: {what} {id}")).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// What was read of the database.
#[derive(Default)]
struct Rows {
    users: Vec<Named>,
    teams: Vec<Named>,
    keys: Vec<Named>,
    budgets: HashMap<String, Named>,
}

impl Rows {
    async fn read(
        url: &str,
        schema: &str,
        progress: &Progress,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        let mut from = Foreign::open(url, schema).await.context("--from")?;
        let users = table(&mut from, &litellm_people::USERS, progress).await?;
        let teams = table(&mut from, &litellm_people::TEAMS, progress).await?;
        let keys = table(&mut from, &litellm_keys::KEYS, progress).await?;
        let mut budgets = Vec::new();
        // Older versions have none.
        if from.has(litellm_keys::BUDGETS.table) {
            budgets = table(&mut from, &litellm_keys::BUDGETS, progress).await?;
        }
        for (name, why) in [
            (
                "LiteLLM_ProxyModelTable",
                "models made in its console are encrypted there; write them into a config.yaml",
            ),
            ("LiteLLM_OrganizationTable", "organizations above teams: there is one level here"),
            ("LiteLLM_EndUserTable", "customers of customers: not told apart here"),
            ("LiteLLM_SpendLogs", "its log of requests: not brought, it has no receipts"),
        ] {
            if from.has(name) {
                report.leave("tables", name, why, 1);
            }
        }
        from.close().await?;
        let id = |row: Named| Some((row.get("budget_id")?.clone(), row));
        let budgets = budgets.into_iter().filter_map(id).collect();
        Ok(Self { users, teams, keys, budgets })
    }
}

async fn table(
    from: &mut Foreign,
    wanted: &Wanted,
    progress: &Progress,
) -> anyhow::Result<Vec<Named>> {
    let found = from.find(wanted)?;
    let mut rows = Vec::new();
    let told = |count| progress.count(&format!("reading {}", wanted.table), count);
    from.each(&found, |row| rows.push(named(wanted, row)), told).await?;
    Ok(rows)
}

impl Plan {
    async fn of(
        config: Option<Config>,
        rows: Option<Rows>,
        args: &Args,
        store: &Store,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        let (version, catalogue) = crate::cli::latest_prices(store).await?;
        let known = store.aliases().await?;
        let named = |alias: &ModelAlias| (alias.alias.clone(), alias.model_id.clone());
        let mut names: Names = known.iter().map(named).collect();
        let (mut prices, mut aliases) = (Vec::new(), Vec::new());
        if let Some(config) = config {
            let models = litellm_models::plan(&config, &catalogue, &known, args.prices, report);
            (prices, aliases, names) = (models.prices, models.aliases, models.names);
        }
        let mut plan =
            Self { version, catalogue, prices, aliases, people: Vec::new(), keys: Vec::new() };
        let Some(rows) = rows else { return Ok(plan) };
        let (users, members) = (store.users().await?, store.all_members().await?);
        let here = Here::of(&users, &members, &args.join)?;
        let owner = args.owner.as_deref();
        let people = litellm_people::plan(&rows.users, rows.teams, &here, owner, report)?;
        let keys: HashMap<String, Key> =
            store.all_keys().await?.into_iter().map(|key| (key.hash.clone(), key)).collect();
        let sold = plan.catalogue.overlaid(&plan.prices.iter().cloned().collect());
        let place = Place {
            people: &people,
            sold: &sold,
            names: &names,
            here: &keys,
            budgets: &rows.budgets,
        };
        plan.keys = litellm_keys::plan(rows.keys, &place, report);
        plan.people = people.come;
        Ok(plan)
    }

    async fn apply(&self, store: &Store, progress: &Progress) -> anyhow::Result<()> {
        prices::write(store, (self.version, &self.catalogue), &self.prices, "litellm").await?;
        if !self.aliases.is_empty() {
            store.set_aliases(&self.aliases).await?;
        }
        write_users(store, &self.people, progress).await?;
        write_keys(store, &self.keys, progress).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn ids_are_always_the_same_and_no_two_are() {
        assert_eq!(id("users", "a"), id("users", "a"));
        assert_ne!(id("users", "a"), id("users", "b"));
        assert_ne!(id("users", "a"), id("teams", "a"));
    }
}
