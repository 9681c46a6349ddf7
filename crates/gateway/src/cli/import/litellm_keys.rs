//! Virtual keys of `LiteLLM`: its table has their SHA-256, as ours has, so they go on working.

use std::collections::HashMap;

use ledger::Catalogue;
use secrecy::SecretString;
use store::{Column, Key, NewKey, Wanted};

use super::litellm_models::{self, Names};
use super::litellm_people::{self, Found, Named, People, Person, Team, filled, list};
use super::report::Report;
use crate::manage;
use crate::scopes::{Scope, Scopes};
use crate::{clock, keys as secrets};

pub(super) const KEYS: Wanted = Wanted {
    table: "LiteLLM_VerificationToken",
    columns: &[
        Column::of("token"),
        Column::maybe("key_name"),
        Column::maybe("key_alias"),
        Column::maybe("spend"),
        Column::maybe("expires"),
        Column::maybe("user_id"),
        Column::maybe("team_id"),
        Column::maybe("blocked"),
        Column::maybe("tpm_limit"),
        Column::maybe("rpm_limit"),
        Column::maybe("max_budget"),
        Column::maybe("budget_duration"),
        Column::maybe("budget_id"),
        Column::maybe("max_parallel_requests"),
        Column::maybe("organization_id"),
        Column::maybe("project_id"),
        Column::maybe("agent_id"),
        Column::maybe("object_permission_id"),
        Column::maybe("rotation_interval"),
        Column::json("models"),
        Column::json("aliases"),
        Column::json("config"),
        Column::json("router_settings"),
        Column::json("permissions"),
        Column::json("metadata"),
        Column::json("allowed_cache_controls"),
        Column::json("allowed_routes"),
        Column::json("policies"),
        Column::json("access_group_ids"),
        Column::json("model_max_budget"),
        Column::json("budget_limits"),
    ],
};
pub(super) const BUDGETS: Wanted = Wanted {
    table: "LiteLLM_BudgetTable",
    columns: &[
        Column::of("budget_id"),
        Column::maybe("max_budget"),
        Column::maybe("budget_duration"),
        Column::maybe("tpm_limit"),
        Column::maybe("rpm_limit"),
    ],
};

/// What nothing here corresponds to.
const LEFT: [&str; 13] = [
    "organization_id",
    "project_id",
    "agent_id",
    "object_permission_id",
    "rotation_interval",
    "aliases",
    "config",
    "router_settings",
    "permissions",
    "allowed_cache_controls",
    "policies",
    "access_group_ids",
    "model_max_budget",
];

const WHAT: &str = "keys";

/// What keys are brought into.
pub(super) struct Place<'a> {
    pub(super) people: &'a People,
    pub(super) sold: &'a Catalogue,
    pub(super) names: &'a Names,
    /// By their hashes.
    pub(super) here: &'a HashMap<String, Key>,
    /// Budgets that keys share, by their ids.
    pub(super) budgets: &'a HashMap<String, Named>,
}

pub(super) fn plan(
    rows: Vec<Named>,
    place: &Place<'_>,
    report: &mut Report,
) -> Vec<(NewKey, bool)> {
    report.count(WHAT).found = rows.len() as u64;
    let mut come: Vec<(NewKey, bool)> = Vec::new();
    for mut row in rows {
        place.share_budget(&mut row);
        let which = shown(&row);
        let token = match token(&row) {
            Ok(token) => token,
            Err(why) => {
                report.refuse(WHAT, which, why, 1);
                continue;
            }
        };
        if place.here.contains_key(&token.hash)
            || come.iter().any(|(key, _)| key.hash == token.hash)
        {
            report.count(WHAT).here += 1;
            continue;
        }
        match place.key(&row, token, &which, report) {
            Ok(key) => {
                report.count(WHAT).comes += 1;
                come.push(key);
            }
            Err(why) => report.refuse(WHAT, which, why, 1),
        }
    }
    come
}

/// How a key is called where there is no need to see it.
fn shown(row: &Named) -> String {
    let token = || row.get("token").map(|token| token.chars().take(8).collect::<String>());
    let named = filled(row, "key_alias").or_else(|| filled(row, "key_name"));
    named
        .map(str::to_owned)
        .or_else(|| token().map(|start| format!("{start}…")))
        .unwrap_or_default()
}

