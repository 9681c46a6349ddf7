//! Who calls: a key in any of the places where the SDKs put it, looked up by its hash.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, Uri, header};
use uuid::Uuid;

use crate::keys;
use crate::problem::Problem;
use crate::snapshot::{KeyEntry, Snapshot};

/// A user on whose behalf something is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user_id: Uuid,
    pub(crate) user: String,
}

/// Finds the key of a request, which alone says who calls.
pub(crate) fn caller(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    uri: &Uri,
    now: i64,
) -> Result<Arc<KeyEntry>, Problem> {
    let key = presented_key(headers, uri).ok_or_else(|| {
        Problem::unauthorized(
            "missing_api_key",
            "no API key: send one such as tg-… in the header authorization, x-api-key, x-goog-api-key or api-key",
        )
    })?;
    let entry = keys::hash(key).and_then(|hash| snapshot.keys.get(&hash)).ok_or_else(unknown)?;
    if entry.revoked {
        return Err(Problem::unauthorized("api_key_revoked", "this API key has been revoked"));
    }
    if entry.expires_at.is_some_and(|at| at <= now) {
        return Err(Problem::unauthorized("api_key_expired", "this API key has expired"));
    }
    Ok(Arc::clone(entry))
}

fn unknown() -> Problem {
    Problem::unauthorized("invalid_api_key", "this user and API key are not known")
}

/// Finds the key of a native request: the headers `user` and `api-key`.
pub(crate) fn native_caller(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    uri: &Uri,
    now: i64,
) -> Result<Arc<KeyEntry>, Problem> {
    let user = user_header(headers)?;
    if presented_key(headers, uri).is_none() {
        return Err(Problem::unauthorized(
            "missing_api_key",
            "the header api-key is missing; it holds a key such as tg-…",
        ));
    }
    let key = caller(snapshot, headers, uri, now)?;
    if !snapshot.users.contains_key(user) {
        return Err(unknown());
    }
    if key.user != user {
        let message = "this API key belongs to another user than the header user names";
        return Err(Problem::new(StatusCode::FORBIDDEN, "user_mismatch", message));
    }
    Ok(key)
}

/// Finds the user of a request that manages keys or reads a bill.
///
/// With `trust_user_header` the header `user` alone is enough, as behind a proxy that sets it.
pub(crate) fn native_identity(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    uri: &Uri,
    now: i64,
    trust_user_header: bool,
) -> Result<Identity, Problem> {
    if trust_user_header {
        let user = user_header(headers)?;
        let user_id = snapshot.users.get(user);
        return user_id
            .map(|id| Identity { user_id: *id, user: user.to_owned() })
            .ok_or_else(|| Problem::unauthorized("unknown_user", "this user is not known"));
    }
    let key = native_caller(snapshot, headers, uri, now)?;
    Ok(Identity { user_id: key.user_id, user: key.user.clone() })
}

/// The header `user`. Given twice, it could be the client's own beside that of a trusted proxy, so neither counts.
fn user_header(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all("user").iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        let message = "the header user is given more than once";
        return Err(Problem::unauthorized("ambiguous_user", message));
    }
    first.and_then(|value| value.to_str().ok()).filter(|user| !user.is_empty()).ok_or_else(|| {
        Problem::unauthorized("missing_user", "the header user is missing; it holds your user name")
    })
}

/// The key, from `api-key`, `Authorization: Bearer`, `x-api-key`, `x-goog-api-key` or `?key=`.
fn presented_key<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || {
        let value = text(header::AUTHORIZATION.as_str())?;
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    };
    let query = || uri.query()?.split('&').find_map(|pair| pair.strip_prefix("key="));
    text("api-key")
        .or_else(bearer)
        .or_else(|| text("x-api-key"))
        .or_else(|| text("x-goog-api-key"))
        .or_else(query)
}
