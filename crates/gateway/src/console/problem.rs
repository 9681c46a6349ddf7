//! A problem, as a page.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, header};

use super::page;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "problem.html")]
struct Page {
    status: u16,
    title: &'static str,
    message: String,
    back: String,
}

/// What somebody sees who meets a problem in a browser.
pub(crate) fn response(problem: &Problem, headers: &HeaderMap) -> Response {
    let title = match problem.status {
        StatusCode::NOT_FOUND => "Nothing here",
        StatusCode::FORBIDDEN => "Not for you",
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::PAYLOAD_TOO_LARGE => {
            "That did not work"
        }
        StatusCode::UNAUTHORIZED => "You are not signed in",
        StatusCode::SERVICE_UNAVAILABLE => "Not right now",
        _ => "Something went wrong",
    };
    let mut message = problem.message.to_string();
    if let Some(first) = message.chars().next() {
        message = first.to_uppercase().chain(message.chars().skip(1)).collect();
    }
    if !message.ends_with(['.', '?', '…']) {
        message.push('.');
    }
    let page = Page { status: problem.status.as_u16(), title, message, back: back(headers) };
    match page::show_as(problem.status, &page) {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// Whether the answer is for a person before a browser.
pub(crate) fn is_looked_at(method: &Method, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    method == Method::GET && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The page from which somebody came, where it is one of ours.
fn back(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let path = || {
        let referer: http::Uri = text(header::REFERER)?.parse().ok()?;
        let same = referer.authority().map(http::uri::Authority::as_str) == text(header::HOST);
        Some(referer.path().to_owned()).filter(|path| same && !path.starts_with("//"))
    };
    path().unwrap_or_else(|| "/".to_owned())
}
