//! `/auth`: a program asks for a key (`OpenRouter`'s PKCE), and whoever is signed in lets it have one, or does not.

use askama::Template;
use axum::response::Response;
use http::Uri;
use ledger::BudgetPeriod;
use serde::Deserialize;

use super::key_form;
use super::page::{self, Desk, Fields, Frame, wrong};
use super::requests::Pick;
use crate::manage::keys;
use crate::openrouter::pkce::{self, Challenge, Grant, Method};
use crate::problem::Problem;
use crate::web::Call;

/// What a program sends people with.
#[derive(Deserialize)]
struct Asked {
    callback_url: String,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    key_label: Option<String>,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct Page {
    frame: Frame,
    /// Who asks, as far as one can know.
    host: String,
    payer: String,
    name: String,
    callback: String,
    challenge: String,
    method: String,
    periods: Vec<Pick>,
}

/// A page from which the browser goes on by itself: a form may not lead to another site.
#[derive(Template)]
#[template(path = "onward.html")]
struct Onward {
    to: String,
    host: String,
}

fn method(text: Option<&str>) -> Result<Option<Method>, Problem> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some("S256") => Ok(Some(Method::S256)),
        Some("plain") => Ok(Some(Method::Plain)),
        Some(_) => Err(Problem::bad_request("code_challenge_method: expected S256 or plain")),
    }
}

fn host(uri: &Uri) -> String {
    uri.authority().map(ToString::to_string).unwrap_or_default()
}

/// `GET /auth`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    desk.keys()?;
    let asked: Asked = call.query()?;
    let uri = pkce::callback(&asked.callback_url)?;
    let method_of = method(asked.code_challenge_method.as_deref())?;
    // What is wrong with it is told here, and not after somebody has agreed.
    Challenge::read(asked.code_challenge.clone(), method_of)?;
    let host = host(&uri);
    let label = asked.key_label.filter(|label| !label.is_empty());
    let name = keys::name(&label.unwrap_or_else(|| host.clone())).map_err(wrong("key_label"))?;
    let page = Page {
        frame: Frame::new(&call, &desk, "A program asks for a key"),
        payer: desk.payer.clone(),
        callback: asked.callback_url,
        challenge: asked.code_challenge.unwrap_or_default(),
        method: asked.code_challenge_method.unwrap_or_default(),
        periods: key_form::periods(BudgetPeriod::Month),
        host,
        name,
    };
    page::show(&page)
}

/// `POST /auth`: the code, on its way to the program.
pub(crate) async fn post(call: Call) -> Result<Response, Problem> {
    let (desk, fields) = (Desk::of(&call)?, Fields::of(&call)?);
    desk.keys()?;
    let uri = pkce::callback(fields.text("callback_url"))?;
    let challenge = fields.some("code_challenge").map(str::to_owned);
    let expires = fields.some("expires").map(|text| keys::expiry(text, call.now)).transpose();
    let grant = Grant {
        user: desk.person.id,
        account: desk.account,
        name: keys::name(fields.text("name")).map_err(wrong("name"))?,
        budget: key_form::budget(&fields).map_err(wrong("budget"))?,
        expires_at: expires.map_err(wrong("expires"))?,
        challenge: Challenge::read(challenge, method(fields.some("code_challenge_method"))?)?,
    };
    let code = pkce::issue(&call.store(), grant, call.now).await?;
    page::show(&Onward { to: with_code(&uri, &code), host: host(&uri) })
}

/// The address at which the program waits, with the code.
fn with_code(callback: &Uri, code: &str) -> String {
    let mark = if callback.query().is_some() { '&' } else { '?' };
    format!("{callback}{mark}code={code}")
}

#[cfg(test)]
mod tests {
    use super::with_code;

    #[test]
    fn a_code_is_added_to_what_the_address_has() {
        for (callback, expected) in [
            ("https://a.example/b", "https://a.example/b?code=c"),
            ("https://a.example/b?x=1", "https://a.example/b?x=1&code=c"),
            ("http://localhost:3000", "http://localhost:3000/?code=c"),
        ] {
            assert_eq!(with_code(&callback.parse().expect("an address"), "c"), expected);
        }
    }
}
