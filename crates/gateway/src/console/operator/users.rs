//! `/operator/users` and `/operator/organizations`: found, added, shut out, made operators.

use askama::Template;
use axum::response::Response;
use store::{NewUser, User};

use super::super::html::{self, Html, Table};
use super::super::page::{self, Desk, Fields, Frame, Notice, query, told};
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
    search: String,
    table: Table,
    next: Option<String>,
    first: bool,
}

/// `GET /operator/users`
pub(crate) async fn users(call: Call) -> Result<Response, Problem> {
    let page = show(&call, false, None).await?;
    page::show(&page)
}

/// `GET /operator/organizations`
pub(crate) async fn organizations(call: Call) -> Result<Response, Problem> {
    let page = show(&call, true, None).await?;
    page::show(&page)
}

async fn show(call: &Call, organizations: bool, notice: Option<Notice>) -> Result<Page, Problem> {
    let desk = Desk::of(call)?;
    let (kind, path, title) = if organizations {
        ("organization", "/operator/organizations", "Organizations")
    } else {
        ("person", "/operator/users", "Users")
    };
    let (search, after) = (query(call, "q").unwrap_or_default(), query(call, "after"));
    let from = after.as_deref().unwrap_or_default();
    let store = &call.app.store;
    let users = store.users_page((kind, &search), from, PER_PAGE + 1).await.map_err(told)?;
    let more = users.len() > usize::from(PER_PAGE);
    let shown = users.get(..usize::from(PER_PAGE)).unwrap_or(&users);
    let next = shown.last().filter(|_| more).map(|last| {
        let pairs = [("q", search.as_str()), ("after", &last.name)];
        format!("{path}?{}", serde_urlencoded::to_string(pairs).unwrap_or_default())
    });
    let names = ["Name", "Role", "Pays", "Since", "State"];
    let table = Table::new(title, &names, shown.iter().map(row).collect());
    let table = if search.is_empty() {
        table.or("There is none yet. Add the first below.", None)
    } else {
        table.or("No name has that in it.", Some((path, "Show all")))
    };
    let frame = Frame::new(call, &desk, title).saying(notice);
    Ok(Page { frame, organizations, path, search, table, next, first: after.is_none() })
}

fn row(user: &User) -> Vec<Html> {
    let role = match (user.kind.as_str(), user.operator) {
        (_, true) => Html::badge("accent", "operator"),
        ("organization", _) => Html::badge("plain", "organization"),
        _ => Html::badge("plain", "customer"),
    };
    vec![
        Html::link(&format!("/operator/customers/{}", user.name), &user.name),
        role,
        Html::text(if user.prepaid { "first" } else { "later" }),
        Html::text(&html::day(user.created_at)),
        state(user),
    ]
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
