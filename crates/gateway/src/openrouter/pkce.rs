//! A program gets a key that somebody lets it have: a code first, then the key for the code (PKCE, RFC 7636).

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, Uri};
use ledger::{BudgetPeriod, Usd};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Actor, AuthCode, Store};
use uuid::Uuid;

use super::dollars::Dollars;
use super::limits::{self, Limit, Reset};
use super::{Data, wishes};
use crate::clock;
use crate::manage::key_fields::{self, named};
use crate::manage::keys::{self, Wanted};
use crate::problem::Problem;
use crate::scopes::Scopes;
use crate::snapshot::{Person, Snapshot};
use crate::web::session::{hash, secret};
use crate::web::{self, Call};

/// How long a code works.
const LIFE: i64 = 10 * 60 * 1_000_000;
/// The bounds of a verifier, and of a challenge that is one.
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// How a program proves that it is the one that has asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Method {
    S256,
    #[serde(rename = "plain")]
    Plain,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::S256 => "S256",
            Self::Plain => "plain",
        }
    }
}

/// A code to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct CodeWish {
    /// Where the program waits: https, or this machine.
    callback_url: String,
    code_challenge: Option<String>,
    code_challenge_method: Option<Method>,
    /// What to call the key.
    key_label: Option<String>,
    /// The most that the key may spend.
    limit: Option<Dollars>,
    /// How often that begins anew.
    usage_limit_type: Option<Reset>,
    /// When the key ends.
    expires_at: Option<String>,
    /// Only the account of the key that asks.
    workspace_id: Option<String>,
}

/// A code.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Code {
    id: String,
    app_id: i64,
    created_at: String,
}

/// A code for a key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct Exchange {
    code: String,
    code_verifier: Option<String>,
    code_challenge_method: Option<Method>,
}

/// A key for a code. It is told this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Exchanged {
    key: String,
    user_id: Option<String>,
}

/// What somebody lets a program have: a key that asks models and does nothing else.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) user: Uuid,
    /// The account that the key spends from.
    pub(crate) account: Uuid,
    pub(crate) name: String,
    pub(crate) budget: Option<Limit>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) challenge: Option<Challenge>,
}

/// What a program proves later that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    text: String,
    method: Method,
}

/// A grant as the store keeps it with its code.
#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    account: Uuid,
    name: String,
    budget: Option<(String, i64)>,
    expires_at: Option<i64>,
}

impl Challenge {
    /// Reads what a program sends; without a method it is `plain`.
    pub(crate) fn read(
        text: Option<String>,
        method: Option<Method>,
    ) -> Result<Option<Self>, Problem> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return match method {
                None => Ok(None),
                Some(_) => Err(Problem::bad_request("code_challenge: is missing")),
            };
        };
        let method = method.unwrap_or(Method::Plain);
        let text = match method {
            Method::S256 => url_safe(&text)
                .filter(|text| URL_SAFE_NO_PAD.decode(text).is_ok_and(|digest| digest.len() == 32)),
            Method::Plain => Some(text).filter(|text| VERIFIER.contains(&text.len())),
        };
        let message = match method {
            Method::S256 => "code_challenge: expected the SHA-256 of the verifier, in base64url",
            Method::Plain => "code_challenge: expected 43 to 128 characters",
        };
        let text = text.ok_or_else(|| Problem::bad_request(message))?;
        Ok(Some(Self { text, method }))
    }

    fn is_met_by(&self, verifier: &str) -> bool {
        let made = match self.method {
            Method::S256 => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)),
            Method::Plain => verifier.to_owned(),
        };
        // Of hashes it does not matter how long it takes to tell them apart.
        Sha256::digest(made) == Sha256::digest(&self.text)
    }
}

/// Base64 of either alphabet as base64url without padding.
fn url_safe(text: &str) -> Option<String> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    text.is_ascii().then_some(text)
}

