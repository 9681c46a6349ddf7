//! Who calls: a key in any of the places where the SDKs put it, looked up by its hash.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, HeaderMap, StatusCode, Uri, header};

use crate::keys;
use crate::problem::Problem;
use crate::scopes::Scope;
use crate::snapshot::{KeyEntry, Person, Snapshot};
use crate::web::{Proof, SignedIn, Who};

/// What tells who calls.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) uri: &'a Uri,
    /// Where the connection comes from.
    pub(crate) peer: IpAddr,
    pub(crate) now: i64,
}

/// The address of the other end of a connection, which the server puts beside every request that goes through the router.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// Of a request that no server has put one beside: nowhere.
    pub(crate) fn of(beside: &Extensions) -> Self {
        beside.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

impl<'a> Asked<'a> {
    /// From the head of a request.
    pub(crate) fn of(parts: &'a Parts, now: i64) -> Self {
        Self::by(Peer::of(&parts.extensions), parts, now)
    }

    /// The same of one whose peer is known.
    pub(crate) fn by(Peer(peer): Peer, parts: &'a Parts, now: i64) -> Self {
        Self { headers: &parts.headers, uri: &parts.uri, peer, now }
    }
}

/// The token of a request, where it brings one and no key in a place of its own.
pub(crate) fn presented_token<'a>(asked: &Asked<'a>) -> Option<&'a str> {
    let token = bearer(asked.headers).filter(|token| is_token(token))?;
    (!asked.headers.contains_key("api-key")).then_some(token)
}

/// Whether that looks like a JWT: a JSON object in base64, and two parts more.
pub(crate) fn is_token(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Finds the key of a request, which alone says who calls, and whether it may do that.
pub(crate) fn caller(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    scope: Option<Scope>,
) -> Result<Arc<KeyEntry>, Problem> {
    let key = presented_key(asked.headers, asked.uri).ok_or_else(|| {
        Problem::unauthorized(
            "missing_api_key",
            "no API key: send one such as tg-… in the header authorization, x-api-key, x-goog-api-key or api-key",
        )
    })?;
    if is_token(&key) {
        let message = "this takes an API key such as tg-…, and not a token";
        return Err(Problem::unauthorized("invalid_api_key", message));
    }
    let entry = keys::hash(&key).and_then(|hash| snapshot.keys.get(&hash)).ok_or_else(unknown)?;
    if entry.revoked {
        return Err(Problem::unauthorized("api_key_revoked", "this API key has been revoked"));
    }
    if entry.expires_at.is_some_and(|at| at <= asked.now) {
        return Err(Problem::unauthorized("api_key_expired", "this API key has expired"));
    }
    if entry.disabled {
        return Err(Problem::unauthorized("api_key_disabled", "this API key is switched off"));
    }
    if let Some(scope) = scope
        && !entry.scopes.has(scope)
    {
        let message =
            format!("this API key has not the scope {}; it has: {}", scope.name(), entry.scopes);
        return Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", message));
    }
    if let Some(networks) = &entry.allowed_ips {
        let from = snapshot.proxies.client(asked.peer, asked.headers);
        if !networks.iter().any(|network| network.contains(&from)) {
            let message = format!("this API key may not be used from {from}");
            return Err(Problem::new(StatusCode::FORBIDDEN, "ip_not_allowed", message));
        }
    }
    Ok(Arc::clone(entry))
}

fn unknown() -> Problem {
    Problem::unauthorized("invalid_api_key", "this user and API key are not known")
}

/// Finds the key of a native request: the headers `user` and `api-key`.
pub(crate) fn native_caller(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    scope: Scope,
) -> Result<Arc<KeyEntry>, Problem> {
    let user = user_header(asked.headers)?;
    if presented_key(asked.headers, asked.uri).is_none() {
        return Err(Problem::unauthorized(
            "missing_api_key",
            "the header api-key is missing; it holds a key such as tg-…",
        ));
    }
    let key = caller(snapshot, asked, Some(scope))?;
    if !snapshot.users.contains_key(user) {
        return Err(unknown());
    }
    if key.user != user {
        let message = "this API key belongs to another user than the header user names";
        return Err(Problem::new(StatusCode::FORBIDDEN, "user_mismatch", message));
    }
    Ok(key)
}

/// Whether the header `user` of a native request names whom its token is of.
pub(crate) fn same_user(headers: &HeaderMap, person: &Person) -> Result<(), Problem> {
    if user_header(headers)? == person.name {
        return Ok(());
    }
    let message = "this token belongs to another user than the header user names";
    Err(Problem::new(StatusCode::FORBIDDEN, "user_mismatch", message))
}

/// The user whom a proxy that is trusted names in the header `user`; or a key that comes with it, which says no less than it
/// does by itself.
pub(crate) fn trusted(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    scope: Scope,
) -> Result<Who, Problem> {
    let user = user_header(asked.headers)?;
    // What is neither of our make nor known here is the proxy's own.
    let known = |key: &str| keys::hash(key).is_some_and(|hash| snapshot.keys.contains_key(&hash));
    let presented = presented_key(asked.headers, asked.uri);
    if presented.is_some_and(|key| keys::is_ours(&key) || known(&key)) {
        return native_caller(snapshot, asked, scope).map(Who::Key);
    }
    let person = snapshot.users.get(user).and_then(|id| snapshot.people.get(id));
    let person = person.filter(|person| !person.disabled);
    let person =
        person.ok_or_else(|| Problem::unauthorized("unknown_user", "this user is not known"))?;
    Ok(Who::Person(SignedIn { person: Arc::clone(person), proof: Proof::Header }))
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
fn presented_key<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<Cow<'a, str>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let query = || uri.query()?.split('&').find_map(|pair| pair.strip_prefix("key="));
    let in_header = text("api-key")
        .or_else(|| bearer(headers))
        .or_else(|| text("x-api-key"))
        .or_else(|| text("x-goog-api-key"));
    in_header.map(Cow::Borrowed).or_else(|| query().map(unescaped))
}

/// A value of a query without its escapes. What is not escaped well, or no text, stays as it is.
fn unescaped(value: &str) -> Cow<'_, str> {
    let digit =
        |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (mut plain, mut bytes) = (Vec::new(), value.bytes());
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                return Cow::Borrowed(value);
            };
            plain.push(high * 16 + low);
        } else {
            plain.push(byte);
        }
    }
    String::from_utf8(plain).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// What stands behind `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn a_key_in_a_query_may_be_escaped() {
        for (value, plain) in [
            ("sk-abc", "sk-abc"),
            ("a%2Bb%3d%3D", "a+b=="),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("%ff", "%ff"),
        ] {
            assert_eq!(unescaped(value), plain, "{value}");
        }
    }
}
