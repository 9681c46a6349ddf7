//! Users and teams of `LiteLLM`: persons by their `user_id`, organizations by the team's alias, with their budgets.

use std::collections::{BTreeMap, HashMap, HashSet};

use ledger::{BudgetPeriod, Decimal, Usd};
use serde_json::Value;
use store::{BudgetOwner, Column, ImportedUser, NewBudget, NewUser, Role, Wanted};
use uuid::Uuid;

use super::litellm::{self, Here};
use super::report::Report;
use super::{account, person};
use crate::clock;
use crate::manage::people;

pub(super) const USERS: Wanted = Wanted {
    table: "LiteLLM_UserTable",
    columns: &[
        Column::of("user_id"),
        Column::maybe("user_role"),
        Column::maybe("max_budget"),
        Column::maybe("budget_duration"),
        Column::maybe("spend"),
        Column::maybe("tpm_limit"),
        Column::maybe("rpm_limit"),
        Column::maybe("max_parallel_requests"),
        Column::json("models"),
        Column::json("model_max_budget"),
        Column::json("policies"),
        Column::json("allowed_cache_controls"),
    ],
};
pub(super) const TEAMS: Wanted = Wanted {
    table: "LiteLLM_TeamTable",
    columns: &[
        Column::of("team_id"),
        Column::maybe("team_alias"),
        Column::maybe("max_budget"),
        Column::maybe("budget_duration"),
        Column::maybe("spend"),
        Column::maybe("tpm_limit"),
        Column::maybe("rpm_limit"),
        Column::maybe("max_parallel_requests"),
        Column::maybe("blocked"),
        Column::maybe("organization_id"),
        Column::maybe("model_id"),
        Column::json("members_with_roles"),
        Column::json("admins"),
        Column::json("members"),
        Column::json("models"),
        Column::json("model_max_budget"),
        Column::json("router_settings"),
        Column::json("policies"),
        Column::json("budget_limits"),
    ],
};

/// A row by the names of its columns; what is NULL is not there.
pub(super) type Named = HashMap<&'static str, String>;

pub(super) fn named(wanted: &Wanted, row: Vec<Option<String>>) -> Named {
    let cells = wanted.columns.iter().zip(row);
    cells.filter_map(|(column, cell)| Some((column.name, cell?))).collect()
}

/// A cell that has something in it.
pub(super) fn filled<'a>(row: &'a Named, name: &str) -> Option<&'a str> {
    row.get(name).map(|cell| cell.trim()).filter(|cell| !matches!(*cell, "" | "{}" | "[]" | "null"))
}

