//! `/organization`: who belongs to the organization that is looked at, and as what.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use store::{Member, Role, User};
use uuid::Uuid;

use super::html;
use super::page::{self, Desk, Fields, Frame, Notice, missing, told};
use crate::problem::Problem;
use crate::web::Call;

struct Row {
    member: Member,
    since: String,
    /// Whether whoever looks may change this member.
    open: bool,
    roles: Vec<(&'static str, bool)>,
}

#[derive(Template)]
#[template(path = "organization.html")]
struct Page {
    frame: Frame,
    name: String,
    role: &'static str,
    rows: Vec<Row>,
    manages: bool,
    roles: Vec<&'static str>,
}

fn organization(desk: &Desk) -> Result<(Uuid, Role), Problem> {
    desk.organization.ok_or_else(missing)
}

/// The roles that somebody of this one may give: nobody makes or unmakes an owner but an owner.
fn grants(role: Role) -> Vec<Role> {
    match role {
        Role::Owner => Role::ALL.to_vec(),
        Role::Admin => vec![Role::Admin, Role::Member, Role::Billing],
        Role::Member | Role::Billing => Vec::new(),
    }
}

/// `GET /organization`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let page = show(&call, None).await?;
    page::show(&page)
}

async fn show(call: &Call, notice: Option<Notice>) -> Result<Page, Problem> {
    let desk = Desk::of(call)?;
    let (id, role) = organization(&desk)?;
    let members = call.app.store.members(id).await.map_err(told)?;
    let grants = grants(role);
    let row = |member: Member| Row {
        since: html::day(member.created_at),
        open: grants.contains(&member.role),
        roles: grants.iter().map(|role| (role.name(), *role == member.role)).collect(),
        member,
    };
    Ok(Page {
        frame: Frame::new(call, &desk, "Organization").saying(notice),
        name: desk.payer.clone(),
        role: role.name(),
        rows: members.into_iter().map(row).collect(),
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

/// The organization and the member whom a form names, where whoever sends it may change that member.
async fn meant(call: &Call, fields: &Fields) -> Result<(User, User, Vec<Role>), Problem> {
    let desk = Desk::of(call)?;
    let (id, role) = organization(&desk)?;
    let grants = grants(role);
    let forbidden =
        |message: &'static str| Problem::new(StatusCode::FORBIDDEN, "forbidden", message);
    if grants.is_empty() {
        return Err(forbidden("your role does not let you manage members"));
    }
    let store = &call.app.store;
    let user = store.user(fields.text("user")).await.ok().filter(|user| user.kind == "person");
    let user = user.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is no such user; ask the operator to add them",
        )
    })?;
    let members = store.members(id).await.map_err(told)?;
    let now = members.iter().find(|member| member.user_id == user.id);
    if now.is_some_and(|member| !grants.contains(&member.role)) {
        return Err(forbidden("only an owner changes an owner"));
    }
    let organization = store.user_by_id(id).await.map_err(told)?;
    Ok((organization, user, grants))
}

/// `POST /organization/members`: takes somebody in, or changes as what.
pub(crate) async fn set(call: Call) -> Result<Response, Problem> {
    let fields = Fields::of(&call)?;
    let done = async {
        let (organization, user, grants) = meant(&call, &fields).await?;
        let role = Role::from_name(fields.text("role")).filter(|role| grants.contains(role));
        let role = role.ok_or_else(|| Problem::bad_request("role: you cannot give this one"))?;
        call.store().set_member(&organization, &user, role, call.now).await.map_err(told)?;
        Ok("member-set")
    };
    let done = done.await;
    answer(&call, done).await
}

/// `POST /organization/members/remove`
pub(crate) async fn remove(call: Call) -> Result<Response, Problem> {
    let fields = Fields::of(&call)?;
    let done = async {
        let (organization, user, _) = meant(&call, &fields).await?;
        call.store().remove_member(&organization, &user, call.now).await.map_err(told)?;
        Ok("member-removed")
    };
    let done = done.await;
    answer(&call, done).await
}
