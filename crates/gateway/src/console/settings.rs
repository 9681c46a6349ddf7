//! `/settings`: a person's password, sessions, other names and limits.

use askama::Template;
use axum::response::Response;
use store::{Identity, SecretHash, Session};

use super::export;
use super::html::{self, Html, Table};
use super::limits;
use super::list::{Column, List, Value, Wish};
use super::page::{self, Desk, Fields, Frame, missing, told};
use crate::problem::Problem;
use crate::web::{Call, Proof, SignedIn, Who};

/// A session, as its owner sees it.
struct Browser {
    hash: String,
    csrf: String,
    this: bool,
    session: Session,
    now: i64,
}

#[derive(Template)]
#[template(path = "session_end.html")]
struct End<'a> {
    one: &'a Browser,
}

const SESSIONS: &[Column<Browser>] = &[
    Column::time("used_at", "Last used", |one: &Browser| Value::Time(one.session.seen_at)).shown(
        |one| {
            let seen = html::since(one.session.seen_at, one.now);
            if one.this { seen.and(&Html::badge("accent", "this one")) } else { seen }
        },
    ),
    Column::time("begun_at", "Begun", |one: &Browser| Value::Time(one.session.created_at)),
    Column::time("ends_at", "Ends", |one: &Browser| Value::Time(one.session.expires_at))
        .shown(|one| html::since(one.session.expires_at, one.now)),
    Column::page("End it", |one| {
        if one.this { Html::default() } else { Html::of(End { one }.render().unwrap_or_default()) }
    }),
];

const IDENTITIES: &[Column<Identity>] = &[
    Column::text("issuer", "Issuer", |one: &Identity| Value::text(&one.issuer)),
    Column::text("subject", "Name there", |one: &Identity| Value::text(&one.subject))
        .shown(|one| Html::code(&one.subject)),
    Column::time("created_at", "Since", |one: &Identity| Value::Time(one.created_at))
        .shown(|one| Html::text(&html::day(one.created_at))),
];

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    frame: Frame,
    has_password: bool,
    /// How many sessions there are.
    many: usize,
    sessions: List,
    identities: List,
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
        csrf: desk.csrf.clone(),
        this: hash == own,
        session,
        now: call.now,
    };
    let wish = Wish::whole(&call, "sessions", SESSIONS, "-used_at")?;
    let sessions = wish.sorted(SESSIONS, sessions.into_iter().map(browser).collect());
    if wish.csv {
        return export::whole("sessions.csv", SESSIONS, &sessions);
    }
    let shown = wish.list("Sessions", SESSIONS, &sessions).titled("Sessions");
    let wish = Wish::whole(&call, "identities", IDENTITIES, "issuer")?;
    let identities = wish.sorted(IDENTITIES, store.identities_of(id).await.map_err(told)?);
    if wish.csv {
        return export::whole("identities.csv", IDENTITIES, &identities);
    }
    let snapshot = call.app.snapshots.current();
    let page = Page {
        has_password: store.password_hash(id).await.map_err(told)?.is_some(),
        many: sessions.len(),
        sessions: shown,
        identities: wish
            .list("Identities", IDENTITIES, &identities)
            .titled("Other names")
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
