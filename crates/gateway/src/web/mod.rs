//! Everything but inference: one table of routes, each with who may use it. A handler gets a [`Call`], in which it stands
//! who calls; it is never run for anybody whom the policy of its route keeps out.

mod dispatch;
mod headers;
mod origin;
mod pages;
mod routes;
pub(crate) mod session;
mod texts;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, header};
use schemars::SchemaGenerator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Actor, Limits, Role, SecretHash, Store, Whose};
use uuid::Uuid;

use crate::app::App;
use crate::manage::keys::{self, Wanted};
use crate::native::json::read_json;
use crate::problem::Problem;
use crate::scopes::{Scope, Scopes};
use crate::snapshot::{KeyEntry, Person};

pub(crate) use dispatch::router;
/// All routes but those of `endpoints.rs`.
pub(crate) fn routes() -> impl Iterator<Item = &'static Route> {
    routes::ROUTES.iter().chain(pages::PAGES)
}

/// Who may use a route.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Anybody.
    Public,
    /// Anybody, by a form of a page of ours: nobody else's page can send it in a visitor's name.
    Form,
    /// A key that has the scope, or any key where none is named; a person's token.
    Api(Option<Scope>),
    /// A key that may ask models. The endpoint sees to that itself, before it reads the body.
    Inference,
    /// A key of an operator that has the scope `operator`; an operator's token.
    House,
    /// The native API: the header `user`, and a key of that user that has the scope.
    Native(Scope),
    /// Somebody who is signed in, in a browser.
    Page,
    /// An operator who is signed in, in a browser.
    Operator,
}

impl Policy {
    /// Whether people meet it, who are answered with pages.
    pub(crate) const fn is_page(self) -> bool {
        matches!(self, Self::Form | Self::Page | Self::Operator)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("anybody"),
            Self::Form => f.write_str("form"),
            Self::Api(None) => f.write_str("key"),
            Self::Api(Some(scope)) => write!(f, "key:{}", scope.name()),
            Self::Inference => f.write_str("key:inference"),
            Self::House => f.write_str("key:operator"),
            Self::Native(scope) => write!(f, "user:{}", scope.name()),
            Self::Page => f.write_str("person"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// A shape in the description of the API: `SchemaGenerator::subschema_for::<T>`.
pub(crate) type Shape = fn(&mut SchemaGenerator) -> schemars::Schema;

/// What a route takes and gives, for whoever reads the description of the API.
#[derive(Copy, Clone)]
pub(crate) struct Doc {
    pub(crate) summary: &'static str,
    /// An object whose fields may be given in the query.
    pub(crate) query: Option<Shape>,
    pub(crate) body: Option<Shape>,
    /// Whether it may be left out.
    pub(crate) body_optional: bool,
    pub(crate) status: u16,
    pub(crate) answer: Option<Shape>,
}

impl Doc {
    pub(crate) const fn of(summary: &'static str) -> Self {
        Self { summary, query: None, body: None, body_optional: false, status: 200, answer: None }
    }

    pub(crate) const fn query(self, shape: Shape) -> Self {
        Self { query: Some(shape), ..self }
    }

    pub(crate) const fn body(self, shape: Shape) -> Self {
        Self { body: Some(shape), ..self }
    }

    pub(crate) const fn optional_body(self, shape: Shape) -> Self {
        Self { body_optional: true, ..self.body(shape) }
    }

    pub(crate) const fn answer(self, status: u16, shape: Shape) -> Self {
        Self { status, answer: Some(shape), ..self }
    }
}

/// One endpoint. There is none without a policy.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// As axum writes it: `/keys/{hash}`.
    pub(crate) path: &'static str,
    pub(crate) policy: Policy,
    pub(crate) handler: fn(Call) -> Answer,
    /// None for what is looked at in a browser.
    pub(crate) doc: Option<Doc>,
}

/// A request of somebody who may make it.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) who: Who,
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    /// Microseconds since 1970.
    pub(crate) now: i64,
    params: Vec<(String, String)>,
}

/// Who calls.
#[derive(Clone)]
pub(crate) enum Who {
    Nobody,
    Key(Arc<KeyEntry>),
    Person(SignedIn),
}

/// A person who has proved it.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) person: Arc<Person>,
    pub(crate) proof: Proof,
}

/// By what somebody has proved who it is.
#[derive(Clone)]
pub(crate) enum Proof {
    /// A session of a browser, and the word that its forms have to bring back.
    Session { hash: SecretHash, csrf: String },
    /// A token of an issuer that is trusted.
    Token,
    /// The header of a proxy that is trusted.
    Header,
}

impl Who {
    /// The user on whose behalf it is; `None` for nobody.
    pub(crate) fn user(&self) -> Option<(Uuid, &str)> {
        match self {
            Self::Nobody => None,
            Self::Key(key) => Some((key.user_id, &key.user)),
            Self::Person(signed_in) => Some((signed_in.person.id, &signed_in.person.name)),
        }
    }

    /// The account that is meant where none is named.
    pub(crate) fn account_id(&self) -> Option<Uuid> {
        match self {
            Self::Nobody => None,
            Self::Key(key) => Some(key.account_id),
            Self::Person(signed_in) => Some(signed_in.person.account_id),
        }
    }

    /// What a key made on this behalf may be allowed at most: a key gives nothing that it has not.
    pub(crate) fn grants(&self) -> Scopes {
        match self {
            Self::Nobody => Scopes::default(),
            // To manage keys is to decide who may ask models.
            Self::Key(key) if key.scopes.has(Scope::Keys) => key.scopes.with(Scope::Inference),
            Self::Key(key) => key.scopes,
            // A proxy that is trusted vouches for who it is, and for no more.
            Self::Person(SignedIn { person, proof: Proof::Session { .. } | Proof::Token })
                if person.operator =>
            {
                Scopes::OPERATORS
            }
            Self::Person(_) => Scopes::ALL,
        }
    }

