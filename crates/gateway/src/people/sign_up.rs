//! Who somebody is here whom an issuer vouches for; and users made of those who are nobody yet, where that is wanted.

use std::sync::Arc;

use http::StatusCode;
use store::{Actor, NewUser, Store, StoreError};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::tokens::Subject;
use crate::app::App;
use crate::clock;
use crate::problem::Problem;
use crate::snapshot::Person;
use crate::web::session;

/// One at a time, so that two requests of somebody new do not make two users.
static MAKING: Mutex<()> = Mutex::const_new(());
/// So many names are tried with a number behind them before it is left to chance.
const NUMBERED: usize = 20;
const LONGEST_NAME: usize = 80;

/// The person whom a subject of an issuer is.
pub(super) async fn person(app: &App, who: &Subject, now: i64) -> Result<Arc<Person>, Problem> {
    let id = match known(app, who).await? {
        Some(id) => id,
        None if app.live.load().sign_up => make(app, who, now).await?,
        None => {
            let message = "nobody here is known by this account; ask an operator to let you in";
            return Err(Problem::new(StatusCode::FORBIDDEN, "unknown_user", message));
        }
    };
    if let Some(person) = app.snapshots.current().people.get(&id) {
        return Ok(Arc::clone(person));
    }
    app.snapshots.refresh().await.map_err(Problem::store)?;
    let snapshot = app.snapshots.current();
    let person = snapshot.people.get(&id).map(Arc::clone);
    person.ok_or_else(|| Problem::internal("an identity without a user"))
}

async fn known(app: &App, who: &Subject) -> Result<Option<Uuid>, Problem> {
    app.store.identity(&who.issuer, &who.subject).await.map_err(Problem::store)
}

async fn make(app: &App, who: &Subject, now: i64) -> Result<Uuid, Problem> {
    let _one = MAKING.lock().await;
    if let Some(id) = known(app, who).await? {
        return Ok(id);
    }
    let store = app.store.by(Actor { id: None, name: "sign-up".to_owned(), via: "token", at: now });
    let user = add(&store, &base(who.called.as_deref()), now).await.map_err(Problem::store)?;
    match store.add_identity((&who.issuer, &who.subject), &user, now).await {
        Ok(()) => Ok(user.id),
        Err(StoreError::Duplicate { .. }) => {
            // Another replica was faster; nobody can come in as this one.
            store.set_disabled(&user, Some(now)).await.map_err(Problem::store)?;
            known(app, who).await?.ok_or_else(|| Problem::internal("an identity that is gone"))
        }
        Err(error) => Err(Problem::store(error)),
    }
}

/// What somebody may be called here. Nothing follows from a name: who has the same elsewhere is somebody else.
fn base(called: Option<&str>) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._-@+".contains(*c);
    let name: String =
        called.unwrap_or_default().chars().filter(plain).take(LONGEST_NAME).collect();
    if name.is_empty() { "user".to_owned() } else { name }
}

async fn add(store: &Store, base: &str, now: i64) -> Result<store::User, StoreError> {
    let numbered = (1..=NUMBERED).map(|n| match n {
        1 => base.to_owned(),
        n => format!("{base}-{n}"),
    });
    let chance = format!("{base}-{}", session::secret().split_off(52));
    for name in numbered.chain([chance]) {
        let new = NewUser {
            id: clock::new_id(),
            account_id: clock::new_id(),
            name,
            owner: None,
            operator: false,
            // Whoever comes in by themselves has no credit but what they pay.
            prepaid: true,
            created_at: now,
        };
        match store.add_user(new).await {
            Err(StoreError::Duplicate { .. }) => {}
            added => return added,
        }
    }
    Err(StoreError::Duplicate { what: "user" })
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn names_are_made_plain() {
        assert_eq!(base(Some("ada@example.org")), "ada@example.org");
        assert_eq!(base(Some("Ada <script>\r\nX")), "AdascriptX");
        assert_eq!(base(Some("Ädá")), "d");
        assert_eq!((base(Some("日本")), base(None)), ("user".to_owned(), "user".to_owned()));
        assert_eq!(base(Some(&"x".repeat(500))).len(), 80);
    }
}