/// A list of texts.
pub(super) fn list(row: &Named, name: &str) -> Vec<String> {
    let list = filled(row, name).and_then(|cell| serde_json::from_str::<Vec<Value>>(cell).ok());
    let texts = list.unwrap_or_default().into_iter();
    texts.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Says which of these columns stay behind.
pub(super) fn leave(
    (what, which): (&'static str, &str),
    row: &Named,
    columns: &[&'static str],
    report: &mut Report,
) {
    for name in columns.iter().filter(|name| filled(row, name).is_some()) {
        report.leave(what, which, format!("{name} stays behind: there is nothing like it here"), 1);
    }
}

/// Says which limits stay behind.
fn leave_limits((what, which): (&'static str, &str), row: &Named, report: &mut Report) {
    for name in LIMITS.iter().filter(|name| filled(row, name).is_some()) {
        let why = format!("{name} stays behind: `tollgate limit set` sets it here");
        report.leave(what, which, why, 1);
    }
}

/// A budget as ours are, and what about it is not the same.
pub(super) fn budget(row: &Named) -> (Option<(BudgetPeriod, Usd)>, Vec<String>) {
    let mut notes = Vec::new();
    let Some(text) = filled(row, "max_budget") else { return (None, notes) };
    let limit = Decimal::parse(text).ok().filter(|limit| !limit.is_negative());
    let Some(limit) = limit.and_then(|limit| Usd::try_from_pico(limit.pico()).ok()) else {
        notes.push(format!("max_budget {text} is no amount up to 9.2 million dollars"));
        return (None, notes);
    };
    let duration = filled(row, "budget_duration");
    let (period, same) = duration.map_or((BudgetPeriod::Total, true), period);
    if !same {
        notes.push(format!(
            "its budget is for {}; here it is for {}, which is no less strict",
            duration.unwrap_or_default(),
            match period {
                BudgetPeriod::Day => "a day",
                BudgetPeriod::Week => "a week",
                BudgetPeriod::Month => "a month",
                BudgetPeriod::Total => "all time",
            }
        ));
    }
    if let Some(spent) = filled(row, "spend")
        .filter(|spent| Decimal::parse(spent).is_ok_and(|spent| spent > Decimal::ZERO))
    {
        notes.push(format!("the {spent} dollars spent so far do not count in its budget here"));
    }
    (Some((period, limit)), notes)
}

/// The period of ours that is as long, or the next longer; and whether it is the same.
fn period(text: &str) -> (BudgetPeriod, bool) {
    match text {
        "24h" | "1d" | "daily" => return (BudgetPeriod::Day, true),
        "7d" | "1w" | "168h" | "weekly" => return (BudgetPeriod::Week, true),
        "1mo" | "monthly" => return (BudgetPeriod::Month, true),
        _ => {}
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => u64::MAX,
    };
    let number = number.parse::<u64>().unwrap_or(u64::MAX);
    let period = match number.saturating_mul(seconds) {
        0..=86_400 => BudgetPeriod::Day,
        86_401..=604_800 => BudgetPeriod::Week,
        604_801..=2_678_400 => BudgetPeriod::Month,
        _ => BudgetPeriod::Total,
    };
    (period, false)
}

/// Somebody to whom keys can belong.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// The models that the user may use; empty is all.
    pub(super) models: Vec<String>,
    /// Runs the place, and gets no key by an import.
    pub(super) operator: bool,
}

/// What a user of `LiteLLM` is here.
pub(super) enum Found {
    Person(Person),
    /// No person can have that name: what belongs to this user belongs to nobody.
    Nobody,
    /// A person who has nothing to do with `LiteLLM` has that name, which is said here.
    Other(String),
}

impl Found {
    fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(person) => Some(person),
            Self::Nobody | Self::Other(_) => None,
        }
    }
}

/// A team whose account pays.
#[derive(Clone, Debug)]
pub(super) struct Team {
    /// The organization's name.
    pub(super) name: String,
    pub(super) models: Vec<String>,
    pub(super) blocked: bool,
    /// Who may have keys to its account.
    pub(super) holders: HashSet<Uuid>,
}

/// Who comes, and who is here.
#[derive(Default)]
pub(super) struct People {
    pub(super) come: Vec<ImportedUser>,
    /// By `user_id`.
    pub(super) persons: HashMap<String, Found>,
    /// By `team_id`; or why it cannot come.
    pub(super) teams: HashMap<String, Result<Team, String>>,
    /// Who takes what belongs to nobody.
    pub(super) owner: Option<Person>,
}

const USER: &str = "users";
const TEAM: &str = "teams";
const LIMITS: [&str; 3] = ["tpm_limit", "rpm_limit", "max_parallel_requests"];

pub(super) fn plan(
    users: &[Named],
    teams: Vec<Named>,
    here: &Here<'_>,
    owner: Option<&str>,
    report: &mut Report,
) -> anyhow::Result<People> {
    let mut people = People::default();
    report.count(USER).found = users.len() as u64;
    for row in users {
        let id = row.get("user_id").cloned().unwrap_or_default();
        let found = people.user(&id, row, here, report);
        people.persons.insert(id, found);
    }
    if let Some(name) = owner {
        let known = here.names.get(name).filter(|user| user.kind == "person");
        let known = known.map(|user| Person {
            id: user.id,
            name: user.name.clone(),
            models: Vec::new(),
            operator: user.operator,
        });
        let comes = || people.persons.get(name).and_then(Found::person).cloned();
        let found = known.or_else(comes).map(|person| Person { models: Vec::new(), ..person });
        people.owner =
            Some(found.ok_or_else(|| anyhow::anyhow!("--owner: there is no user {name}"))?);
    }
    report.count(TEAM).found = teams.len() as u64;
    // In an order of their own, so that of two with one name it is always the same that has it.
    let teams: BTreeMap<String, Named> = teams
        .into_iter()
        .map(|row| (row.get("team_id").cloned().unwrap_or_default(), row))
        .collect();
    let persons = people.persons.values().filter_map(Found::person);
    let mut taken: HashSet<String> = persons.map(|person| person.name.clone()).collect();
    // Those that an earlier run has made keep theirs.
    let made = teams.keys().filter_map(|id| here.ids.get(&litellm::id(TEAM, id)));
    taken.extend(made.map(|made| made.name.clone()));
    for (id, row) in &teams {
        let team = people.team(id, row, here, &mut taken, report);
        if let Err(why) = &team {
            report.refuse(TEAM, filled(row, "team_alias").unwrap_or(id), why, 1);
        }
        people.teams.insert(id.clone(), team);
    }
    Ok(people)
}

/// What the organization of a team that is not here is called.
fn name_of_team(
    id: &str,
    row: &Named,
    here: &Here<'_>,
    taken: &HashSet<String>,
) -> Result<String, String> {
    let free = |name: &str| {
        let person = here.names.get(name).is_some_and(|user| user.kind == "person");
        people::name(name).is_ok() && !person && !taken.contains(name)
    };
    let names = [filled(row, "team_alias"), Some(id)];
    let name = names.into_iter().flatten().find(|name| free(name));
    let name = name.ok_or("neither its alias nor its id can be an organization's name")?;
    if here.names.contains_key(name) {
        return Err(format!(
            "an organization {name} is here that no import made of this team: give the team another alias in LiteLLM, then import again"
        ));
    }
    Ok(name.to_owned())
}

impl People {
    fn user(&mut self, id: &str, row: &Named, here: &Here<'_>, report: &mut Report) -> Found {
        let name = match people::name(id) {
            Ok(name) => name,
            Err(why) => {
                report.refuse(USER, id, why, 1);
                return Found::Nobody;
            }
        };
        let own = litellm::id(USER, id);
        let models = list(row, "models");
        let Some(user) = here.names.get(name.as_str()) else {
            report.count(USER).comes += 1;
            self.come.push(new_person((own, &name), row, report));
            return Found::Person(Person { id: own, name, models, operator: false });
        };
        if user.kind != "person" {
            report.refuse(USER, id, "an organization here has that name", 1);
            return Found::Nobody;
        }
        if user.id == own || here.joined.contains(&name) {
            report.count(USER).here += 1;
            let operator = user.operator;
            return Found::Person(Person { id: user.id, name, models, operator });
        }
        let why = if user.operator {
            "an operator here has that name, who gets no key by an import".to_owned()
        } else {
            format!(
                "a user here has that name whom no import made; --join {name} says that both are the same"
            )
        };
        report.refuse(USER, id, &why, 1);
        Found::Other(why)
    }

    fn team(
        &mut self,
        id: &str,
        row: &Named,
        here: &Here<'_>,
        taken: &mut HashSet<String>,
        report: &mut Report,
    ) -> Result<Team, String> {
        let own = litellm::id(TEAM, id);
        let models = list(row, "models");
        let blocked = filled(row, "blocked").is_some_and(|word| word.starts_with('t'));
        if let Some(known) = here.ids.get(&own) {
            report.count(TEAM).here += 1;
            let (team, holders) = (&known.name, here.holders.get(&own));
            let holders = holders.cloned().unwrap_or_default();
            let members = self.members(row, team, report);
            // Who belongs to it by now is the business of its admins here.
            for (member, _) in members.iter().filter(|(member, _)| !holders.contains(&member.id)) {
                let name = &member.name;
                let why = format!(
                    "its member {name} may have no keys to it here: `tollgate org member set {team} {name} --role member`"
                );
                report.leave(TEAM, team, why, 1);
            }
            return Ok(Team { name: team.clone(), models, blocked, holders });
        }
        let name = name_of_team(id, row, here, taken)?;
        taken.insert(name.clone());
        let mut members = self.members(row, &name, report);
        let first = members.iter().position(|(_, role)| *role == Role::Admin);
        let owner = match first {
            Some(place) => members.remove(place).0,
            None => {
                self.owner.clone().ok_or("nobody of its admins comes; --owner NAME owns it then")?
            }
        };
        members.retain(|(member, _)| member.id != owner.id);
        let new = NewUser { id: own, ..account(&name, Some(owner.id)) };
        let (limit, notes) = budget(row);
        let budget = limit.map(|limit| set(BudgetOwner::Account(new.account_id), limit));
        for note in notes {
            report.leave(TEAM, &name, note, 1);
        }
        leave_limits((TEAM, &name), row, report);
        let rest = [
            "organization_id",
            "model_id",
            "model_max_budget",
            "router_settings",
            "policies",
            "budget_limits",
        ];
        leave((TEAM, &name), row, &rest, report);
        if blocked {
            report.leave(TEAM, &name, "it is blocked: its keys come switched off", 1);
        }
        let holders = members.iter().map(|(member, _)| member.id).chain([owner.id]).collect();
        let members = members.into_iter().map(|(member, role)| (member.id, member.name, role));
        self.come.push(ImportedUser { new, budget, members: members.collect() });
        report.count(TEAM).comes += 1;
        Ok(Team { name, models, blocked, holders })
    }

    /// The members that come, with their roles, each once. Of the others it is said.
    fn members(&self, row: &Named, team: &str, report: &mut Report) -> Vec<(Person, Role)> {
        let cell = filled(row, "members_with_roles").unwrap_or("[]");
        let listed = serde_json::from_str::<Vec<Value>>(cell).unwrap_or_default();
        let mut wanted: Vec<(String, Role)> = Vec::new();
        for member in &listed {
            let role = if member["role"] == "admin" { Role::Admin } else { Role::Member };
            if let Some(id) = member["user_id"].as_str() {
                wanted.push((id.to_owned(), role));
            } else {
                let who = member["user_email"].as_str().unwrap_or("without an address");
                let why = format!("its member {who} has no user_id and does not come");
                report.leave(TEAM, team, why, 1);
            }
        }
        wanted.extend(list(row, "admins").into_iter().map(|id| (id, Role::Admin)));
        wanted.extend(list(row, "members").into_iter().map(|id| (id, Role::Member)));
        let mut seen = HashSet::new();
        wanted.retain(|(id, _)| seen.insert(id.clone()));
        let mut members: Vec<(Person, Role)> = Vec::new();
        for (id, role) in wanted {
            match self.persons.get(&id) {
                Some(Found::Person(person)) => members.push((person.clone(), role)),
                Some(Found::Nobody | Found::Other(_)) => {
                    let why = format!("its member {id} does not come: that user cannot");
                    report.leave(TEAM, team, why, 1);
                }
                None => {
                    let why =
                        format!("its member {id} does not come: LiteLLM has no user of that id");
                    report.leave(TEAM, team, why, 1);
                }
            }
        }
        members
    }
}

/// A user who comes, and what of the row does not.
fn new_person((id, name): (Uuid, &str), row: &Named, report: &mut Report) -> ImportedUser {
    leave_limits((USER, name), row, report);
    leave((USER, name), row, &["model_max_budget", "policies", "allowed_cache_controls"], report);
    if filled(row, "user_role").is_some_and(|role| role.starts_with("proxy_admin")) {
        let why = "is no operator here; `tollgate user operator NAME --yes` says so";
        report.leave(USER, name, why, 1);
    }
    let mut new = person(name);
    new.new.id = id;
    let (limit, notes) = budget(row);
    new.budget = limit.map(|limit| set(BudgetOwner::User(id), limit));
    for note in notes {
        report.leave(USER, name, note, 1);
    }
    new
}

fn set(owner: BudgetOwner, (period, limit): (BudgetPeriod, Usd)) -> NewBudget {
    NewBudget { id: clock::new_id(), owner, period, limit, at: clock::now() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_the_same_or_longer() {
        for (text, expected) in [
            ("1d", (BudgetPeriod::Day, true)),
            ("24h", (BudgetPeriod::Day, true)),
            ("7d", (BudgetPeriod::Week, true)),
            ("1mo", (BudgetPeriod::Month, true)),
            ("30s", (BudgetPeriod::Day, false)),
            ("25h", (BudgetPeriod::Week, false)),
            ("14d", (BudgetPeriod::Month, false)),
            ("30d", (BudgetPeriod::Month, false)),
            ("60d", (BudgetPeriod::Total, false)),
            ("3mo", (BudgetPeriod::Total, false)),
            ("whenever", (BudgetPeriod::Total, false)),
            ("99999999999999999999d", (BudgetPeriod::Total, false)),
        ] {
            assert_eq!(period(text), expected, "{text}");
        }
    }

    #[test]
    fn budgets() {
        let row = |cells: &[(&'static str, &str)]| -> Named {
            cells.iter().map(|(name, cell)| (*name, (*cell).to_owned())).collect()
        };
        assert_eq!(budget(&row(&[])), (None, vec![]));
        let (limit, notes) = budget(&row(&[("max_budget", "2.5"), ("budget_duration", "1d")]));
        let half = Usd::parse("2.5").expect("an amount");
        assert_eq!((limit, notes.len()), (Some((BudgetPeriod::Day, half)), 0));
        let (limit, notes) = budget(&row(&[("max_budget", "1e-3"), ("spend", "0.5")]));
        assert_eq!((limit.map(|(period, _)| period), notes.len()), (Some(BudgetPeriod::Total), 1));
        for bad in ["Infinity", "-1", "1e20"] {
            let (limit, notes) = budget(&row(&[("max_budget", bad)]));
            assert_eq!((limit, notes.len()), (None, 1), "{bad}");
        }
    }
}
