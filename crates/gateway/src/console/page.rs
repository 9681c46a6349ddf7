//! What all pages have: who looks at which account, the frame around it, forms, answers.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use store::{Role, StoreError, Whose};
use uuid::Uuid;

use super::assets::{self, Assets};
use crate::problem::Problem;
use crate::snapshot::Person;
use crate::web::{Call, Proof, SignedIn, Who};

/// Microseconds.
pub(crate) const DAY: i64 = 86_400_000_000;
/// The cookie that says which account is looked at. What it names counts only where the person belongs to it.
const ACCOUNT: &str = "tollgate-account";

/// Who looks at which account.
pub(crate) struct Desk {
    pub(crate) person: std::sync::Arc<Person>,
    pub(crate) csrf: String,
    pub(crate) account: Uuid,
    /// The name of the account, which is that of its user or organization.
    pub(crate) payer: String,
    /// The organization whose account it is, and what the person is there.
    pub(crate) organization: Option<(Uuid, Role)>,
}

impl Desk {
    pub(crate) fn of(call: &Call) -> Result<Self, Problem> {
        let Who::Person(SignedIn { person, proof: Proof::Session { csrf, .. } }) = &call.who else {
            return Err(Problem::internal("a page for persons was open"));
        };
        let chosen = cookie(call, ACCOUNT).and_then(|text| text.parse::<Uuid>().ok());
        let member = person.memberships.iter().find(|m| Some(m.account_id) == chosen);
        let (account, payer, organization) = match member {
            Some(m) => (m.account_id, m.name.clone(), Some((m.organization, m.role))),
            None => (person.account_id, person.name.clone(), None),
        };
        let person = std::sync::Arc::clone(person);
        Ok(Self { person, csrf: csrf.clone(), account, payer, organization })
    }

    /// Whose keys may be looked at and changed.
    pub(crate) fn keys(&self) -> Result<Whose, Problem> {
        self.person.reach(self.account).ok_or_else(|| {
            let message = "your role in this organization is for its bills; it has no keys";
            Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
        })
    }

    pub(crate) fn role(&self) -> Option<Role> {
        self.organization.map(|(_, role)| role)
    }

    /// Whether all that the account spends is to be seen, and not what the person alone does.
    pub(crate) fn sees_all(&self) -> bool {
        self.role() != Some(Role::Member)
    }

    /// Whether the person may manage the organization.
    pub(crate) fn manages(&self) -> bool {
        matches!(self.role(), Some(Role::Owner | Role::Admin))
    }
}

fn cookie<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    let lines = call.parts.headers.get_all(header::COOKIE).iter();
    let mut pairs = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// `POST /switch`: looks at another account.
pub(crate) async fn switch(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let wanted = Fields::of(&call)?.id("account").ok_or_else(missing)?;
    let known = wanted == desk.person.account_id || desk.person.role(wanted).is_some();
    if !known {
        return Err(missing());
    }
    let secure = if call.app.settings.is_secure() { "; Secure" } else { "" };
    let cookie =
        format!("{ACCOUNT}={wanted}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000{secure}");
    let mut response = go("/");
    let value = HeaderValue::try_from(cookie).map_err(Problem::internal)?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(response)
}

pub(crate) struct Choice {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) personal: bool,
    pub(crate) current: bool,
}

pub(crate) struct Item {
    pub(crate) href: &'static str,
    pub(crate) label: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) current: bool,
}

pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) items: Vec<Item>,
}

/// What is said above a page once something was done, or could not be.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// `good` or `bad`.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl Notice {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self { kind: "good", text: text.into() }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self { kind: "bad", text: text.into() }
    }
}

/// What stands around every page of somebody who is signed in.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) csrf: String,
    pub(crate) user: String,
    pub(crate) accounts: Vec<Choice>,
    pub(crate) nav: Vec<Group>,
    pub(crate) notice: Option<Notice>,
    pub(crate) assets: &'static Assets,
}

