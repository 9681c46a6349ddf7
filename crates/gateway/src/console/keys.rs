//! `/keys`: made, shown once, changed, rotated, switched off, revoked.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use secrecy::ExposeSecret as _;
use store::{Budget, Grain, Key, KeyChange, Rollup};

use super::chart;
use super::html::{self, Html};
use super::key_form::{self, KeyForm};
use super::limits;
use super::list::List;
use super::overview;
use super::page::{self, DAY, Desk, Fields, Frame, Notice, missing, told};
use super::sums;
use crate::manage::keys::{self as manage, Made};
use crate::problem::Problem;
use crate::scopes::Scopes;
use crate::web::Call;

const HOUR: i64 = 3_600_000_000;
/// How long an old key may go on beside the new one, in hours.
const OVERLAPS: [i64; 4] = [0, 1, 24, 168];

pub(crate) fn state(key: &Key, now: i64) -> Html {
    let expired = key.expires_at.is_some_and(|at| at <= now);
    if key.revoked_at.is_some() {
        Html::badge("bad", "revoked")
    } else if expired {
        Html::badge("bad", "expired")
    } else if key.disabled_at.is_some() || key.user_disabled_at.is_some() {
        Html::badge("warn", "off")
    } else if let Some(at) = key.expires_at {
        Html::badge("good", "active").below(&Html::text(&format!("until {}", html::day(at))))
    } else {
        Html::badge("good", "active")
    }
}

#[derive(Template)]
#[template(path = "key_new.html")]
struct New {
    frame: Frame,
    payer: String,
    form: KeyForm,
}

/// `GET /keys/new`
pub(crate) async fn new(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    desk.keys()?;
    let frame = Frame::new(&call, &desk, "New key");
    page::show(&New { frame, payer: desk.payer, form: KeyForm::new(call.who.grants()) })
}

#[derive(Template)]
#[template(path = "key_made.html")]
struct Shown {
    frame: Frame,
    key: Key,
    secret: String,
    base: String,
    /// Until when the key before it goes on.
    until: Option<Html>,
}

fn shown(call: &Call, desk: &Desk, made: &Made, until: Option<i64>) -> Result<Response, Problem> {
    page::show(&Shown {
        frame: Frame::new(call, desk, "New key"),
        key: made.key.clone(),
        secret: made.secret.expose_secret().to_owned(),
        base: super::connect::base(call),
        until: until.map(html::moment),
    })
}

/// `POST /keys`: the one page on which the secret stands.
pub(crate) async fn create(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    desk.keys()?;
    let fields = Fields::of(&call)?;
    let catalogue = std::sync::Arc::clone(&call.app.snapshots.current().catalogue);
    let wanted = match key_form::wanted(&fields, &catalogue, (call.who.grants(), call.now)) {
        Ok(wanted) => wanted,
        Err(error) => {
            let frame = Frame::new(&call, &desk, "New key").saying(Some(Notice::bad(error)));
            let form = KeyForm::filled(&fields, call.who.grants());
            let page = New { frame, payer: desk.payer, form };
            return page::show_as(StatusCode::BAD_REQUEST, &page);
        }
    };
    let payer = desk.organization.is_some().then_some(desk.payer.as_str());
    let made = manage::create(&call.store(), &desk.person.name, payer, wanted, call.now).await;
    let made = made.map_err(told)?;
    page::refreshed(&call).await?;
    shown(&call, &desk, &made, None)
}

