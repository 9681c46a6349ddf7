//! `/operator/audit`: who did what to the place.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use store::{Act, ActFilter, Seek};

use super::super::export;
use super::super::html::Html;
use super::super::list::{Column, Filter, List, Value, Wish};
use super::super::page::{self, Desk, Frame, told};
use crate::problem::Problem;
use crate::web::Call;

const PER_PAGE: u16 = 50;
const ACTIONS: [&str; 42] = [
    "account.pays",
    "alias.remove",
    "alias.set",
    "auth_code.create",
    "auth_code.refuse",
    "budget.remove",
    "budget.set",
    "credit.add",
    "credit.adjust",
    "key.change",
    "key.create",
    "key.revoke",
    "key.rotate",
    "limit.remove",
    "limit.set",
    "link.create",
    "member.remove",
    "member.set",
    "model.hide",
    "model.unhide",
    "own_key.change",
    "own_key.check",
    "own_key.remove",
    "own_key.reseal",
    "own_key.set",
    "prices.import",
    "provider.credential.check",
    "provider.credential.remove",
    "provider.credential.reseal",
    "provider.credential.set",
    "replica.release",
    "session.begin",
    "session.end",
    "session.end_others",
    "session.fail",
    "usage.import",
    "user.create",
    "user.disable",
    "user.enable",
    "user.identity",
    "user.operator",
    "user.password",
];

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    list: List,
}

const COLUMNS: &[Column<Act>] = &[
    Column::number("number", "No.", |act: &Act| Value::Number(act.number.into())),
    Column::time("at", "When", |act: &Act| Value::time(Some(act.at).filter(|at| *at != 0))),
    Column::text("actor", "Who", |act: &Act| Value::text(&act.actor))
        .shown(|act| Html::text(&act.actor).below(&Html::text(&act.via))),
    Column::sheet("actor_id", |act: &Act| match act.actor_id {
        Some(id) => Value::Text(id.to_string()),
        None => Value::Nothing,
    }),
    Column::sheet("via", |act: &Act| Value::text(&act.via)),
    Column::text("action", "What", |act: &Act| Value::text(&act.action))
        .shown(|act| Html::badge("plain", &act.action)),
    Column::text("target", "To what", |act: &Act| Value::text(&act.target))
        .shown(|act| Html::code(&act.target)),
    Column::text("detail", "Detail", |act: &Act| Value::text(&act.detail))
        .shown(|act| detail(&act.detail)),
];

/// `GET /operator/audit`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    // What was refused in the last minute is a number that is not written yet.
    call.app.people.refusals.settle(&call.app.store, call.now).await;
    let wish = Wish::listed(&call, "", (&store::ACTS, COLUMNS), "-number")?;
    let (from, to) = wish.days()?;
    let wanted = Arc::new(ActFilter {
        action: wish.field("action").to_owned(),
        actor: wish.field("actor").to_owned(),
        from,
        to,
    });
    let store = call.app.store.clone();
    let read = move |seek: Seek| {
        let (store, wanted) = (store.clone(), Arc::clone(&wanted));
        async move { store.acts_page(&wanted, &seek).await }
    };
    if wish.csv {
        let seek = wish.seek(&store::ACTS, export::ROWS)?;
        return export::listed(&call, "audit.csv", (COLUMNS, seek), read).await;
    }
    let seek = wish.seek(&store::ACTS, PER_PAGE)?;
    let page = read(seek.clone()).await.map_err(told)?;
    let actions = ACTIONS.map(|action| (action, action));
    let filters = vec![
        Filter::choice("action", "What", "Everything", &actions),
        Filter::Search { field: "actor", label: "Who", hint: "A name" },
        Filter::Days,
    ];
    let list = wish.page("Audit log", COLUMNS, (&page, &seek)).filters(&wish, filters);
    let list = list.or("Nothing was done yet.", None);
    page::show(&Page { frame: Frame::new(&call, &desk, "Audit log"), list })
}

/// What a JSON object says, one field after the other.
fn detail(text: &str) -> Html {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else {
        return Html::code(text);
    };
    let told = fields.iter().map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name} {text}"),
        value => format!("{name} {value}"),
    });
    Html::text(&told.collect::<Vec<_>>().join(", "))
}
