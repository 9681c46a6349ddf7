//! Addresses that work once: to become the first operator, to choose a password.

use std::net::SocketAddr;

use store::{LinkPurpose, Store, StoreError, User};

use crate::config::Settings;
use crate::web::session;

/// How long such an address works.
pub(crate) const LASTS: i64 = 24 * 3_600 * 1_000_000;

/// An address by which somebody can choose a password.
pub(crate) async fn password(
    store: &Store,
    base: &str,
    user: &User,
    now: i64,
) -> Result<String, StoreError> {
    add(store, base, LinkPurpose::Password(user.id), now).await
}

/// An address by which whoever has it becomes the first operator; none where there is one.
pub(crate) async fn first_operator(
    store: &Store,
    base: &str,
    now: i64,
) -> Result<Option<String>, StoreError> {
    if store.operators().await? > 0 {
        return Ok(None);
    }
    add(store, base, LinkPurpose::FirstOperator, now).await.map(Some)
}

async fn add(
    store: &Store,
    base: &str,
    purpose: LinkPurpose,
    now: i64,
) -> Result<String, StoreError> {
    let token = session::secret();
    store.add_link(session::hash(&token), purpose, (now, now.saturating_add(LASTS))).await?;
    let page = match purpose {
        LinkPurpose::FirstOperator => "welcome",
        LinkPurpose::Password(_) => "password",
    };
    Ok(format!("{base}/{page}/{token}"))
}

/// The address under which people reach this: that of the settings, or where it listens.
pub(crate) fn base(settings: &Settings, listening: SocketAddr) -> String {
    settings.public_url().map_or_else(|| format!("http://{listening}"), str::to_owned)
}