struct Token {
    hash: String,
    prefix: String,
    last4: String,
}

/// The hash of a key, and what may be shown of it.
fn token(row: &Named) -> Result<Token, String> {
    let text = row.get("token").map(|token| token.trim()).unwrap_or_default();
    if text.starts_with("sk-") {
        // As the oldest versions have kept them: whole.
        let hash = secrets::hash(text).ok_or("it cannot be a key")?;
        let (prefix, last4) = secrets::prefix_and_last4(&SecretString::from(text));
        return Ok(Token { hash: ledger::to_hex(&hash), prefix, last4 });
    }
    let hash = text.to_ascii_lowercase();
    if ledger::from_hex::<32>(&hash).is_none() {
        return Err("its token is no SHA-256, so that the key could not be found by it".to_owned());
    }
    let tail = filled(row, "key_name").and_then(|name| name.strip_prefix("sk-..."));
    let tail = tail.filter(|tail| tail.len() == 4 && tail.is_ascii());
    let last4 = tail.unwrap_or(secrets::UNSHOWN).to_owned();
    Ok(Token { hash, prefix: "sk-".to_owned(), last4 })
}

impl Place<'_> {
    /// Fills in what the key's shared budget says.
    fn share_budget(&self, row: &mut Named) {
        let shared = filled(row, "budget_id").and_then(|id| self.budgets.get(id));
        for name in ["max_budget", "budget_duration", "tpm_limit", "rpm_limit"] {
            if let Some(value) = shared.and_then(|shared| filled(shared, name))
                && filled(row, name).is_none()
            {
                row.insert(name, value.to_owned());
            }
        }
    }

    /// Whose key it is, and the team whose account pays: of that its user has to be a member.
    fn holder(&self, row: &Named) -> Result<(&Person, Option<&Team>), String> {
        let team = match filled(row, "team_id") {
            None => None,
            Some(id) => match self.people.teams.get(id) {
                Some(Ok(team)) => Some(team),
                Some(Err(why)) => return Err(format!("its team cannot come: {why}")),
                None => return Err(format!("its team {id} is not there")),
            },
        };
        let user = match filled(row, "user_id").and_then(|id| self.people.persons.get(id)) {
            Some(Found::Person(person)) => Some(person),
            Some(Found::Other(why)) => return Err(format!("its user cannot come: {why}")),
            Some(Found::Nobody) | None => self.people.owner.as_ref(),
        };
        let user = user.ok_or("it is of no user that comes; --owner NAME takes such keys")?;
        let name = &user.name;
        if user.operator {
            return Err(format!("{name} is an operator here, who gets no key by an import"));
        }
        if let Some(team) = team
            && !team.holders.contains(&user.id)
        {
            let team = &team.name;
            return Err(format!(
                "{name} is no member of {team} who may have keys: `tollgate org member set {team} {name} --role member`, then import again"
            ));
        }
        Ok((user, team))
    }

    fn key(
        &self,
        row: &Named,
        token: Token,
        which: &str,
        report: &mut Report,
    ) -> Result<(NewKey, bool), String> {
        let (user, team) = self.holder(row)?;
        let models = self.models(row, user, team, which, report)?;
        let expires_at = match filled(row, "expires") {
            None => None,
            Some(text) => Some(moment(text).ok_or_else(|| format!("its end {text} is no moment"))?),
        };
        let mut off = team.is_some_and(|team| team.blocked);
        off |= filled(row, "blocked").is_some_and(|word| word.starts_with('t'));
        let per_minute = |name| filled(row, name).map(|text| text.parse::<i64>().unwrap_or(0));
        let (requests, tokens) = (per_minute("rpm_limit"), per_minute("tpm_limit"));
        let concurrent = per_minute("max_parallel_requests");
        let mut switch_off = |why: &str| {
            off = true;
            report.leave(
                WHAT,
                which,
                format!("{why}: it comes switched off, `tollgate key enable`"),
                1,
            );
        };
        if [requests, tokens, concurrent].into_iter().flatten().any(|limit| limit < 1) {
            switch_off("it may do nothing in a minute");
        }
        if filled(row, "allowed_routes").is_some_and(|routes| !routes.contains("llm_api_routes")) {
            switch_off("its allowed_routes have no counterpart");
        }
        let (budget, notes) = litellm_people::budget(row);
        for note in notes {
            report.leave(WHAT, which, note, 1);
        }
        litellm_people::leave((WHAT, which), row, &LEFT, report);
        metadata(row, which, report);
        let name = filled(row, "key_alias").or_else(|| filled(row, "key_name")).unwrap_or_default();
        let key = NewKey {
            id: clock::new_id(),
            user: user.name.clone(),
            payer: team.map(|team| team.name.clone()),
            name: manage::keys::name(name).unwrap_or_default(),
            hash: token.hash,
            prefix: token.prefix,
            last4: token.last4,
            scopes: Scopes::INFERENCE.with(Scope::Usage).to_string(),
            expires_at,
            budget,
            models,
            allowed_ips: None,
            requests_per_minute: requests.filter(|limit| *limit > 0),
            tokens_per_minute: tokens.filter(|limit| *limit > 0),
            concurrent_requests: concurrent.filter(|limit| *limit > 0),
            created_at: clock::now(),
        };
        Ok((key, off))
    }

    /// The models that a key may use, by our ids; its team's or its user's where it has no list of its own.
    fn models(
        &self,
        row: &Named,
        user: &Person,
        team: Option<&Team>,
        which: &str,
        report: &mut Report,
    ) -> Result<Option<Vec<String>>, String> {
        let mut wanted = list(row, "models");
        let of_team = || team.map(|team| team.models.clone()).unwrap_or_default();
        if wanted.iter().any(|name| name == "all-team-models") {
            wanted = of_team();
        } else if wanted.is_empty() {
            wanted = if team.is_some() { of_team() } else { user.models.clone() };
        }
        let all = |name: &String| name == "all-proxy-models" || name == "*";
        if wanted.is_empty() || wanted.iter().any(all) {
            return Ok(None);
        }
        let (mut models, mut lost) = (Vec::new(), Vec::new());
        for name in &wanted {
            match litellm_models::resolve(name, self.sold, self.names) {
                Some(id) if models.contains(&id) => {}
                Some(id) => models.push(id),
                None => lost.push(name.as_str()),
            }
        }
        if models.is_empty() {
            return Err(format!("none of its models is here: {}", lost.join(", ")));
        }
        for name in lost {
            let why =
                format!("its model {name} is none here: a wildcard, a group, or not in --config");
            report.leave(WHAT, which, why, 1);
        }
        Ok(Some(models))
    }
}

