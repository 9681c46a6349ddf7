//! `/operator/users` and `/operator/organizations`: found, added, shut out, made operators.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use store::{ListedUser, NewUser, Seek, User, UsersWanted};

use super::super::html::{self, Html};
use super::super::list::{Column, Filter, List, Value, Wish};
use super::super::page::{self, Desk, Fields, Frame, Notice, told};
use super::super::{export, sums};
use crate::clock;
use crate::manage::organizations::{self, Authority};
use crate::manage::people;
use crate::problem::Problem;
use crate::web::Call;

const PER_PAGE: u16 = 50;

#[derive(Template)]
#[template(path = "users.html")]
struct Page {
    frame: Frame,
    organizations: bool,
    path: &'static str,
    list: List,
}

const STATES: [(&str, &str); 2] = [("active", "Active"), ("off", "Shut out")];
const ROLES: [(&str, &str); 2] = [("customer", "Customers"), ("operator", "Operators")];
const PAYS: [(&str, &str); 2] = [("first", "Pays first"), ("later", "Pays later")];

const COLUMNS: &[Column<ListedUser>] = &[
    Column::text("name", "Name", |row: &ListedUser| Value::text(&row.user.name))
        .shown(|row| Html::link(&format!("/operator/customers/{}", row.user.name), &row.user.name)),
    Column::sheet("id", |row: &ListedUser| Value::Text(row.user.id.to_string())),
    Column::sheet("account_id", |row: &ListedUser| Value::Text(row.user.account_id.to_string())),
    Column::text("role", "Role", |row: &ListedUser| Value::text(role(&row.user))).shown(|row| {
        Html::badge(if row.user.operator { "accent" } else { "plain" }, role(&row.user))
    }),
    Column::text("pays", "Pays", |row: &ListedUser| {
        Value::text(if row.user.prepaid { "first" } else { "later" })
    }),
    Column::number("balance_usd", "Balance", |row: &ListedUser| Value::Usd(row.balance.into())),
    Column::number("spent_usd", "Spent this month", |row: &ListedUser| {
        Value::Usd(row.spent.into())
    }),
    Column::time("created_at", "Since", |row: &ListedUser| Value::Time(row.user.created_at))
        .shown(|row| Html::text(&html::day(row.user.created_at))),
    Column::text("state", "State", |row: &ListedUser| {
        Value::text(if row.user.disabled_at.is_some() { "off" } else { "active" })
    })
    .shown(|row| state(&row.user)),
];

fn role(user: &User) -> &str {
    match (user.kind.as_str(), user.operator) {
        (_, true) => "operator",
        ("person", _) => "customer",
        (kind, _) => kind,
    }
}

/// `GET /operator/users`
pub(crate) async fn users(call: Call) -> Result<Response, Problem> {
    get(&call, false).await
}

/// `GET /operator/organizations`
pub(crate) async fn organizations(call: Call) -> Result<Response, Problem> {
    get(&call, true).await
}

fn wish(call: &Call, organizations: bool) -> Result<(Wish, UsersWanted), Problem> {
    let wish = Wish::listed(call, "", (&store::USERS, COLUMNS), "name")?;
    let wanted = UsersWanted {
        kind: if organizations { "organization" } else { "person" },
        part: wish.field("q").to_owned(),
        state: wish.one_of("state", &STATES)?,
        role: wish.one_of("role", &ROLES)?,
        pays: wish.one_of("pays", &PAYS)?,
        month: sums::month_of(call.now).0,
    };
    Ok((wish, wanted))
}

async fn get(call: &Call, organizations: bool) -> Result<Response, Problem> {
    let (wish, wanted) = wish(call, organizations)?;
    if wish.csv {
        let seek = wish.seek(&store::USERS, export::ROWS)?;
        let name = if organizations { "organizations.csv" } else { "users.csv" };
        let (store, wanted) = (call.app.store.clone(), Arc::new(wanted));
        let read = move |seek: Seek| {
            let (store, wanted) = (store.clone(), Arc::clone(&wanted));
            async move { store.users_list(&wanted, &seek).await }
        };
        return export::listed(call, name, (COLUMNS, seek), read).await;
    }
    page::show(&show(call, organizations, None).await?)
}

async fn show(call: &Call, organizations: bool, notice: Option<Notice>) -> Result<Page, Problem> {
    let desk = Desk::of(call)?;
    let (wish, wanted) = wish(call, organizations)?;
    let seek = wish.seek(&store::USERS, PER_PAGE)?;
    let page = call.app.store.users_list(&wanted, &seek).await.map_err(told)?;
    let (path, title) = if organizations {
        ("/operator/organizations", "Organizations")
    } else {
        ("/operator/users", "Users")
    };
    let mut filters = vec![Filter::Search { field: "q", label: "Find a name", hint: "Search" }];
    if !organizations {
        filters.push(Filter::choice("role", "Role", "All roles", &ROLES));
    }
    filters.push(Filter::choice("pays", "Pays", "First or later", &PAYS));
    filters.push(Filter::choice("state", "State", "All states", &STATES));
    let list = wish.page(title, COLUMNS, (&page, &seek)).filters(&wish, filters);
    let list = list.or("There is none yet. Add the first below.", None);
    let frame = Frame::new(call, &desk, title).saying(notice);
    Ok(Page { frame, organizations, path, list })
}

pub(super) fn state(user: &User) -> Html {
    match user.disabled_at {
        Some(_) => Html::badge("bad", "shut out"),
        None => Html::badge("good", "active"),
    }
}

/// `POST /operator/users` and, with an owner, `POST /operator/organizations`
pub(crate) async fn create(call: Call) -> Result<Response, Problem> {
    let fields = Fields::of(&call)?;
    let organizations = call.parts.uri.path() == "/operator/organizations";
    match add(&call, &fields, organizations).await {
        Ok(user) => {
            page::refreshed(&call).await?;
            let done = if organizations { "organization-created" } else { "user-created" };
            Ok(page::go(&format!("/operator/customers/{}?done={done}", user.name)))
        }
        Err(problem) if problem.status.is_client_error() => {
            let status = problem.status;
            let notice = Notice::bad(problem.message.into_owned());
            let page = show(&call, organizations, Some(notice)).await?;
            page::show_as(status, &page)
        }
        Err(problem) => Err(problem),
    }
}

async fn add(call: &Call, fields: &Fields, organization: bool) -> Result<User, Problem> {
    let name = people::name(fields.text("name")).map_err(page::wrong("name"))?;
    let prepaid = fields.is_on("prepaid");
    if organization {
        let owner = call.app.store.user(fields.text("owner")).await;
        let owner = owner.map_err(|_| Problem::bad_request("owner: there is no such user"))?;
        let by = Authority::Operator;
        return Ok(organizations::create(&call.store(), by, name, &owner, prepaid).await?);
    }
    let new = NewUser {
        id: clock::new_id(),
        account_id: clock::new_id(),
        name,
        owner: None,
        operator: fields.is_on("operator"),
        prepaid,
        created_at: call.now,
    };
    call.store().add_user(new).await.map_err(told)
}