#[derive(Template)]
#[template(path = "key.html")]
struct One {
    frame: Frame,
    key: Key,
    name: String,
    state: Html,
    facts: Vec<(&'static str, Html)>,
    budgets: Vec<(Html, Html)>,
    chart: Html,
    models: List,
    form: KeyForm,
    live: bool,
}

/// `GET /keys/{id}`
pub(crate) async fn one(call: Call) -> Result<Response, Problem> {
    page::settled(&call).await;
    if overview::is_sheet(&call) {
        let desk = Desk::of(&call)?;
        let key = found(&call, &desk).await?;
        let rows = rollups(&call, &key).await?.1;
        return overview::model_sheet(&call, &format!("models-of-key-{}.csv", key.last4), &rows);
    }
    let page = show_one(&call, None, None).await?;
    page::show(&page)
}

async fn found(call: &Call, desk: &Desk) -> Result<Key, Problem> {
    let id = call.param("id").parse().map_err(|_| missing())?;
    call.app.store.key(desk.keys()?, id).await.map_err(told)
}

/// What it has used in the last 30 days.
async fn rollups(call: &Call, key: &Key) -> Result<((i64, i64), Vec<Rollup>), Problem> {
    let today = call.now / DAY;
    let days = (today - 29, today + 1);
    let rows = call.app.store.rollups(Grain::Key, key.id, days).await.map_err(told)?;
    Ok((days, rows))
}

async fn budgets(call: &Call, key: &Key) -> Result<Vec<Budget>, Problem> {
    let all = call.app.store.budgets(call.now).await.map_err(told)?;
    let owner = call.app.snapshots.current().budget_owner(key.id);
    Ok(key_form::budgets_of(all, owner))
}

async fn show_one(
    call: &Call,
    form: Option<KeyForm>,
    notice: Option<Notice>,
) -> Result<One, Problem> {
    let desk = Desk::of(call)?;
    let key = found(call, &desk).await?;
    let (days, rows) = rollups(call, &key).await?;
    let (labels, series) = sums::by_day(&rows, days, sums::charge);
    let budgets = budgets(call, &key).await?;
    let name = if key.name.is_empty() { "Unnamed key".to_owned() } else { key.name.clone() };
    let mut facts = vec![
        ("Key", Html::code(&format!("{}…{}", key.prefix, key.last4))),
        ("Of", Html::text(&key.user)),
        ("Spends from", Html::text(&desk.payer)),
        ("Made", html::moment(key.created_at)),
        (
            "Last used",
            key.last_used_at.map_or_else(|| Html::text("never"), |at| html::since(at, call.now)),
        ),
        ("Expires", key.expires_at.map_or_else(|| Html::text("never"), html::moment)),
        ("Id", Html::code(&key.id.to_string())),
    ];
    let snapshot = call.app.snapshots.current();
    let others = limits::applying(&snapshot, key.user_id, key.account_id);
    facts.extend(others.iter().map(limits::Applying::fact));
    if let Some(next) = key.rotated_to {
        facts.push(("In its place", Html::link(&format!("/keys/{next}"), &next.to_string())));
    }
    Ok(One {
        frame: Frame::new(call, &desk, &name).saying(notice),
        state: state(&key, call.now),
        facts,
        chart: chart::bars("Spent by day, the last 30 days", &labels, &series, html::short_dollars),
        models: overview::model_list(call, "By model, the last 30 days", &rows)?
            .or("Not used in these days.", Some(("/connect", "Connect a program"))),
        form: form.unwrap_or_else(|| KeyForm::of(&key, budgets.first(), call.who.grants())),
        budgets: budgets.iter().map(standing).collect(),
        live: key.revoked_at.is_none(),
        name,
        key,
    })
}

/// How a budget stands.
pub(crate) fn standing(budget: &Budget) -> (Html, Html) {
    let text = html::amount(budget.used.pico())
        .and(&Html::text("of"))
        .and(&html::amount(budget.limit.pico()))
        .and(&Html::text(key_form::each(budget.period)));
    let (used, limit) = (budget.used.pico().into(), budget.limit.pico().into());
    (text, chart::meter("How much of the budget is spent", used, limit))
}

/// `POST /keys/{id}`
pub(crate) async fn change(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let key = found(&call, &desk).await?;
    let fields = Fields::of(&call)?;
    let catalogue = std::sync::Arc::clone(&call.app.snapshots.current().catalogue);
    match key_form::wanted(&fields, &catalogue, (call.who.grants(), call.now)) {
        Ok(wanted) => {
            let budgets = budgets(&call, &key).await?;
            let change = key_form::change(&key, budgets.first(), wanted);
            changed(&call, &desk, &key, change, "key-changed").await
        }
        Err(error) => {
            let form = KeyForm::filled(&fields, call.who.grants());
            let page = show_one(&call, Some(form), Some(Notice::bad(error))).await?;
            page::show_as(StatusCode::BAD_REQUEST, &page)
        }
    }
}

async fn changed(
    call: &Call,
    desk: &Desk,
    key: &Key,
    change: KeyChange,
    done: &str,
) -> Result<Response, Problem> {
    if change != KeyChange::default() {
        manage::change(&call.store(), desk.keys()?, key.id, change).await.map_err(told)?;
        page::refreshed(call).await?;
    }
    Ok(page::go(&format!("/keys/{}?done={done}", key.id)))
}

/// `POST /keys/{id}/disabled`: switches it off, or on again.
pub(crate) async fn disable(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let key = found(&call, &desk).await?;
    let off = Fields::of(&call)?.is_on("off");
    let change = KeyChange { disabled: Some(off), ..KeyChange::default() };
    changed(&call, &desk, &key, change, if off { "key-off" } else { "key-on" }).await
}

/// `POST /keys/{id}/rotate`: the one page on which the new secret stands.
pub(crate) async fn rotate(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let key = found(&call, &desk).await?;
    let hours = Fields::of(&call)?.text("hours").parse().ok();
    let hours = hours
        .filter(|hours| OVERLAPS.contains(hours))
        .ok_or_else(|| Problem::bad_request("how long: expected 0, 1, 24 or 168 hours"))?;
    // The new secret is in the hands of whoever asks.
    if !Scopes::stored(&key.scopes).within(call.who.grants()) {
        return Err(Problem::bad_request("this key may do more than you may grant"));
    }
    let until = call.now.saturating_add(hours * HOUR);
    let store = call.store();
    let made = manage::rotate(&store, desk.keys()?, &key, &desk.payer, (call.now, until));
    let made = made.await.map_err(told)?;
    page::refreshed(&call).await?;
    shown(&call, &desk, &made, Some(until))
}

/// `POST /keys/{id}/revoke`
pub(crate) async fn revoke(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let key = found(&call, &desk).await?;
    call.store().revoke_key(desk.keys()?, key.id, call.now).await.map_err(told)?;
    page::refreshed(&call).await?;
    Ok(page::go("/keys?done=key-revoked"))
}