impl Frame {
    pub(crate) fn new(call: &Call, desk: &Desk, title: &str) -> Self {
        let path = call.parts.uri.path();
        let choice = |id, name: &str, personal| Choice {
            id,
            name: name.to_owned(),
            personal,
            current: id == desk.account,
        };
        let person = &desk.person;
        let own = std::iter::once(choice(person.account_id, &person.name, true));
        let others = person.memberships.iter().map(|m| choice(m.account_id, &m.name, false));
        Self {
            title: title.to_owned(),
            csrf: desk.csrf.clone(),
            user: person.name.clone(),
            accounts: own.chain(others).collect(),
            nav: nav(desk, path),
            notice: said(call),
            assets: assets::hrefs(),
        }
    }

    /// What is under that page in the navigation, whatever its address.
    #[must_use]
    pub(crate) fn under(mut self, href: &str) -> Self {
        for item in self.nav.iter_mut().flat_map(|group| &mut group.items) {
            item.current = item.href == href;
        }
        self
    }

    #[must_use]
    pub(crate) fn saying(mut self, notice: Option<Notice>) -> Self {
        self.notice = notice.or(self.notice);
        self
    }
}

fn nav(desk: &Desk, path: &str) -> Vec<Group> {
    let has_keys = desk.person.reach(desk.account).is_some();
    let own = [
        (true, "/", "Overview", "overview"),
        (has_keys, "/requests", "Requests", "requests"),
        (has_keys, "/keys", "API keys", "keys"),
        (desk.sees_all(), "/bills", "Bills", "bills"),
        (has_keys, "/playground", "Playground", "playground"),
        (has_keys, "/connect", "Connect", "connect"),
        (desk.organization.is_none() || desk.manages(), "/own-keys", "Own keys", "providers"),
        (desk.organization.is_some(), "/organization", "Organization", "organization"),
        (true, "/settings", "Settings", "settings"),
    ];
    let house = [
        (true, "/operator", "House", "overview"),
        (true, "/operator/users", "Users", "users"),
        (true, "/operator/organizations", "Organizations", "organization"),
        (true, "/operator/prices", "Prices", "prices"),
        (true, "/operator/providers", "Providers", "providers"),
        (true, "/operator/audit", "Audit log", "audit"),
    ];
    let here = |href: &str| match href {
        "/" | "/operator" => path == href,
        _ => path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    let items = |all: &[(bool, &'static str, &'static str, &'static str)]| {
        let shown = all.iter().filter(|(shown, ..)| *shown);
        shown
            .map(|(_, href, label, icon)| Item { href, label, icon, current: here(href) })
            .collect()
    };
    let mut groups = vec![Group { name: "", items: items(&own) }];
    if desk.person.operator {
        groups.push(Group { name: "Operator", items: items(&house) });
    }
    groups
}

/// What the address says was done.
fn said(call: &Call) -> Option<Notice> {
    let word = query(call, "done")?;
    let text = match word.as_str() {
        "key-changed" => "The key was changed.",
        "key-off" => "The key is switched off. Switch it on again at any time.",
        "key-on" => "The key is switched on.",
        "key-revoked" => "The key was revoked. It is refused from now on.",
        "member-set" => "The organization was changed.",
        "member-removed" => "The member is out, and their keys of this organization are revoked.",
        "sessions-ended" => "All other sessions are over.",
        "session-ended" => "The session is over.",
        "password" => "Your password was changed.",
        "user-created" => "The user was added.",
        "user-changed" => "The user was changed.",
        "organization-created" => "The organization was added.",
        "credit" => "The credit was added.",
        "corrected" => "The correction was booked.",
        "budget-set" => "The budget is set.",
        "budget-removed" => "The budget is gone.",
        "limit-set" => "The limits are set.",
        "limit-removed" => "The limits are gone.",
        "pays" => "How the customer pays was changed.",
        "credential-set" => "The credential is sealed and in force.",
        "credential-removed" => "The stored credential is gone.",
        "own-key-set" => "Your key is sealed and in force.",
        "own-key-changed" => "It is changed, from the next request on.",
        "own-key-removed" => "Your key is gone.",
        "imported" => "The prices are in force.",
        "planned" => "The prices are planned. Until then nothing costs anything else.",
        "withdrawn" => "The upcoming prices are withdrawn.",
        _ => return None,
    };
    Some(Notice::good(text))
}

/// A field of the query; nothing where it is empty.
pub(crate) fn query(call: &Call, name: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = pairs(call);
    let found = pairs.into_iter().find(|(known, _)| known == name).map(|(_, value)| value);
    found.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn pairs<T: DeserializeOwned + Default>(call: &Call) -> T {
    let query = call.parts.uri.query().unwrap_or_default();
    serde_urlencoded::from_str(query).unwrap_or_default()
}

/// The fields of a form, of which several may have one name.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn of(call: &Call) -> Result<Self, Problem> {
        call.form().map(Self)
    }

    /// The text of a field, without spaces around it; nothing where it is missing.
    pub(crate) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// The text of a field, if there is any.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.some(name).is_some()
    }

    pub(crate) fn id(&self, name: &str) -> Option<Uuid> {
        self.text(name).parse().ok()
    }

    /// The words of a field that has one a line, or commas between.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        let words = self.text(name).split([',', '\n', '\r', ' ']).map(str::trim);
        let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Some(words).filter(|words| !words.is_empty())
    }
}