    fn via(&self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Key(_) => "key",
            Self::Person(SignedIn { proof: Proof::Session { .. }, .. }) => "console",
            Self::Person(SignedIn { proof: Proof::Token, .. }) => "token",
            Self::Person(SignedIn { proof: Proof::Header, .. }) => "header",
        }
    }
}

impl Person {
    /// Whose keys the person may look at and change that spend from an account; `None` for a stranger to it, and for who
    /// only pays.
    pub(crate) fn reach(&self, account_id: Uuid) -> Option<Whose> {
        if account_id == self.account_id {
            return Some(Whose::Accounts(account_id));
        }
        match self.role(account_id)? {
            Role::Owner | Role::Admin => Some(Whose::Accounts(account_id)),
            Role::Member => Some(Whose::UsersOfAccount(self.id, account_id)),
            Role::Billing => None,
        }
    }

    /// What the person is in the organization whose account that is.
    pub(crate) fn role(&self, account_id: Uuid) -> Option<Role> {
        let membership = self.memberships.iter().find(|member| member.account_id == account_id);
        membership.map(|membership| membership.role)
    }
}

impl Call {
    /// A part of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// What stands behind the question mark.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let query = Query::<T>::try_from_uri(&self.parts.uri);
        query.map(|Query(query)| query).map_err(|error| Problem::bad_request(error.body_text()))
    }

    /// A JSON object.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read_json(&self.body)
    }

    /// The fields of a form.
    pub(crate) fn form<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let fields = serde_urlencoded::from_bytes(&self.body);
        fields.map_err(|error| Problem::bad_request(format!("the form: {error}")))
    }

    /// The user on whose behalf it is.
    pub(crate) fn user(&self) -> Result<(Uuid, &str), Problem> {
        self.who.user().ok_or_else(|| Problem::internal("a route for users was open"))
    }

    /// The store, whose changes are noted as those of whoever calls.
    pub(crate) fn store(&self) -> Store {
        let (id, name) = match self.who.user() {
            Some((id, name)) => (Some(id), name.to_owned()),
            None => (None, "nobody".to_owned()),
        };
        self.app.store.by(Actor { id, name, via: self.who.via(), at: self.now })
    }

    /// The person who is signed in; a key stands for its user.
    pub(crate) fn person(&self) -> Result<Arc<Person>, Problem> {
        match &self.who {
            Who::Person(signed_in) => Ok(Arc::clone(&signed_in.person)),
            Who::Key(key) => {
                let snapshot = self.app.snapshots.current();
                let person = snapshot.people.get(&key.user_id).map(Arc::clone);
                person.ok_or_else(|| Problem::internal("a key without a user"))
            }
            Who::Nobody => Err(Problem::internal("a route for persons was open")),
        }
    }

    /// The key that asks, where what is asked for is about that key.
    pub(crate) fn key(&self) -> Result<&KeyEntry, Problem> {
        if let Who::Key(key) = &self.who {
            return Ok(key);
        }
        let message =
            "this is about the API key that asks: an API key is needed, and no token of a person";
        Err(Problem::new(http::StatusCode::FORBIDDEN, "api_key_needed", message))
    }

    /// What a key made on this behalf is like at most.
    pub(crate) fn narrowed(&self, wanted: Wanted) -> Result<Wanted, Problem> {
        match &self.who {
            Who::Key(key) if key.has_budget => {
                let message = "this API key has a budget of its own: it makes no keys, which would spend beside it";
                Err(Problem::new(http::StatusCode::FORBIDDEN, "forbidden", message))
            }
            Who::Key(key) => keys::narrowed(wanted, key).map_err(Problem::bad_request),
            Who::Person(_) | Who::Nobody => Ok(wanted),
        }
    }

    /// Refuses a key that is narrowed in any way of its own: with what it changes it could widen itself.
    pub(crate) fn is_wide(&self) -> Result<(), Problem> {
        let Who::Key(key) = &self.who else { return Ok(()) };
        let message = if key.has_budget {
            "this API key has a budget of its own: it may make and change no keys"
        } else if key.models.is_some() || key.allowed_ips.is_some() {
            "this API key is narrowed to models or networks: it may make keys as narrow, but change none"
        } else if key.own_limits() != Limits::default() {
            "this API key has rate limits of its own: it may make keys with none that are higher, but change none"
        } else if key.expires_at.is_some() {
            "this API key expires: it may make keys that end no later, but change none"
        } else {
            return Ok(());
        };
        Err(Problem::new(http::StatusCode::FORBIDDEN, "forbidden", message))
    }

    /// Whose requests and spending may be looked at, of those that the account pays for that is meant: one's own at least.
    pub(crate) fn sees(&self) -> Result<Whose, Problem> {
        let (user, account) = (self.user()?.0, self.who.account_id().unwrap_or_default());
        let reach = self.person()?.reach(account);
        Ok(reach.unwrap_or(Whose::UsersOfAccount(user, account)))
    }

    /// Whose keys may be looked at and changed, of those that spend from the account that is meant.
    pub(crate) fn reach(&self) -> Result<Whose, Problem> {
        let account = self.who.account_id();
        let person = self.person()?;
        account.and_then(|account| person.reach(account)).ok_or_else(|| {
            let message = "your role in this organization does not let you manage keys";
            Problem::new(http::StatusCode::FORBIDDEN, "forbidden", message)
        })
    }
}

/// An answer in JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(value).map_err(Problem::internal)?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], bytes).into_response())
}
