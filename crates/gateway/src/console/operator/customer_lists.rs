//! The lists on the page of a customer: entries of the ledger, members, what came of which model.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use store::{EntriesWanted, Grain, Member, Rollup, Seek, Transaction, User};

use super::super::html::Html;
use super::super::key_form::each;
use super::super::keys::standing;
use super::super::list::{Column, Filter, List, Value, Wish};
use super::super::page::{DAY, told};
use super::super::{export, html, overview};
use super::customers::BudgetRow;
use crate::problem::Problem;
use crate::web::Call;

/// The names of the lists.
const ENTRIES: &str = "entries";
const MEMBERS: &str = "members";
const BUDGETS: &str = "budgets";
const PER_PAGE: u16 = 25;
const KINDS: [(&str, &str); 9] = [
    ("usage", "Usage"),
    ("top_up", "Credit, paid"),
    ("promo", "Credit, a gift"),
    ("expire", "Credit that expired"),
    ("credit_note", "Credit notes"),
    ("adjustment", "Charges"),
    ("refund", "Refunds"),
    ("absorb", "What the house took over"),
    ("opening", "What was before"),
];

const ENTRY: &[Column<Transaction>] = &[
    Column::time("created_at", "When", |one: &Transaction| Value::Time(one.created_at)),
    Column::text("kind", "What", |one: &Transaction| Value::text(&one.kind)).shown(|one| {
        Html::text(&one.kind.replace('_', " ")).below(&Html::code(&one.id.to_string()))
    }),
    Column::sheet("id", |one: &Transaction| Value::Text(one.id.to_string())),
    Column::number("amount_usd", "USD", |one: &Transaction| Value::Usd(one.amount.into())),
    Column::text("reason", "Why", |one: &Transaction| Value::text(&one.reason)).shown(|one| {
        let corrects = one.corrects.map(|id| format!(" (corrects {id})"));
        Html::text(&format!("{}{}", one.reason, corrects.unwrap_or_default()))
    }),
    Column::sheet("corrects", |one: &Transaction| match one.corrects {
        Some(id) => Value::Text(id.to_string()),
        None => Value::Nothing,
    }),
    Column::text("actor", "By", |one: &Transaction| Value::text(&one.actor)),
];

/// Members of an organization.
pub(in super::super) const MEMBER: &[Column<Member>] = &[
    Column::text("name", "Member", |one: &Member| Value::text(&one.user))
        .shown(|one| Html::link(&format!("/operator/customers/{}", one.user), &one.user)),
    Column::sheet("user_id", |one: &Member| Value::Text(one.user_id.to_string())),
    Column::text("role", "Role", |one: &Member| Value::text(one.role.name())),
    Column::time("created_at", "Since", |one: &Member| Value::Time(one.created_at))
        .shown(|one| Html::text(&html::day(one.created_at))),
];

/// Organizations of a person.
const MEMBERSHIP: &[Column<Member>] = &[
    Column::text("organization", "Organization", |one: &Member| Value::text(&one.organization))
        .shown(|one| {
            Html::link(&format!("/operator/customers/{}", one.organization), &one.organization)
        }),
    Column::sheet("organization_id", |one: &Member| Value::Text(one.organization_id.to_string())),
    Column::text("role", "Role", |one: &Member| Value::text(one.role.name())),
    Column::time("created_at", "Since", |one: &Member| Value::Time(one.created_at))
        .shown(|one| Html::text(&html::day(one.created_at))),
];

#[derive(Template)]
#[template(path = "budget_out.html")]
struct OutForm<'a> {
    row: &'a BudgetRow,
}

const BUDGET: &[Column<BudgetRow>] = &[
    Column::text("whose", "Of", |row: &BudgetRow| Value::text(row.whose)),
    Column::text("each", "How often", |row: &BudgetRow| Value::text(each(row.budget.period)))
        .shown(|row| Html::whole(each(row.budget.period))),
    Column::number("limit_usd", "Limit", |row: &BudgetRow| {
        Value::Usd(row.budget.limit.pico().into())
    })
    .shown(|row| html::amount(row.budget.limit.pico())),
    Column::number("used_usd", "Used", |row: &BudgetRow| Value::Usd(row.budget.used.pico().into()))
        .shown(|row| html::amount(row.budget.used.pico()).below(&standing(&row.budget).1)),
    Column::page("Remove", |row| Html::of(OutForm { row }.render().unwrap_or_default())),
];

pub(super) fn budgets(call: &Call, rows: Vec<BudgetRow>) -> Result<List, Problem> {
    let wish = Wish::whole(call, BUDGETS, BUDGET, "whose")?;
    let rows = wish.sorted(BUDGET, rows);
    let list = wish.list("Budgets", BUDGET, &rows).titled("Budgets");
    Ok(list.or("No budget: only credit and the budgets of keys limit it.", None))
}

pub(super) fn budgets_sheet(
    call: &Call,
    rows: Vec<BudgetRow>,
    user: &User,
) -> Result<Option<Response>, Problem> {
    let wish = Wish::whole(call, BUDGETS, BUDGET, "whose")?;
    let rows = wish.sorted(BUDGET, rows);
    let file = format!("budgets-{}.csv", user.name);
    wish.csv.then(|| export::whole(&file, BUDGET, &rows)).transpose()
}