/// Where a code may be sent: over TLS, or to a program on the same machine.
pub(crate) fn callback(text: &str) -> Result<Uri, Problem> {
    let local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let uri: Option<Uri> = text.parse().ok();
    let good = uri.filter(|uri| {
        let host = uri.host().filter(|host| !host.is_empty());
        let bare = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        match uri.scheme_str() {
            Some("https") => bare && host.is_some(),
            Some("http") => bare && host.is_some_and(local),
            _ => false,
        }
    });
    good.ok_or_else(|| {
        Problem::bad_request("callback_url: expected https://… or an http address of this machine")
    })
}

/// Makes a code for what is granted. `store` knows who grants it.
pub(crate) async fn issue(store: &Store, grant: Grant, now: i64) -> Result<String, Problem> {
    let settings = Settings {
        account: grant.account,
        name: grant.name,
        budget: grant.budget.map(|(period, limit)| (period.name().to_owned(), limit.pico())),
        expires_at: grant.expires_at,
    };
    let (challenge, method) = match grant.challenge {
        None => (String::new(), ""),
        Some(Challenge { text, method }) => (text, method.name()),
    };
    let code = secret();
    let kept = AuthCode {
        user_id: grant.user,
        challenge,
        method: method.to_owned(),
        settings: serde_json::to_string(&settings).map_err(Problem::internal)?,
        created_at: now,
        expires_at: now.saturating_add(LIFE),
    };
    store.add_auth_code(hash(&code), &kept).await.map_err(Problem::store)?;
    Ok(code)
}

/// `POST /api/v1/auth/keys/code`
pub(crate) async fn create(call: Call) -> Result<Response, Problem> {
    call.is_wide()?;
    call.reach()?;
    let wish: CodeWish = call.json()?;
    callback(&wish.callback_url)?;
    wishes::check_workspace(&call, wish.workspace_id.as_deref())?;
    let limit = limits::wanted(Some(wish.limit), Some(wish.usage_limit_type), None)?.flatten();
    if limit.is_none() && wish.usage_limit_type.is_some() {
        let message = "usage_limit_type: there is no limit that could begin anew";
        return Err(Problem::bad_request(message));
    }
    let grant = Grant {
        user: call.user()?.0,
        account: call.who.account_id().unwrap_or_default(),
        name: keys::name(&wish.key_label.unwrap_or_default()).map_err(named("key_label"))?,
        budget: limit,
        expires_at: key_fields::expires_at(wish.expires_at, call.now)?,
        challenge: Challenge::read(wish.code_challenge, wish.code_challenge_method)?,
    };
    let id = issue(&call.store(), grant, call.now).await?;
    web::json(&Data { data: Code { id, app_id: 0, created_at: clock::rfc3339(call.now) } })
}

/// `POST /api/v1/auth/keys`, for whoever has a code and knows what was asked for with it.
pub(crate) async fn exchange(call: Call) -> Result<Response, Problem> {
    let Exchange { code, code_verifier, code_challenge_method } = call.json()?;
    let (store, hash) = (&call.app.store, hash(&code));
    let kept = store.auth_code(hash, call.now).await.map_err(Problem::store)?;
    let kept = kept.ok_or_else(refused)?;
    if code_challenge_method.is_some_and(|method| method.name() != kept.method) {
        let message = "code_challenge_method: expected the one that the code was asked for with";
        return Err(Problem::bad_request(message));
    }
    let snapshot = call.app.snapshots.current();
    let draft = draft(&snapshot, &kept, code_verifier.as_deref(), call.now)?;
    let name = snapshot.people.get(&kept.user_id).map(|person| person.name.clone());
    let actor =
        Actor { id: Some(kept.user_id), name: name.unwrap_or_default(), via: "code", at: call.now };
    let (secret, new) = draft.map_or((None, None), |(secret, new)| (Some(secret), Some(new)));
    let key = store.by(actor).redeem_auth_code(hash, call.now, new).await;
    let key = key.map_err(Problem::store)?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    let (secret, key) = secret.zip(key).ok_or_else(refused)?;
    let key = Exchanged {
        key: secret.expose_secret().to_owned(),
        user_id: Some(key.user_id.to_string()),
    };
    web::json(&key)
}

