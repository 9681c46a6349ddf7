//! `/organization`: who belongs to the organization that is looked at, and as what.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use store::{Member, Role, User};
use uuid::Uuid;

use super::html::{self, Html};
use super::list::{Column, Filter, List, Value, Wish};
use super::operator::customer_lists::{members_sheet, roles};
use super::page::{self, Desk, Fields, Frame, Notice, missing, told};
use crate::manage::organizations::{self, Authority};
use crate::problem::Problem;
use crate::web::Call;

const PER_PAGE: u16 = 50;

/// A member with what whoever looks may do about them.
struct Row {
    member: Member,
    csrf: String,
    /// Whether whoever looks may change this member.
    open: bool,
    roles: Vec<(&'static str, bool)>,
}

#[derive(Template)]
#[template(path = "member_role.html")]
struct RoleForm<'a> {
    row: &'a Row,
}

#[derive(Template)]
#[template(path = "member_out.html")]
struct OutForm<'a> {
    row: &'a Row,
}

fn form(form: &impl Template) -> Html {
    Html::of(form.render().unwrap_or_default())
}

const COLUMNS: &[Column<Row>] = &[
    Column::text("name", "Name", |row: &Row| Value::text(&row.member.user)),
    Column::sheet("user_id", |row: &Row| Value::Text(row.member.user_id.to_string())),
    Column::text("role", "Role", |row: &Row| Value::text(row.member.role.name())).shown(|row| {
        if row.open { form(&RoleForm { row }) } else { Html::text(row.member.role.name()) }
    }),
    Column::time("created_at", "Since", |row: &Row| Value::Time(row.member.created_at))
        .shown(|row| Html::text(&html::day(row.member.created_at))),
    Column::page("Change", |row| if row.open { form(&OutForm { row }) } else { Html::default() }),
];

#[derive(Template)]
#[template(path = "organization.html")]
struct Page {
    frame: Frame,
    name: String,
    role: &'static str,
    list: List,
    manages: bool,
    roles: Vec<&'static str>,
}

fn organization(desk: &Desk) -> Result<(Uuid, Role), Problem> {
    desk.organization.ok_or_else(missing)
}

/// The roles that somebody of this one may give to whoever has none.
fn grants(role: Role) -> Vec<Role> {
    let by = Authority::Member(role);
    Role::ALL.into_iter().filter(|then| by.may_change(None, Some(*then))).collect()
}

/// `GET /organization`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let (id, _) = organization(&desk)?;
    let wish = Wish::listed(&call, "", (&store::MEMBERS, COLUMNS), "name")?;
    if wish.csv {
        let organization = call.app.store.user_by_id(id).await.map_err(told)?;
        return members_sheet(&call, &organization, &wish).await;
    }
    let page = show(&call, None).await?;
    page::show(&page)
}

async fn show(call: &Call, notice: Option<Notice>) -> Result<Page, Problem> {
    let desk = Desk::of(call)?;
    let (id, role) = organization(&desk)?;
    let wish = Wish::listed(call, "", (&store::MEMBERS, COLUMNS), "name")?;
    let seek = wish.seek(&store::MEMBERS, PER_PAGE)?;
    let wanted = (wish.field("q"), wish.one_of("role", &roles())?);
    let page = call.app.store.members_list(id, (wanted.0, &wanted.1), &seek).await;
    let grants = grants(role);
    let page = page.map_err(told)?.map(|member: Member| Row {
        csrf: desk.csrf.clone(),
        open: Authority::Member(role).may_change(Some(member.role), None),
        roles: grants.iter().map(|role| (role.name(), *role == member.role)).collect(),
        member,
    });
    let filters = vec![
        Filter::Search { field: "q", label: "Name", hint: "Search" },
        Filter::choice("role", "Which role", "All roles", &roles()),
    ];
    let list = wish.page("Members", COLUMNS, (&page, &seek)).filters(&wish, filters);
    Ok(Page {
        frame: Frame::new(call, &desk, "Organization").saying(notice),
        name: desk.payer.clone(),
        role: role.name(),
        list: list.titled("Members").or("Nobody is here.", None),
        manages: desk.manages(),
        roles: grants.iter().rev().map(|role| role.name()).collect(),
    })
}

/// What an act did, or why it did not, on the page itself.
async fn answer(call: &Call, done: Result<&str, Problem>) -> Result<Response, Problem> {
    match done {
        Ok(done) => {
            page::refreshed(call).await?;
            Ok(page::go(&format!("/organization?done={done}")))
        }
        Err(problem) if problem.status.is_client_error() => {
            let status = problem.status;
            let page = show(call, Some(Notice::bad(problem.message.into_owned()))).await?;
            page::show_as(status, &page)
        }
        Err(problem) => Err(problem),
    }
}

/// The organization that is looked at and the member whom a form names, with what whoever sends it may say there.
async fn meant(call: &Call, fields: &Fields) -> Result<(User, User, Authority), Problem> {
    let desk = Desk::of(call)?;
    let (id, role) = organization(&desk)?;
    let store = &call.app.store;
    let user = store.user(fields.text("user")).await.map_err(|_| {
        let message = "there is no such user; ask the operator to add them";
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    })?;
    let organization = store.user_by_id(id).await.map_err(told)?;
    Ok((organization, user, Authority::Member(role)))
}

/// `POST /organization/members`: takes somebody in, or changes as what.
pub(crate) async fn set(call: Call) -> Result<Response, Problem> {
    let fields = Fields::of(&call)?;
    let done = async {
        let (organization, user, by) = meant(&call, &fields).await?;
        let role = Role::from_name(fields.text("role"));
        let role = role.ok_or_else(|| Problem::bad_request("role: there is no such one"))?;
        organizations::set_member(&call.store(), by, &organization, &user, role).await?;
        Ok("member-set")
    };
    let done = done.await;
    answer(&call, done).await
}

/// `POST /organization/members/remove`
pub(crate) async fn remove(call: Call) -> Result<Response, Problem> {
    let fields = Fields::of(&call)?;
    let done = async {
        let (organization, user, by) = meant(&call, &fields).await?;
        organizations::remove_member(&call.store(), by, &organization, &user).await?;
        Ok("member-removed")
    };
    let done = done.await;
    answer(&call, done).await
}
