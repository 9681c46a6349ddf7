//! The pages on which people sign in, sign out and choose passwords.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use store::{Actor, LinkPurpose, NewUser, Store, StoreError, User};
use uuid::Uuid;

use super::password;
use super::refusals::NOBODY;
use crate::auth::Asked;
use crate::clock;
use crate::manage::people;
use crate::problem::Problem;
use crate::web::{Call, Proof, SignedIn, Who, session};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    problem: &'a str,
    user: &'a str,
    next: &'a str,
    /// Where else people may sign in; empty for nowhere.
    elsewhere: &'a str,
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'a> {
    problem: &'a str,
    done: bool,
    user: &'a str,
    /// Of the session, where somebody changes a password that there is.
    csrf: &'a str,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage<'a> {
    problem: &'a str,
    user: &'a str,
}

#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct NoticePage<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

/// A page with that status.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(Problem::internal)?;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    Ok((status, [(header::CONTENT_TYPE, html)], text).into_response())
}

/// The same, for somebody who has to wait.
pub(super) fn waiting(problem: &Problem, template: &impl Template) -> Result<Response, Problem> {
    let mut response = page(problem.status, template)?;
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

/// Where somebody goes on who has signed in: a page of ours, or else the first.
pub(super) fn local(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let ours = next.starts_with('/') && !next.starts_with("//");
    if plain && ours && next.len() <= 2_048 { next } else { "/" }
}

/// `GET /sign-in`
pub(crate) async fn sign_in_page(call: Call) -> Result<Response, Problem> {
    let Next { next } = call.query()?;
    let next = local(&next);
    let elsewhere = elsewhere(&call, next);
    page(StatusCode::OK, &SignInPage { problem: "", user: "", next, elsewhere: &elsewhere })
}

/// A link and not a form, whose way to another site the page's policy would not let anybody go.
fn elsewhere(call: &Call, next: &str) -> String {
    if !call.app.people.sign_in_elsewhere() {
        return String::new();
    }
    let query = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
    format!("/sign-in/oidc?{query}")
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /sign-in`
pub(crate) async fn sign_in(call: Call) -> Result<Response, Problem> {
    let SignIn { user: name, password, next } = call.form()?;
    let (name, next) = (name.trim(), local(&next));
    let elsewhere = elsewhere(&call, next);
    let again = |problem| SignInPage { problem, user: name, next, elsewhere: &elsewhere };
    if let Err(problem) = count(&call, name) {
        refused(&call, name, "password").await;
        return waiting(&problem, &again("Too many tries. Wait a little, and try again."));
    }
    if let Some(user) = password::person(&call.app.store, name, password).await? {
        return enter(&call, &user, next, "password").await;
    }
    tracing::warn!(from = %call.from(), "a sign-in was refused");
    refused(&call, name, "password").await;
    page(StatusCode::UNAUTHORIZED, &again("There is no such user with that password."))
}

/// Notes a sign-in that was refused: of somebody whose name it is, or of nobody.
pub(super) async fn refused(call: &Call, name: &str, by: &'static str) {
    let user = call.app.store.user(name).await.ok().filter(|user| user.kind == "person");
    let target = user.map_or_else(|| NOBODY.to_owned(), |user| format!("person {}", user.name));
    let refusals = &call.app.people.refusals;
    refusals.note(&call.app.store, &target, (by, call.from()), call.now).await;
}

fn count(call: &Call, name: &str) -> Result<(), Problem> {
    call.app.people.attempts.count(name, call.from(), call.now)
}

impl Call {
    /// Where it comes from.
    pub(super) fn from(&self) -> std::net::IpAddr {
        let peer = Asked::of(&self.parts, self.now).peer;
        self.app.snapshots.current().proxies.client(peer, &self.parts.headers)
    }

    /// The session that it comes in, if any.
    fn session(&self) -> Option<(&SignedIn, store::SecretHash, &str)> {
        match &self.who {
            Who::Person(signed_in) => match &signed_in.proof {
                Proof::Session { hash, csrf } => Some((signed_in, *hash, csrf)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Signs somebody in who has proved who it is, in a session that is new. The one that the browser was in ends.
pub(super) async fn enter(
    call: &Call,
    user: &User,
    next: &str,
    by: &str,
) -> Result<Response, Problem> {
    if let Some((_, hash, _)) = call.session() {
        call.store().end_session(hash).await.map_err(Problem::store)?;
    }
    let how = (by, call.from());
    let cookie = session::begin(&call.app, &as_user(call, user), user, how, call.now).await?;
    // The session is of no use to a program that has not heard of its user.
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response())
}

fn as_user(call: &Call, user: &User) -> Store {
    let (id, name) = (Some(user.id), user.name.clone());
    call.app.store.by(Actor { id, name, via: "console", at: call.now })
}

/// `POST /sign-out`
pub(crate) async fn sign_out(call: Call) -> Result<Response, Problem> {
    if let Some((_, hash, _)) = call.session() {
        call.store().end_session(hash).await.map_err(Problem::store)?;
    }
    let cookie = session::end(&call.app);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response())
}

#[derive(Deserialize)]
struct Chosen {
    password: String,
    again: String,
}

impl Chosen {
    fn check(&self) -> Result<(), String> {
        if self.password != self.again {
            return Err("The two passwords are not the same.".to_owned());
        }
        password::check(&self.password)
    }
}

/// What somebody sees whose address does not work.
fn no_link() -> Result<Response, Problem> {
    let title = "Nothing here";
    let text = "This address does not work, or no longer: ask for another.";
    page(StatusCode::NOT_FOUND, &NoticePage { title, text })
}

/// Whose password the address is for.
async fn link_user(call: &Call) -> Result<Option<User>, Problem> {
    let hash = session::hash(call.param("token"));
    let id = call.app.store.password_link(hash, call.now).await.map_err(Problem::store)?;
    let Some(id) = id else { return Ok(None) };
    let user = call.app.store.user_by_id(id).await.map_err(Problem::store)?;
    Ok(Some(user).filter(|user| user.disabled_at.is_none()))
}

/// `GET /password/{token}`
pub(crate) async fn password_page(call: Call) -> Result<Response, Problem> {
    let Some(user) = link_user(&call).await? else { return no_link() };
    let form = PasswordPage { problem: "", done: false, user: &user.name, csrf: "" };
    page(StatusCode::OK, &form)
}

/// `POST /password/{token}`
pub(crate) async fn choose_password(call: Call) -> Result<Response, Problem> {
    let Some(user) = link_user(&call).await? else { return no_link() };
    let chosen: Chosen = call.form()?;
    if let Err(problem) = chosen.check() {
        let again = PasswordPage { problem: &problem, done: false, user: &user.name, csrf: "" };
        return page(StatusCode::BAD_REQUEST, &again);
    }
    let hash = password::hash(chosen.password).await.map_err(Problem::internal)?;
    let link = (session::hash(call.param("token")), LinkPurpose::Password(user.id));
    if !call.app.store.use_link(link.0, link.1, call.now).await.map_err(Problem::store)? {
        return no_link();
    }
    as_user(&call, &user).set_password(&user, &hash, None).await.map_err(Problem::store)?;
    enter(&call, &user, "/", "link").await
}

/// Whether the address makes an operator: while there is none.
async fn is_welcome(call: &Call) -> Result<bool, Problem> {
    let (store, hash) = (&call.app.store, session::hash(call.param("token")));
    let good = store.operator_link(hash, call.now).await.map_err(Problem::store)?;
    Ok(good && store.operators().await.map_err(Problem::store)? == 0)
}

/// `GET /welcome/{token}`
pub(crate) async fn welcome_page(call: Call) -> Result<Response, Problem> {
    if !is_welcome(&call).await? {
        return no_link();
    }
    page(StatusCode::OK, &WelcomePage { problem: "", user: "" })
}

#[derive(Deserialize)]
struct First {
    user: String,
    #[serde(flatten)]
    chosen: Chosen,
}

/// `POST /welcome/{token}`
pub(crate) async fn welcome(call: Call) -> Result<Response, Problem> {
    if !is_welcome(&call).await? {
        return no_link();
    }
    let First { user: name, chosen } = call.form()?;
    let name = name.trim();
    let again = |problem: &str| page(StatusCode::BAD_REQUEST, &WelcomePage { problem, user: name });
    let store = &call.app.store;
    if let Err(problem) = people::name(name) {
        return again(&format!("The name: {problem}."));
    }
    if let Err(problem) = chosen.check() {
        return again(&problem);
    }
    match store.user(name).await {
        Ok(_) => return again("Somebody has that name already."),
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(Problem::store(error)),
    }
    let hash = password::hash(chosen.password).await.map_err(Problem::internal)?;
    let link = session::hash(call.param("token"));
    let used = store.use_link(link, LinkPurpose::FirstOperator, call.now).await;
    if !used.map_err(Problem::store)? {
        return no_link();
    }
    let new = NewUser {
        id: clock::new_id(),
        account_id: clock::new_id(),
        name: name.to_owned(),
        owner: None,
        operator: true,
        prepaid: false,
        created_at: call.now,
    };
    let user = call.store().add_user(new).await.map_err(Problem::store)?;
    as_user(&call, &user).set_password(&user, &hash, None).await.map_err(Problem::store)?;
    enter(&call, &user, "/", "link").await
}

#[derive(Deserialize)]
struct Change {
    current: String,
    #[serde(flatten)]
    chosen: Chosen,
}

/// `GET /account/password`
pub(crate) async fn change_page(call: Call) -> Result<Response, Problem> {
    let (_, name) = call.user()?;
    let csrf = call.session().map_or("", |(_, _, csrf)| csrf);
    page(StatusCode::OK, &PasswordPage { problem: "", done: false, user: name, csrf })
}

/// `POST /account/password`
pub(crate) async fn change_password(call: Call) -> Result<Response, Problem> {
    let Change { current, chosen } = call.form()?;
    let (id, name): (Uuid, _) = call.user()?;
    let session = call.session();
    let csrf = session.map_or("", |(_, _, csrf)| csrf);
    let form = |problem, done| PasswordPage { problem, done, user: name, csrf };
    if let Err(problem) = count(&call, name) {
        refused(&call, name, "change of password").await;
        return waiting(&problem, &form("Too many tries. Wait a little, and try again.", false));
    }
    if let Err(problem) = chosen.check() {
        return page(StatusCode::BAD_REQUEST, &form(&problem, false));
    }
    let user = password::person(&call.app.store, name, current).await?;
    let Some(user) = user.filter(|user| user.id == id) else {
        refused(&call, name, "change of password").await;
        return page(StatusCode::FORBIDDEN, &form("That is not your present password.", false));
    };
    let hash = password::hash(chosen.password).await.map_err(Problem::internal)?;
    let keep = session.map(|(_, hash, _)| hash);
    call.store().set_password(&user, &hash, keep).await.map_err(Problem::store)?;
    page(StatusCode::OK, &form("", true))
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn nobody_is_led_elsewhere() {
        for next in ["/", "/keys", "/keys?page=2&x=%2F%2F", "/a//b"] {
            assert_eq!(local(next), next);
        }
        for next in [
            "",
            "keys",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "/\u{0}",
            "/é",
            "/a b",
            "/a\\b",
        ] {
            assert_eq!(local(next), "/", "{next:?}");
        }
        assert_eq!(local(&format!("/{}", "x".repeat(2_048))), "/");
    }
}