/// A page.
pub(crate) fn show(template: &impl Template) -> Result<Response, Problem> {
    show_as(StatusCode::OK, template)
}

pub(crate) fn show_as(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let html = template.render().map_err(Problem::internal)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        // What somebody sees is nobody else's.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((status, headers, html).into_response())
}

/// To another page, once something was done.
pub(crate) fn go(to: &str) -> Response {
    Redirect::to(to).into_response()
}

/// A file to be kept.
pub(crate) fn download(
    name: &str,
    content_type: &'static str,
    content: impl IntoResponse,
) -> Result<Response, Problem> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_DISPOSITION, disposition.map_err(Problem::internal)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, content).into_response())
}

/// Rows of a sheet. A cell that a spreadsheet would take for a formula is made a text.
pub(crate) fn sheet_rows(
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<Vec<u8>, axum::BoxError> {
    let mut sheet = csv::Writer::from_writer(Vec::new());
    for row in rows {
        let tame = row.into_iter().map(|cell| match cell.chars().next() {
            Some('=' | '+' | '@' | '\t') => format!("'{cell}"),
            Some('-') if cell.parse::<f64>().is_err() => format!("'{cell}"),
            _ => cell,
        });
        sheet.write_record(tame)?;
    }
    Ok(sheet.into_inner()?)
}

/// 404: there is none, or it is another's.
pub(crate) fn missing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here, or it is not yours")
}

/// What the store says, as a person is told.
pub(crate) fn told(error: StoreError) -> Problem {
    match error {
        StoreError::NotFound { .. } => missing(),
        StoreError::LastOwner
        | StoreError::Duplicate { .. }
        | StoreError::Done { .. }
        | StoreError::TooLittle { .. }
        | StoreError::OutOfRange { .. } => {
            Problem::new(StatusCode::CONFLICT, "conflict", error.to_string())
        }
        error => Problem::store(error),
    }
}

/// What a field may not be.
pub(crate) fn wrong(field: &'static str) -> impl Fn(String) -> Problem {
    move |what| Problem::bad_request(format!("{field}: {what}"))
}

/// Waits until the sums have what was done just now. Where that takes too long, they are shown as they are.
pub(crate) async fn settled(call: &Call) {
    if let Err(error) = call.app.journal.applied().await {
        tracing::warn!(%error, "a page shows sums without the newest requests");
    }
}

/// Everybody sees at once what was changed.
pub(crate) async fn refreshed(call: &Call) -> Result<(), Problem> {
    call.app.snapshots.refresh().await.map_err(Problem::store)
}
