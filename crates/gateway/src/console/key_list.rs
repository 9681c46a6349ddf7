//! `/keys`, and the keys of a customer as operators see them.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use store::{Budget, BudgetOwner, Key, KeysWanted, ListedKey, Whose};
use uuid::Uuid;

use super::html::{self, Html};
use super::key_form;
use super::keys::state;
use super::list::{Column, Filter, List, Value, Wish};
use super::page::{self, Desk, Frame, told};
use super::{export, sums};
use crate::problem::Problem;
use crate::snapshot::Snapshot;
use crate::web::Call;

const PER_PAGE: u16 = 25;
const STATES: [(&str, &str); 5] = [
    ("active", "Active"),
    ("off", "Switched off"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
    ("all", "All, revoked ones too"),
];

/// A key with what the list tells of it.
struct Row {
    key: Key,
    spent: i64,
    budget: Option<Budget>,
    /// Whether it is somebody else's than who looks.
    foreign: bool,
    /// Whether who looks may open it.
    open: bool,
    now: i64,
}

const COLUMNS: &[Column<Row>] = &[
    Column::text("name", "Name", |row: &Row| Value::text(&row.key.name)).shown(name),
    Column::sheet("id", |row: &Row| Value::Text(row.key.id.to_string())),
    Column::sheet("prefix", |row: &Row| Value::text(&row.key.prefix)),
    Column::sheet("last4", |row: &Row| Value::text(&row.key.last4)),
    Column::sheet("user", |row: &Row| Value::text(&row.key.user)),
    Column::text("scopes", "Scopes", |row: &Row| Value::text(&row.key.scopes))
        .shown(|row| Html::text(&row.key.scopes.replace(' ', ", "))),
    Column::number("spent_usd", "Spent this month", |row: &Row| Value::Usd(row.spent.into())),
    Column::number("budget_usd", "Budget", |row: &Row| match &row.budget {
        Some(budget) => Value::Usd(budget.limit.pico().into()),
        None => Value::Nothing,
    })
    .shown(|row| match &row.budget {
        Some(budget) => {
            html::amount(budget.limit.pico()).and(&Html::text(key_form::each(budget.period)))
        }
        None => Html::text("none"),
    }),
    Column::sheet("budget_period", |row: &Row| match &row.budget {
        Some(budget) => Value::text(key_form::each(budget.period)),
        None => Value::Nothing,
    }),
    Column::time("created_at", "Made", |row: &Row| Value::Time(row.key.created_at))
        .shown(|row| Html::text(&html::day(row.key.created_at))),
    Column::time("last_used_at", "Last used", |row: &Row| Value::time(row.key.last_used_at)).shown(
        |row| {
            row.key.last_used_at.map_or_else(|| Html::text("never"), |at| html::since(at, row.now))
        },
    ),
    Column::sheet("expires_at", |row: &Row| Value::time(row.key.expires_at)),
    Column::text("state", "State", |row: &Row| Value::text(word(&row.key, row.now)))
        .shown(|row| state(&row.key, row.now)),
];

fn name(row: &Row) -> Html {
    let key = &row.key;
    let name = if key.name.is_empty() { "unnamed" } else { &key.name };
    let mut second =
        format!("<code>{}…{}</code>", html::escape(&key.prefix), html::escape(&key.last4));
    if row.foreign {
        second.push_str(" of ");
        second.push_str(&html::escape(&key.user));
    }
    let name =
        if row.open { Html::link(&format!("/keys/{}", key.id), name) } else { Html::text(name) };
    name.below(&Html::of(second))
}

/// As the store tells states apart.
fn word(key: &Key, now: i64) -> &'static str {
    if key.revoked_at.is_some() {
        "revoked"
    } else if key.expires_at.is_some_and(|at| at <= now) {
        "expired"
    } else if key.disabled_at.is_some() || key.user_disabled_at.is_some() {
        "off"
    } else {
        "active"
    }
}

#[derive(Template)]
#[template(path = "keys.html")]
struct Page {
    frame: Frame,
    payer: String,
    /// Whether an operator looks at a customer's.
    of_customer: bool,
    list: List,
}

/// `GET /keys`
pub(crate) async fn own(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    page::settled(&call).await;
    let (whose, payer) = (desk.keys()?, desk.payer.clone());
    let frame = Frame::new(&call, &desk, "API keys");
    show(&call, frame, (whose, payer, false), desk.person.id).await
}

/// `GET /operator/customers/{name}/keys`
pub(crate) async fn of_customer(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    page::settled(&call).await;
    let user = call.app.store.user(call.param("name")).await.map_err(told)?;
    let list = match user.kind.as_str() {
        "organization" => "/operator/organizations",
        _ => "/operator/users",
    };
    let frame = Frame::new(&call, &desk, "API keys").under(list);
    show(&call, frame, (Whose::Accounts(user.account_id), user.name, true), user.id).await
}

async fn show(
    call: &Call,
    frame: Frame,
    (whose, payer, of_customer): (Whose, String, bool),
    viewer: Uuid,
) -> Result<Response, Problem> {
    let wish = Wish::listed(call, "", (&store::KEYS, COLUMNS), "-created_at")?;
    let (store, now) = (call.app.store.clone(), call.now);
    let wanted = Arc::new(KeysWanted {
        whose,
        part: wish.field("q").to_owned(),
        user: wish.field("user").to_owned(),
        state: wish.one_of("state", &STATES)?,
        month: sums::month_of(now).0,
        now,
    });
    let snapshot = call.app.snapshots.current();
    let read = move |seek: store::Seek| {
        let (store, wanted, snapshot) = (store.clone(), Arc::clone(&wanted), Arc::clone(&snapshot));
        async move {
            let page = store.keys_list(&wanted, &seek).await?;
            let budgets = budgets(&snapshot);
            Ok(page.map(|ListedKey { key, spent }| Row {
                budget: budgets.get(&snapshot.budget_owner(key.id)).map(|one| *(*one)),
                foreign: key.user_id != viewer,
                open: !of_customer,
                key,
                spent,
                now,
            }))
        }
    };
    if wish.csv {
        let seek = wish.seek(&store::KEYS, export::ROWS)?;
        return export::listed(call, &format!("keys-{payer}.csv"), (COLUMNS, seek), read).await;
    }
    let seek = wish.seek(&store::KEYS, PER_PAGE)?;
    let page = read(seek.clone()).await.map_err(told)?;
    let mut filters =
        vec![Filter::Search { field: "q", label: "Name", hint: "Or some of the key" }];
    if !matches!(whose, Whose::UsersOfAccount(..)) {
        filters.push(Filter::Search { field: "user", label: "Whose", hint: "A user" });
    }
    filters.push(Filter::choice("state", "State", "All but revoked ones", &STATES));
    let list = wish.page("API keys", COLUMNS, (&page, &seek)).filters(&wish, filters);
    let list = if of_customer {
        list.or("No key spends from this account.", None)
    } else {
        list.or(
        "No key yet. A key lets a program ask models in your name, and you decide what it may spend.",
        Some(("/keys/new", "Make the first key")),
    )
    };
    page::show(&Page { frame, payer, of_customer, list })
}

/// Budgets by whose they are.
fn budgets(snapshot: &Snapshot) -> HashMap<BudgetOwner, &Budget> {
    let all = snapshot.budgets.values();
    all.map(|budget| (budget.owner, budget)).collect()
}
