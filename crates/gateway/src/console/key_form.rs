//! The form of a key: what stands in it, and what is meant by it.

use ledger::{BudgetPeriod, Catalogue, Usd};
use store::{Budget, BudgetOwner, Key, KeyChange, Limits};

use super::html;
use super::page::Fields;
use super::requests::Pick;
use crate::manage::keys::{self, Wanted};
use crate::scopes::{Scope, Scopes};

/// What stands in the form, as it was written.
#[derive(Default)]
pub(crate) struct KeyForm {
    pub(crate) name: String,
    pub(crate) scopes: Vec<ScopeBox>,
    pub(crate) expires: String,
    pub(crate) budget: String,
    pub(crate) periods: Vec<Pick>,
    pub(crate) models: String,
    pub(crate) ips: String,
    pub(crate) requests: String,
    pub(crate) tokens: String,
    pub(crate) concurrent: String,
}

pub(crate) struct ScopeBox {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) on: bool,
}

const PERIODS: [(BudgetPeriod, &str); 4] = [
    (BudgetPeriod::Total, "in all"),
    (BudgetPeriod::Day, "each day"),
    (BudgetPeriod::Week, "each week"),
    (BudgetPeriod::Month, "each month"),
];

/// How a period is called behind an amount.
pub(crate) fn each(period: BudgetPeriod) -> &'static str {
    PERIODS.iter().find(|(known, _)| *known == period).map_or("", |(_, label)| label)
}

pub(crate) fn periods(chosen: BudgetPeriod) -> Vec<Pick> {
    let pick = |(period, label): (BudgetPeriod, &str)| Pick {
        value: period.name().to_owned(),
        label: label.to_owned(),
        selected: period == chosen,
    };
    PERIODS.map(pick).into()
}

/// Only what may be granted is there to be chosen.
fn boxes(on: Scopes, granted: Scopes) -> Vec<ScopeBox> {
    let labelled = |scope: Scope| {
        let (label, hint) = match scope {
            Scope::Inference => ("Ask models", "Chats, embeddings, everything that costs"),
            Scope::Usage => ("Read usage", "What was used and what it cost"),
            Scope::Keys => ("Manage keys", "Make, change and revoke keys"),
            Scope::Billing => ("Read bills", "Balance, bills and credit"),
            Scope::Operator => ("Run the place", "What operators do by the API"),
        };
        ScopeBox { name: scope.name(), label, hint, on: on.has(scope) }
    };
    Scope::ALL.into_iter().filter(|scope| granted.has(*scope)).map(labelled).collect()
}

impl KeyForm {
    /// Of a key that is not there yet.
    pub(crate) fn new(granted: Scopes) -> Self {
        Self {
            scopes: boxes(Scopes::INFERENCE.with(Scope::Usage), granted),
            periods: periods(BudgetPeriod::Month),
            ..Self::default()
        }
    }

    /// Of a key as it is.
    pub(crate) fn of(key: &Key, budget: Option<&Budget>, granted: Scopes) -> Self {
        let lines = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join("\n"));
        let number = |number: Option<i64>| number.map(|n| n.to_string()).unwrap_or_default();
        Self {
            name: key.name.clone(),
            scopes: boxes(Scopes::stored(&key.scopes), granted),
            expires: key.expires_at.map(html::day).unwrap_or_default(),
            budget: budget.map(|budget| budget.limit.to_string()).unwrap_or_default(),
            periods: periods(budget.map_or(BudgetPeriod::Month, |budget| budget.period)),
            models: lines(&key.models).unwrap_or_default(),
            ips: lines(&key.allowed_ips).unwrap_or_default(),
            requests: number(key.requests_per_minute),
            tokens: number(key.tokens_per_minute),
            concurrent: number(key.concurrent_requests),
        }
    }

    /// As it was filled in.
    pub(crate) fn filled(fields: &Fields, granted: Scopes) -> Self {
        let text = |name| fields.text(name).to_owned();
        let on = Scopes::stored(&fields.all("scope").join(" "));
        let period = BudgetPeriod::from_name(fields.text("period"));
        Self {
            name: text("name"),
            scopes: boxes(on, granted),
            expires: text("expires"),
            budget: text("budget"),
            periods: periods(period.unwrap_or(BudgetPeriod::Month)),
            models: text("models"),
            ips: text("ips"),
            requests: text("requests"),
            tokens: text("tokens"),
            concurrent: text("concurrent"),
        }
    }
}

