//! `/settings`: a person's password, sessions, other names and limits.

use askama::Template;
use axum::response::Response;
use store::{SecretHash, Session};

use super::html::{self, Html, Table};
use super::limits;
use super::page::{self, Desk, Fields, Frame, missing, told};
use crate::problem::Problem;
use crate::web::{Call, Proof, SignedIn, Who};

struct Browser {
    hash: String,
    this: bool,
    seen: Html,
    begun: Html,
    ends: Html,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    frame: Frame,
    has_password: bool,
    sessions: Vec<Browser>,
    identities: Table,
    limits: Table,
}

fn own(call: &Call) -> SecretHash {
    match &call.who {
        Who::Person(SignedIn { proof: Proof::Session { hash, .. }, .. }) => *hash,
        _ => [0; 32],
    }
}

/// `GET /settings`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let (store, id) = (&call.app.store, desk.person.id);
    let own = own(&call);
    let sessions = store.sessions_of(id, call.now).await.map_err(told)?;
    let browser = |(hash, session): (SecretHash, Session)| Browser {
        hash: ledger::to_hex(&hash),
        this: hash == own,
        seen: html::since(session.seen_at, call.now),
        begun: html::moment(session.created_at),
        ends: html::since(session.expires_at, call.now),
    };
    let identities = store.identities_of(id).await.map_err(told)?;
    let rows = identities.iter().map(|known| {
        vec![
            Html::text(&known.issuer),
            Html::code(&known.subject),
            Html::text(&html::day(known.created_at)),
        ]
    });
    let snapshot = call.app.snapshots.current();
    let page = Page {
        has_password: store.password_hash(id).await.map_err(told)?.is_some(),
        sessions: sessions.into_iter().map(browser).collect(),
        identities: Table::new("Identities", &["Issuer", "Name there", "Since"], rows.collect())
            .or("You sign in here alone.", None),
        limits: limits::table(&limits::applying(&snapshot, id, desk.account), &desk.payer),
        frame: Frame::new(&call, &desk, "Settings"),
    };
    page::show(&page)
}

/// `POST /settings/sessions/end`: one session, or all others.
pub(crate) async fn end(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let fields = Fields::of(&call)?;
    let store = call.store();
    if let Some(hash) = fields.some("hash") {
        let hash: SecretHash = ledger::from_hex(hash).ok_or_else(missing)?;
        store.end_session_of(desk.person.id, hash).await.map_err(told)?;
        return Ok(page::go("/settings?done=session-ended"));
    }
    let user = store.user_by_id(desk.person.id).await.map_err(told)?;
    store.end_sessions(&user, own(&call)).await.map_err(told)?;
    Ok(page::go("/settings?done=sessions-ended"))
}