/// The same whatever is wrong, so that nobody learns which codes there are.
fn refused() -> Problem {
    let message = "this code is not known, or was used, or is over, or code_verifier is another's";
    Problem::new(StatusCode::FORBIDDEN, "invalid_code", message)
}

/// The key that a code stands for; `None` where whoever brings it has not proved enough, or it may no longer be granted.
fn draft(
    snapshot: &Snapshot,
    kept: &AuthCode,
    verifier: Option<&str>,
    now: i64,
) -> Result<Option<(secrecy::SecretString, store::NewKey)>, Problem> {
    let method = match kept.method.as_str() {
        "S256" => Some(Method::S256),
        "plain" => Some(Method::Plain),
        _ => None,
    };
    if let Some(method) = method {
        let challenge = Challenge { text: kept.challenge.clone(), method };
        if !verifier.is_some_and(|verifier| challenge.is_met_by(verifier)) {
            return Ok(None);
        }
    }
    let settings: Settings = serde_json::from_str(&kept.settings).map_err(Problem::internal)?;
    let person = snapshot.people.get(&kept.user_id).filter(|person| !person.disabled);
    let Some((person, payer)) =
        person.and_then(|person| Some((person, payer(person, settings.account)?)))
    else {
        return Ok(None);
    };
    let budget = settings
        .budget
        .and_then(|(period, pico)| Some((BudgetPeriod::from_name(&period)?, Usd::from_pico(pico))));
    let wanted = Wanted {
        budget,
        expires_at: settings.expires_at,
        ..Wanted::of(settings.name, Scopes::INFERENCE)
    };
    let (secret, new) =
        keys::draft(&person.name, Some(payer), wanted, now).map_err(Problem::internal)?;
    Ok(Some((secret, new)))
}

/// The name of an account from which a person may let a key spend.
fn payer(person: &Person, account: Uuid) -> Option<&str> {
    person.reach(account)?;
    if account == person.account_id {
        return Some(&person.name);
    }
    let mut memberships = person.memberships.iter();
    memberships.find(|membership| membership.account_id == account).map(|found| found.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::{Challenge, Method, callback};

    fn read(text: &str, method: Option<Method>) -> Result<Option<Challenge>, String> {
        let read = Challenge::read(Some(text.to_owned()), method);
        read.map_err(|problem| problem.message.into_owned())
    }

    /// The example of RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_met_by_its_verifier_alone() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let digest = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        for text in [digest, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM="] {
            let challenge = read(text, Some(Method::S256)).expect("read").expect("a challenge");
            assert!(challenge.is_met_by(verifier));
            assert!(!challenge.is_met_by(digest) && !challenge.is_met_by(""));
        }
        for method in [None, Some(Method::Plain)] {
            let challenge = read(verifier, method).expect("read").expect("a challenge");
            assert!(challenge.is_met_by(verifier) && !challenge.is_met_by(digest));
        }
    }

    #[test]
    fn a_challenge_that_is_none() {
        assert_eq!(read("", None), Ok(None));
        let long = "x".repeat(129);
        for (text, method) in [
            ("", Some(Method::S256)),
            ("short", Some(Method::S256)),
            ("short", None),
            (long.as_str(), Some(Method::Plain)),
            ("éééééééééééééééééééééééééééééééééééééééé", Some(Method::S256)),
        ] {
            assert!(read(text, method).is_err_and(|e| e.starts_with("code_challenge:")), "{text}");
        }
    }

    #[test]
    fn codes_go_over_tls_or_stay_on_the_machine() {
        for good in [
            "https://app.example.org/cb?x=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1:9/",
            "http://[::1]:8080/",
        ] {
            assert!(callback(good).is_ok(), "{good}");
        }
        for bad in [
            "http://app.example.org/",
            "javascript:alert(1)",
            "/cb",
            "",
            "https://",
            "https://user@app.example.org/",
            "http://localhost.example.org/",
            "ftp://localhost/",
        ] {
            assert!(callback(bad).is_err(), "{bad}");
        }
    }
}
