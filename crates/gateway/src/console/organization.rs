//! `/organization`: who belongs to the organization that is looked at, and as what.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use store::{Member, Role, User};
use uuid::Uuid;

use super::html;
use super::page::{self, Desk, Fields, Frame, Notice, missing, told};
use crate::manage::organizations::{self, Authority};
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

/// The roles that may be given to somebody new.
fn grants(by: Authority) -> Vec<Role> {
    Role::ALL.into_iter().filter(|role| by.may_change(None, Some(*role))).collect()
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
    let by = Authority::of(&desk.person, desk.account);
    let grants = grants(by);
    let row = |member: Member| Row {
        since: html::day(member.created_at),
        open: by.may_change(Some(member.role), None),
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

/// The organization and the person whom a form names, and by what it is sent.
async fn meant(call: &Call, fields: &Fields) -> Result<(User, User, Authority), Problem> {
    let desk = Desk::of(call)?;
    let (id, _) = organization(&desk)?;
    let by = Authority::of(&desk.person, desk.account);
    let store = &call.app.store;
    let user = store.user(fields.text("user")).await.map_err(|_| {
        let message = "there is no such user; ask the operator to add them";
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    })?;
    Ok((store.user_by_id(id).await.map_err(told)?, user, by))
}

/// `POST /organization/members`: takes somebody in, or changes as what.
pub(crate) async fn set(call: Call) -> Result<Response, Problem> {
    let fields = Fields::of(&call)?;
    let done = async {
        let (organization, user, by) = meant(&call, &fields).await?;
        let role = Role::from_name(fields.text("role"));
        let role = role.ok_or_else(|| Problem::bad_request("role: expected one of the list"))?;
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
