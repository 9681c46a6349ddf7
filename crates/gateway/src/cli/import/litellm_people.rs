//! Users and teams of `LiteLLM`: persons by their `user_id`, organizations by the team's alias, with their budgets.

use std::collections::{BTreeMap, HashMap, HashSet};

use ledger::{BudgetPeriod, Decimal, Usd};
use serde_json::Value;
use store::{BudgetOwner, Column, ImportedUser, NewBudget, Role, User, Wanted};
use uuid::Uuid;

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
}

/// A team whose account pays.
#[derive(Clone, Debug)]
pub(super) struct Team {
    /// The organization's name.
    pub(super) name: String,
    pub(super) models: Vec<String>,
    pub(super) blocked: bool,
}

/// Who comes, and who is here.
#[derive(Default)]
pub(super) struct People {
    pub(super) come: Vec<ImportedUser>,
    /// By `user_id`.
    pub(super) persons: HashMap<String, Person>,
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
    known: &[User],
    owner: Option<&str>,
    report: &mut Report,
) -> anyhow::Result<People> {
    let known: HashMap<&str, &User> = known.iter().map(|user| (user.name.as_str(), user)).collect();
    let mut people = People::default();
    report.count(USER).found = users.len() as u64;
    for row in users {
        people.user(row, &known, report);
    }
    if let Some(name) = owner {
        let here = known.get(name).filter(|user| user.kind == "person");
        let here =
            here.map(|user| Person { id: user.id, name: user.name.clone(), models: Vec::new() });
        let comes = || people.persons.get(name).cloned();
        let found = here.or_else(comes).map(|person| Person { models: Vec::new(), ..person });
        people.owner =
            Some(found.ok_or_else(|| anyhow::anyhow!("--owner: there is no user {name}"))?);
    }
    report.count(TEAM).found = teams.len() as u64;
    // In an order of their own, so that of two with one name it is always the same that has it.
    let teams: BTreeMap<String, Named> = teams
        .into_iter()
        .map(|row| (row.get("team_id").cloned().unwrap_or_default(), row))
        .collect();
    let mut taken: HashSet<String> =
        people.persons.values().map(|person| person.name.clone()).collect();
    for (id, row) in &teams {
        let team = people.team(id, row, &known, &mut taken, report);
        if let Err(why) = &team {
            report.refuse(TEAM, filled(row, "team_alias").unwrap_or(id), why, 1);
        }
        people.teams.insert(id.clone(), team);
    }
    Ok(people)
}

impl People {
    fn user(&mut self, row: &Named, known: &HashMap<&str, &User>, report: &mut Report) {
        let id = row.get("user_id").map(String::as_str).unwrap_or_default();
        let name = match people::name(id) {
            Ok(name) => name,
            Err(why) => return report.refuse(USER, id, why, 1),
        };
        let models = list(row, "models");
        let put = |uuid, name: String| Person { id: uuid, name, models };
        match known.get(name.as_str()) {
            Some(user) if user.kind == "person" => {
                report.count(USER).here += 1;
                self.persons.insert(id.to_owned(), put(user.id, name));
            }
            Some(_) => report.refuse(USER, id, "an organization here has that name", 1),
            None => {
                report.count(USER).comes += 1;
                leave_limits((USER, id), row, report);
                let rest = ["model_max_budget", "policies", "allowed_cache_controls"];
                leave((USER, id), row, &rest, report);
                if filled(row, "user_role").is_some_and(|role| role.starts_with("proxy_admin")) {
                    let why = "is no operator here; `tollgate user operator NAME --yes` says so";
                    report.leave(USER, id, why, 1);
                }
                let mut new = person(&name);
                let (limit, notes) = budget(row);
                new.budget = limit.map(|limit| set(BudgetOwner::User(new.new.id), limit));
                for note in notes {
                    report.leave(USER, id, note, 1);
                }
                self.persons.insert(id.to_owned(), put(new.new.id, name));
                self.come.push(new);
            }
        }
    }

    fn team(
        &mut self,
        id: &str,
        row: &Named,
        known: &HashMap<&str, &User>,
        taken: &mut HashSet<String>,
        report: &mut Report,
    ) -> Result<Team, String> {
        let free = |name: &str| {
            let person = known.get(name).is_some_and(|user| user.kind == "person");
            people::name(name).is_ok() && !person && !taken.contains(name)
        };
        let names = [filled(row, "team_alias"), Some(id)];
        let name = names.into_iter().flatten().find(|name| free(name));
        let name =
            name.ok_or("neither its alias nor its id can be an organization's name")?.to_owned();
        taken.insert(name.clone());
        let blocked = filled(row, "blocked").is_some_and(|word| word.starts_with('t'));
        let team = Team { name: name.clone(), models: list(row, "models"), blocked };
        if known.contains_key(name.as_str()) {
            report.count(TEAM).here += 1;
            return Ok(team);
        }
        let mut members = self.members(row);
        let first = members.iter().position(|(_, role)| *role == Role::Admin);
        let owner = match first {
            Some(place) => members.remove(place).0,
            None => {
                self.owner.clone().ok_or("nobody of its admins comes; --owner NAME owns it then")?
            }
        };
        members.retain(|(member, _)| member.id != owner.id);
        let new = account(&name, Some(owner.id));
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
        let members = members.into_iter().map(|(member, role)| (member.id, member.name, role));
        self.come.push(ImportedUser { new, budget, members: members.collect() });
        report.count(TEAM).comes += 1;
        Ok(team)
    }

    /// The members that come, with their roles, each once.
    fn members(&self, row: &Named) -> Vec<(Person, Role)> {
        let cell = filled(row, "members_with_roles").unwrap_or("[]");
        let listed = serde_json::from_str::<Vec<Value>>(cell).unwrap_or_default();
        let listed = listed.iter().filter_map(|member| {
            let role = if member["role"] == "admin" { Role::Admin } else { Role::Member };
            Some((member["user_id"].as_str()?.to_owned(), role))
        });
        let admins = list(row, "admins").into_iter().map(|id| (id, Role::Admin));
        let plain = list(row, "members").into_iter().map(|id| (id, Role::Member));
        let mut members: Vec<(Person, Role)> = Vec::new();
        for (id, role) in listed.chain(admins).chain(plain) {
            if let Some(person) = self.persons.get(&id)
                && members.iter().all(|(member, _)| member.id != person.id)
            {
                members.push((person.clone(), role));
            }
        }
        members
    }
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