/// What the customer has used in the last 30 days.
pub(super) async fn rollups(
    call: &Call,
    user: &User,
) -> Result<((i64, i64), Vec<Rollup>), Problem> {
    let today = call.now / DAY;
    let days = (today - 29, today + 1);
    let rows = call.app.store.rollups(Grain::Account, user.account_id, days).await;
    Ok((days, rows.map_err(told)?))
}

/// The sheet of one of the lists, where it is wanted.
pub(super) async fn sheet(call: &Call, user: &User) -> Result<Option<Response>, Problem> {
    let file = |list: &str| format!("{list}-{}.csv", user.name);
    if overview::is_sheet(call) {
        let (_, rows) = rollups(call, user).await?;
        return overview::model_sheet(call, &file("models"), &rows).map(Some);
    }
    let (entries, wanted) = entries_wanted(call, user)?;
    let store = call.app.store.clone();
    if entries.csv {
        let wanted = Arc::new(wanted);
        let read = move |seek: Seek| {
            let (store, wanted) = (store.clone(), Arc::clone(&wanted));
            async move { store.entries_list(&wanted, &seek).await }
        };
        let seek = entries.seek(&store::ENTRIES, export::ROWS)?;
        return export::listed(call, &file(ENTRIES), (ENTRY, seek), read).await.map(Some);
    }
    if is_organization(user) {
        let members = Wish::listed(call, MEMBERS, (&store::MEMBERS, MEMBER), "name")?;
        if members.csv {
            return members_sheet(call, user, &members).await.map(Some);
        }
    } else {
        let wish = Wish::whole(call, MEMBERS, MEMBERSHIP, "organization")?;
        if wish.csv {
            let rows = store.memberships(user.id).await.map_err(told)?;
            let rows = wish.sorted(MEMBERSHIP, rows);
            return export::whole(&file("organizations"), MEMBERSHIP, &rows).map(Some);
        }
    }
    Ok(None)
}

/// The sheet of the members of an organization.
pub(in super::super) async fn members_sheet(
    call: &Call,
    organization: &User,
    wish: &Wish,
) -> Result<Response, Problem> {
    let (store, id) = (call.app.store.clone(), organization.id);
    let (part, role) = (wish.field("q").to_owned(), wish.one_of("role", &roles())?);
    let read = move |seek: Seek| {
        let (store, part, role) = (store.clone(), part.clone(), role.clone());
        async move { store.members_list(id, (&part, &role), &seek).await }
    };
    let seek = wish.seek(&store::MEMBERS, export::ROWS)?;
    export::listed(call, &format!("members-{}.csv", organization.name), (MEMBER, seek), read).await
}

fn is_organization(user: &User) -> bool {
    user.kind == "organization"
}

fn entries_wanted(call: &Call, user: &User) -> Result<(Wish, EntriesWanted), Problem> {
    let wish = Wish::listed(call, ENTRIES, (&store::ENTRIES, ENTRY), "-created_at")?;
    let ((from, to), kind) = (wish.days()?, wish.one_of("kind", &KINDS)?);
    Ok((wish, EntriesWanted { account_id: user.account_id, kind, from, to }))
}

pub(super) async fn entries(call: &Call, user: &User) -> Result<List, Problem> {
    let (wish, wanted) = entries_wanted(call, user)?;
    let seek = wish.seek(&store::ENTRIES, PER_PAGE)?;
    let page = call.app.store.entries_list(&wanted, &seek).await.map_err(told)?;
    let filters = vec![Filter::choice("kind", "What", "Everything", &KINDS), Filter::Days];
    let list = wish.page("Entries of the ledger", ENTRY, (&page, &seek)).filters(&wish, filters);
    Ok(list.titled("Entries of the ledger").or("Nothing was booked yet.", None))
}

/// What the roles in an organization are called.
pub(in super::super) fn roles() -> Vec<(&'static str, &'static str)> {
    store::Role::ALL.iter().map(|role| (role.name(), role.name())).collect()
}

pub(super) async fn members(call: &Call, user: &User) -> Result<List, Problem> {
    let store = &call.app.store;
    if !is_organization(user) {
        let wish = Wish::whole(call, MEMBERS, MEMBERSHIP, "organization")?;
        let rows = store.memberships(user.id).await.map_err(told)?;
        let rows = wish.sorted(MEMBERSHIP, rows);
        let list = wish.list("Organizations", MEMBERSHIP, &rows).titled("Organizations");
        return Ok(list.or("In no organization.", None));
    }
    let wish = Wish::listed(call, MEMBERS, (&store::MEMBERS, MEMBER), "name")?;
    let (part, role) = (wish.field("q"), wish.one_of("role", &roles())?);
    let seek = wish.seek(&store::MEMBERS, PER_PAGE)?;
    let page = store.members_list(user.id, (part, &role), &seek).await.map_err(told)?;
    let filters = vec![
        Filter::Search { field: "q", label: "Name", hint: "Search" },
        Filter::choice("role", "Which role", "All roles", &roles()),
    ];
    let list = wish.page("Members", MEMBER, (&page, &seek)).filters(&wish, filters);
    Ok(list.titled("Members").or("It has no members.", None))
}
