//! `/own-keys`: what an account calls its providers with itself. What was typed is never shown again.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use store::OwnKey;

use super::html::{self, Html};
use super::page::{self, Desk, Fields, Frame, Notice, missing, told};
use super::requests::percent;
use crate::credentials::{self, Checked, Origin};
use crate::manage::own_keys::{self, Brought};
use crate::problem::Problem;
use crate::providers::Provider;
use crate::web::Call;

/// What the page says of a provider.
struct Card {
    provider: &'static str,
    state: Html,
    facts: Vec<(&'static str, Html)>,
    fault: Option<String>,
    is_set: bool,
    always: bool,
}

#[derive(Template)]
#[template(path = "own_keys.html")]
struct Page {
    frame: Frame,
    payer: String,
    commission: String,
    can_seal: bool,
    cards: Vec<Card>,
}

/// Whoever may say with whose money an account calls.
fn desk(call: &Call) -> Result<Desk, Problem> {
    let desk = Desk::of(call)?;
    if desk.organization.is_some() && !desk.manages() {
        let message = "an organization's own keys are its owners' and admins'";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    Ok(desk)
}

/// `GET /own-keys`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let page = show(&call, None).await?;
    page::show(&page)
}

async fn show(call: &Call, notice: Option<Notice>) -> Result<Page, Problem> {
    let desk = desk(call)?;
    let app = &call.app;
    let keys = app.store.own_keys_of(desk.account).await.map_err(told)?;
    let card = |provider: &Provider| {
        let name = provider.row.name;
        let key = keys.iter().find(|key| key.provider == name);
        let in_force = app.providers.own(desk.account, name);
        card(name, key, in_force.as_deref())
    };
    Ok(Page {
        frame: Frame::new(call, &desk, "Own keys").saying(notice),
        payer: desk.payer.clone(),
        commission: percent(app.live.load().byok_commission_bps),
        can_seal: app.providers.master_keys.first().is_some(),
        cards: app.providers.iter().map(card).collect(),
    })
}

fn card(provider: &'static str, key: Option<&OwnKey>, in_force: Option<&Provider>) -> Card {
    let Some(key) = key else {
        let (state, facts) = (Html::badge("plain", "none"), Vec::new());
        return Card { provider, state, facts, fault: None, is_set: false, always: false };
    };
    let closed = in_force.and_then(|own| match &own.credential().origin {
        Origin::Account { closed } => closed.clone(),
        _ => None,
    });
    let state = if closed.is_some() {
        Html::badge("bad", "does not open")
    } else {
        Html::badge("good", "sealed")
    };
    let named = Some(("Name", Html::text(&key.name))).filter(|_| !key.name.is_empty());
    let ends = Html::code(&format!("…{}", key.last4));
    let ends = Some(("Ends in", ends)).filter(|_| !key.last4.is_empty());
    let otherwise = if key.always { "the request fails" } else { "the house's credential is used" };
    let facts = named.into_iter().chain(ends).chain([
        ("Since", html::moment(key.created_at)),
        ("Set by", Html::text(&key.created_by)),
        ("When it fails", Html::text(otherwise)),
    ]);
    Card {
        provider,
        state,
        facts: facts.collect(),
        fault: closed.map(|closed| {
            format!("It is not used: {closed}. Set it anew, or tell whoever runs this place.")
        }),
        is_set: true,
        always: key.always,
    }
}

/// The provider that the path names.
fn provider(call: &Call) -> Result<&'static str, Problem> {
    let found = call.app.providers.get(call.param("provider"));
    found.map(|provider| provider.row.name).ok_or_else(missing)
}

/// `POST /own-keys/{provider}`
pub(crate) async fn set(call: Call) -> Result<Response, Problem> {
    let (desk, fields, provider) = (desk(&call)?, Fields::of(&call)?, provider(&call)?);
    let (name, typed, always) =
        (fields.text("name"), fields.text("secret"), fields.is_on("always"));
    let providers = &call.app.providers;
    let brought = match Brought::read(providers, provider, name, typed, always) {
        Ok(brought) => brought,
        Err(problem) => {
            let notice = Notice::bad(format!("Nothing was changed: {}.", problem.message));
            let page = show(&call, Some(notice)).await?;
            return page::show_as(problem.status, &page);
        }
    };
    let set = own_keys::set(&call.store(), providers, desk.account, brought).await;
    set.map_err(Problem::store)?;
    page::refreshed(&call).await?;
    Ok(page::go("/own-keys?done=own-key-set"))
}

/// `POST /own-keys/{provider}/always`: whether the house's credential may take its place.
pub(crate) async fn always(call: Call) -> Result<Response, Problem> {
    let (desk, fields, provider) = (desk(&call)?, Fields::of(&call)?, provider(&call)?);
    let (store, always) = (call.store(), fields.is_on("always"));
    let changed = store.change_own_key((desk.account, provider), always);
    changed.await.map_err(told)?;
    page::refreshed(&call).await?;
    Ok(page::go("/own-keys?done=own-key-changed"))
}

/// `POST /own-keys/{provider}/remove`
pub(crate) async fn remove(call: Call) -> Result<Response, Problem> {
    let (desk, provider) = (desk(&call)?, provider(&call)?);
    call.store().remove_own_key((desk.account, provider), call.now).await.map_err(told)?;
    page::refreshed(&call).await?;
    Ok(page::go("/own-keys?done=own-key-removed"))
}

/// `POST /own-keys/{provider}/check`
pub(crate) async fn check(call: Call) -> Result<Response, Problem> {
    let (desk, provider) = (desk(&call)?, provider(&call)?);
    let own = call.app.providers.own(desk.account, provider).ok_or_else(missing)?;
    let checked = credentials::check(&call.app.upstream, &own).await;
    let (word, why) = checked.told();
    let target = format!("own key {provider} of account {}", desk.account);
    let noted = call.store().note_act("own_key.check", &target, &json!({ "result": word })).await;
    noted.map_err(told)?;
    let notice = match &checked {
        Checked::Works => Notice::good(format!("Your key at {provider} works.")),
        Checked::Refused(_) => Notice::bad(format!("Your key at {provider} is refused: {why}.")),
        Checked::Unreachable(_) => Notice::bad(format!("{provider} cannot be asked now: {why}.")),
    };
    let page = show(&call, Some(notice)).await?;
    page::show(&page)
}
