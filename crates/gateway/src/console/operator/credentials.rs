//! The credentials on `/operator/providers`: which is in force, and the forms that set, remove and try one. What was typed is
//! never shown again.

use axum::response::Response;
use serde_json::json;

use super::super::html::{self, Html};
use super::super::page::{self, Fields, Notice, missing, told};
use super::providers;
use crate::credentials::{self, Checked, InForce, Origin};
use crate::manage::one_line;
use crate::problem::Problem;
use crate::providers::Provider;
use crate::web::Call;

const LONGEST_NAME: usize = 100;

/// What a page says of a provider's credential.
pub(super) struct Card {
    pub(super) provider: &'static str,
    pub(super) state: Html,
    pub(super) facts: Vec<(&'static str, Html)>,
    pub(super) fault: Option<String>,
    pub(super) is_stored: bool,
    /// Whether there is anything to try.
    pub(super) is_callable: bool,
    /// What becomes of the provider when the stored one is removed.
    pub(super) removed: String,
}

pub(super) fn cards(call: &Call) -> Vec<Card> {
    call.app.providers.iter().map(card).collect()
}

/// Why a provider without a credential that works is off.
pub(super) fn off(in_force: &InForce) -> Option<Html> {
    match &in_force.origin {
        Origin::Nowhere => Some(Html::badge("plain", "no credential")),
        Origin::Stored { closed: Some(_), .. } => Some(Html::badge("bad", "does not open")),
        Origin::Environment(_) | Origin::Stored { .. } | Origin::Account { .. } => None,
    }
}

fn card(provider: &Provider) -> Card {
    let in_force = provider.credential();
    let setting = provider.row.credential_setting;
    let ends = Some(in_force.last4()).filter(|end| !end.is_empty());
    let ends = ends.map(|end| ("Ends in", Html::code(&format!("…{end}"))));
    let (state, mut facts) = match &in_force.origin {
        Origin::Nowhere | Origin::Account { .. } => {
            let neither = Html::code(setting).and(&Html::text("is not set either"));
            (None, vec![("From", Html::text("none is stored").below(&neither))])
        }
        Origin::Environment(setting) => {
            let from = Html::text("the environment").below(&Html::code(setting));
            (Some(Html::badge("plain", "environment")), vec![("From", from)])
        }
        Origin::Stored { row, .. } => {
            let from = if provider.is_set_in_environment() {
                let instead = Html::text("in place of ").and(&Html::code(setting));
                Html::text("the database, sealed").below(&instead)
            } else {
                Html::text("the database, sealed")
            };
            let name = Some(("Name", Html::text(&row.name))).filter(|_| !row.name.is_empty());
            let facts = [("From", from)].into_iter().chain(name).chain([
                ("Since", html::moment(row.created_at)),
                ("Set by", Html::text(&row.created_by)),
            ]);
            (Some(Html::badge("good", "sealed")), facts.collect())
        }
    };
    facts.splice(1..1, ends);
    let fault = in_force.stored().and_then(|(_, closed)| closed);
    let instead = if provider.is_set_in_environment() {
        format!("{setting} takes its place")
    } else {
        "the provider is off then".to_owned()
    };
    Card {
        provider: provider.row.name,
        state: off(&in_force).or(state).unwrap_or_default(),
        facts,
        fault: fault.map(|closed| {
            format!(
                "It does not open: {closed}. Requests to this provider are refused. Restart with a TOLLGATE_MASTER_KEY that has \
                 what it was sealed with, replace it, or remove it."
            )
        }),
        is_stored: in_force.stored().is_some(),
        is_callable: in_force.secret.is_some(),
        removed: instead,
    }
}

fn provider(call: &Call) -> Result<&Provider, Problem> {
    call.app.providers.get(call.param("name")).ok_or_else(missing)
}

/// `POST /operator/providers/{name}/credential`
pub(crate) async fn set(call: Call) -> Result<Response, Problem> {
    let (fields, provider) = (Fields::of(&call)?, provider(&call)?);
    let name = fields.text("name");
    let keys = &call.app.providers.master_keys;
    let secret = if keys.first().is_none() {
        Err("TOLLGATE_MASTER_KEY is not set here, so that nothing can be sealed".to_owned())
    } else if let Err(why) = one_line(name, LONGEST_NAME) {
        Err(format!("name: {why}"))
    } else {
        credentials::read(fields.text("secret")).map_err(|why| format!("the credential: {why}"))
    };
    let secret = match secret {
        Ok(secret) => secret,
        Err(why) => {
            let problem = Problem::bad_request(why);
            let notice =
                Notice::bad(format!("Nothing was changed. {}", sentence(&problem.message)));
            let page = providers::show(&call, Some(notice)).await?;
            return page::show_as(problem.status, &page);
        }
    };
    let set = credentials::set(&call.store(), keys, provider, None, (name, &secret)).await;
    set.map_err(Problem::store)?;
    page::refreshed(&call).await?;
    Ok(page::go("/operator/providers?done=credential-set"))
}

fn sentence(text: &str) -> String {
    let first = text.chars().take(1).flat_map(char::to_uppercase);
    first.chain(text.chars().skip(1)).chain(['.']).collect()
}

/// `POST /operator/providers/{name}/credential/remove`
pub(crate) async fn remove(call: Call) -> Result<Response, Problem> {
    let name = provider(&call)?.row.name;
    call.store().remove_provider_credential((name, ""), call.now).await.map_err(told)?;
    page::refreshed(&call).await?;
    Ok(page::go("/operator/providers?done=credential-removed"))
}

/// `POST /operator/providers/{name}/check`
pub(crate) async fn check(call: Call) -> Result<Response, Problem> {
    let provider = provider(&call)?;
    let checked = credentials::check(&call.app.upstream, provider).await;
    let (word, why) = checked.told();
    let name = provider.row.name;
    let (target, detail) = (format!("provider {name}"), json!({ "result": word }));
    let noted = call.store().note_act("provider.credential.check", &target, &detail).await;
    noted.map_err(told)?;
    let notice = match &checked {
        Checked::Works => Notice::good(format!("The credential of {name} works.")),
        Checked::Refused(_) => Notice::bad(format!("The credential of {name} is refused: {why}.")),
        Checked::Unreachable(_) => Notice::bad(format!("{name} cannot be asked now: {why}.")),
    };
    let page = providers::show(&call, Some(notice)).await?;
    page::show(&page)
}