/// What kind of key is meant. The error names the field.
pub(crate) fn wanted(
    fields: &Fields,
    catalogue: &Catalogue,
    (granted, now): (Scopes, i64),
) -> Result<Wanted, String> {
    let named = |field: &'static str| move |what: String| format!("{field}: {what}.");
    let scopes = keys::scopes(&fields.all("scope"), granted).map_err(named("Scopes"))?;
    let expires_at = fields.some("expires").map(|text| keys::expiry(text, now)).transpose();
    let models = fields.list("models").map(|ids| keys::models(catalogue, &ids)).transpose();
    let ips = fields.list("ips").map(|ips| keys::allowed_ips(&ips)).transpose();
    let rates = rates(fields)?;
    Ok(Wanted {
        name: keys::name(fields.text("name")).map_err(named("Name"))?,
        scopes,
        expires_at: expires_at.map_err(named("Expires"))?,
        budget: budget(fields).map_err(named("Budget"))?,
        models: models.map_err(named("Models"))?,
        allowed_ips: ips.map_err(named("Networks"))?,
        requests_per_minute: rates.requests_per_minute,
        tokens_per_minute: rates.tokens_per_minute,
        concurrent_requests: rates.concurrent_requests,
    })
}

/// Limits of the fields `requests`, `tokens` and `concurrent`.
pub(crate) fn rates(fields: &Fields) -> Result<Limits, String> {
    let number = |field: &'static str, name: &str| {
        let text = fields.some(name);
        text.map(|text| {
            let number = text.parse().map_err(|_| "expected a whole number".to_owned());
            number.and_then(keys::per_minute).map_err(|what| format!("{field}: {what}."))
        })
        .transpose()
    };
    Ok(Limits {
        requests_per_minute: number("Requests per minute", "requests")?,
        tokens_per_minute: number("Tokens per minute", "tokens")?,
        concurrent_requests: number("Requests at once", "concurrent")?,
    })
}

/// A budget of the fields `budget` and `period`.
pub(crate) fn budget(fields: &Fields) -> Result<Option<(BudgetPeriod, Usd)>, String> {
    let Some(text) = fields.some("budget") else { return Ok(None) };
    let period = BudgetPeriod::from_name(fields.text("period")).ok_or("expected a period")?;
    Ok(Some((period, dollars(text)?)))
}

/// An amount that is more than nothing.
pub(crate) fn dollars(text: &str) -> Result<Usd, String> {
    let usd = Usd::parse(text.trim_start_matches('$')).map_err(|error| error.to_string())?;
    if usd > Usd::ZERO { Ok(usd) } else { Err("expected more than nothing".to_owned()) }
}

/// What of a key is changed by what is wanted. A budget that stays as it is is not set anew.
pub(crate) fn change(key: &Key, old: Option<&Budget>, wanted: Wanted) -> KeyChange {
    let budget = old.map(|budget| (budget.period, budget.limit));
    // The form knows days alone: a moment of the same day stays what it is.
    let same_day = key.expires_at.map(html::day) == wanted.expires_at.map(html::day);
    KeyChange {
        name: Some(wanted.name).filter(|name| *name != key.name),
        disabled: None,
        scopes: Some(wanted.scopes.to_string()).filter(|scopes| *scopes != key.scopes),
        expires_at: (!same_day).then_some(wanted.expires_at),
        budget: (wanted.budget != budget).then_some(wanted.budget),
        models: (wanted.models != key.models).then_some(wanted.models),
        allowed_ips: (wanted.allowed_ips != key.allowed_ips).then_some(wanted.allowed_ips),
        requests_per_minute: (wanted.requests_per_minute != key.requests_per_minute)
            .then_some(wanted.requests_per_minute),
        tokens_per_minute: (wanted.tokens_per_minute != key.tokens_per_minute)
            .then_some(wanted.tokens_per_minute),
        concurrent_requests: (wanted.concurrent_requests != key.concurrent_requests)
            .then_some(wanted.concurrent_requests),
    }
}

/// The budgets in force of one owner.
pub(crate) fn budgets_of(all: Vec<Budget>, owner: BudgetOwner) -> Vec<Budget> {
    all.into_iter().filter(|budget| budget.owner == owner).collect()
}