/// Says what is in a key's metadata, by name alone.
fn metadata(row: &Named, which: &str, report: &mut Report) {
    let text = filled(row, "metadata").unwrap_or("{}");
    let map = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    let names: Vec<String> = map.unwrap_or_default().into_iter().map(|(name, _)| name).collect();
    if !names.is_empty() {
        let why = format!("its metadata stays behind: {}", names.join(", "));
        report.leave(WHAT, which, why, 1);
    }
}

/// A moment as PostgreSQL writes it: `2026-04-15 10:30:00.123`, in UTC where it does not say.
fn moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ')?;
    let place = time.find(['+', '-']);
    let (time, zone) = time.split_at(place.unwrap_or(time.len()));
    let zone = match zone.len() {
        0 => "Z".to_owned(),
        3 => format!("{zone}:00"),
        _ => zone.to_owned(),
    };
    clock::parse_moment(&format!("{date}T{time}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn moments_as_postgres_writes_them() {
        for text in [
            "1970-01-01 01:00:00",
            "1970-01-01 01:00:00.000",
            "1970-01-01 02:00:00+01",
            "1970-01-01 02:30:00+01:30",
        ] {
            assert_eq!(moment(text), Some(3_600_000_000), "{text}");
        }
        assert_eq!((moment("soon"), moment("infinity"), moment("a b")), (None, None, None));
    }
}
