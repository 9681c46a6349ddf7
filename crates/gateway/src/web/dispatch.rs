//! From a request to the handler of its route, for whom the route's policy lets in.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{MethodFilter, on};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use super::{Call, Policy, Proof, Route, SignedIn, Who, headers, origin, routes, session, texts};
use crate::app::App;
use crate::auth::{self, Asked};
use crate::body::{self, Whole};
use crate::problem::Problem;
use crate::scopes::Scope;
use crate::snapshot::Person;
use crate::{clock, console, endpoints};

/// The longest body that a program may send here, in bytes.
const BODY_LIMIT: u32 = 64 * 1024;
/// The longest form: a price file.
const FORM_LIMIT: u32 = 8 * 1024 * 1024;

/// All routes of the table.
pub(crate) fn router() -> Router<Arc<App>> {
    routes().fold(Router::new(), |router, route| {
        let Ok(method) = MethodFilter::try_from(route.method.clone()) else { return router };
        let serve = move |State(app): State<Arc<App>>, params: Params, request: Request| {
            serve(app, route, params, request)
        };
        router.route(route.path, on(method, serve))
    })
}

/// The parts of a path that a route names, which may be no text.
type Params = Result<RawPathParams, RawPathParamsRejection>;

async fn serve(app: Arc<App>, route: &'static Route, params: Params, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (headers, path) = (parts.headers.clone(), parts.uri.clone());
    let secure = app.settings.is_secure();
    let mut response = match answer(app, route, params, parts, body).await {
        Ok(response) => response,
        Err(problem) if route.policy.is_page() => page_problem(route, &path, &headers, &problem),
        Err(problem) => problem.response(endpoints::face(path.path(), &headers)),
    };
    headers::protect(&mut response, secure);
    response
}

async fn answer(
    app: Arc<App>,
    route: &Route,
    params: Params,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let now = clock::now();
    let who = admit(&app, route.policy, &parts, now).await?;
    let params = params.map_err(|_| Problem::bad_request("the path: expected UTF-8"))?;
    let params: Vec<_> =
        params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let limit = if route.policy.is_page() { FORM_LIMIT } else { BODY_LIMIT };
    let Whole { bytes: body, held: _held } = body::read(&app, &parts.headers, body, limit).await?;
    if let Who::Person(SignedIn { proof: Proof::Session { csrf, .. }, .. }) = &who
        && route.method != Method::GET
        && route.policy != Policy::Form
    {
        check_form(csrf, &parts.headers, &body)?;
    }
    texts::check(&params, &parts, &body)?;
    (route.handler)(Call { app, who, parts, body, now, params }).await
}

/// Who calls, if the policy lets them in.
async fn admit(app: &App, policy: Policy, parts: &Parts, now: i64) -> Result<Who, Problem> {
    let snapshot = app.snapshots.current();
    let asked = Asked::of(parts, now);
    if matches!(policy, Policy::Api(_) | Policy::Native(_) | Policy::House)
        && app.people.tokens.are_taken()
        && let Some(token) = auth::presented_token(&asked)
    {
        let person = app.people.tokens.person(app, token, now).await?;
        if matches!(policy, Policy::Native(_)) {
            auth::same_user(&parts.headers, &person)?;
        }
        if policy == Policy::House {
            runs_the_place(Some(&person))?;
        }
        return Ok(Who::Person(SignedIn { person, proof: Proof::Token }));
    }
    match policy {
        Policy::Public | Policy::Form => {
            if policy == Policy::Form {
                origin::check(parts, app.settings.public_url())?;
            }
            let signed_in = session::find(app, parts, now).await?;
            Ok(signed_in.map_or(Who::Nobody, Who::Person))
        }
        Policy::Inference => auth::caller(&snapshot, &asked, Some(Scope::Inference)).map(Who::Key),
        Policy::Api(scope) => auth::caller(&snapshot, &asked, scope).map(Who::Key),
        Policy::House => {
            let key = auth::caller(&snapshot, &asked, Some(Scope::Operator))?;
            runs_the_place(snapshot.people.get(&key.user_id).map(AsRef::as_ref))?;
            Ok(Who::Key(key))
        }
        Policy::Native(scope) if app.live.load().trust_user_header => {
            auth::trusted(&snapshot, &asked, scope)
        }
        Policy::Native(scope) => auth::native_caller(&snapshot, &asked, scope).map(Who::Key),
        Policy::Page | Policy::Operator => {
            let signed_in = session::find(app, parts, now)
                .await?
                .ok_or_else(|| Problem::unauthorized("not_signed_in", "you are not signed in"))?;
            if policy == Policy::Operator && !signed_in.person.operator {
                // Nobody else learns what there is.
                let message = "there is nothing at this path";
                return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", message));
            }
            Ok(Who::Person(signed_in))
        }
    }
}

/// A key outlives what its user was when it was made.
fn runs_the_place(person: Option<&Person>) -> Result<(), Problem> {
    if person.is_some_and(|person| person.operator) {
        return Ok(());
    }
    let message = "this takes an operator";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// Whether a form is one of our own pages' of that very session.
fn check_form(csrf: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Form {
        csrf: String,
    }
    let header = headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
    let field = || serde_urlencoded::from_bytes::<Form>(body).ok().map(|form| form.csrf);
    let brought = header.map(str::to_owned).or_else(field);
    if brought.as_deref() == Some(csrf) {
        return Ok(());
    }
    let message = "this form is not of your session; load the page again";
    Err(Problem::new(StatusCode::FORBIDDEN, "csrf", message))
}

/// Where a person is led who meets a problem.
fn page_problem(
    route: &Route,
    uri: &http::Uri,
    headers: &HeaderMap,
    problem: &Problem,
) -> Response {
    if problem.code == "not_signed_in" && route.method == Method::GET {
        let next = uri.path_and_query().map_or("/", |path| path.as_str());
        let query = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
        return Redirect::to(&format!("/sign-in?{query}")).into_response();
    }
    console::problem::response(problem, headers)
}
