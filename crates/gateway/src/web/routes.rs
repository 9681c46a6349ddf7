//! The routes that programs use.

use http::Method;

use schemars::SchemaGenerator;

use super::{Doc, Policy, Route, Shape};
use crate::openrouter::{
    Data, activity, byok, catalog, credits, endpoints, filter, key, keys, pkce, view, wishes,
};
use crate::scopes::Scope;
use crate::{generation, native, openapi};

/// A route of the table.
macro_rules! route {
    ($method:ident $path:literal, $policy:expr, $handler:path, $doc:expr) => {
        Route {
            method: Method::$method,
            path: $path,
            policy: $policy,
            handler: |call| Box::pin($handler(call)),
            doc: Some($doc),
        }
    };
}

/// The shape of a type.
macro_rules! shape {
    ($type:ty) => {
        SchemaGenerator::subschema_for::<$type> as Shape
    };
}

const KEYS: Policy = Policy::Api(Some(Scope::Keys));
const BILLING: Policy = Policy::Api(Some(Scope::Billing));

/// All but the endpoints that call a model (`endpoints.rs`), and the lists of models, which are read with any key.
pub(super) const ROUTES: &[Route] = &[
    route!(GET "/openapi.json", Policy::Public, openapi::get, Doc::of("This description")),
    route!(GET "/api/keys/list", Policy::Native(Scope::Keys), native::keys::list,
        Doc::of("Your keys").answer(200, shape!(native::keys::KeyList))),
    route!(POST "/api/keys/generate", Policy::Native(Scope::Keys), native::keys::generate,
        Doc::of("Make a key").optional_body(shape!(native::keys::Generate))
            .answer(200, shape!(native::keys::Generated))),
    route!(DELETE "/api/keys/delete", Policy::Native(Scope::Keys), native::keys::delete,
        Doc::of("Revoke a key").body(shape!(native::keys::Delete))
            .answer(200, shape!(native::keys::Deleted))),
    route!(GET "/api/usage/check", Policy::Native(Scope::Usage), native::usage::check,
        Doc::of("What is owed by the account that the key spends from; of an organization's, what you have used yourself where you are a member").answer(200, shape!(native::usage::Checked))),
    route!(GET "/api/operator/limits", Policy::House, native::limits::list,
        Doc::of("The limits of everybody").query(shape!(native::limits::LimitsQuery))
            .answer(200, shape!(native::limits::LimitList))),
    route!(PUT "/api/operator/limits", Policy::House, native::limits::set,
        Doc::of("Set the limits of a key, a user, an account or a model")
            .body(shape!(native::limits::LimitWish)).answer(200, shape!(native::limits::LimitView))),
    route!(DELETE "/api/operator/limits/{id}", Policy::House, native::limits::remove,
        Doc::of("Take limits away").answer(200, shape!(native::limits::LimitRemoved))),
    route!(GET "/api/v1/generation", Policy::Api(None), generation::get, Doc::of("What one answer used and cost").query(shape!(generation::GenerationQuery))
            .answer(200, shape!(Data<generation::Generation>))),
    route!(GET "/api/v1/key", Policy::Api(None), key::get,
        Doc::of("The API key that asks; a person's token has none and is refused with 403").answer(200, shape!(Data<key::CurrentKey>))),
    // As it was called before.
    route!(GET "/api/v1/auth/key", Policy::Api(None), key::get,
        Doc::of("The API key that asks; a person's token has none and is refused with 403").answer(200, shape!(Data<key::CurrentKey>))),
    route!(GET "/api/v1/keys", KEYS, keys::list,
        Doc::of("Keys, a page of 100, newest first").query(shape!(keys::ListQuery))
            .answer(200, shape!(Data<Vec<view::KeyView>>))),
    route!(POST "/api/v1/keys", KEYS, keys::create,
        Doc::of("Make a key").body(shape!(wishes::NewKeyWish)).answer(201, shape!(keys::Made))),
    route!(GET "/api/v1/keys/{hash}", KEYS, keys::get,
        Doc::of("A key").answer(200, shape!(Data<view::KeyView>))),
    route!(PATCH "/api/v1/keys/{hash}", KEYS, keys::change,
        Doc::of("Change a key").body(shape!(wishes::KeyWish)).answer(200, shape!(Data<view::KeyView>))),
    route!(DELETE "/api/v1/keys/{hash}", KEYS, keys::delete,
        Doc::of("Revoke a key").answer(200, shape!(keys::Deleted))),
    route!(POST "/api/v1/keys/{hash}/rotate", KEYS, keys::rotate,
        Doc::of("Put another key in a key's place").body(shape!(keys::Rotation))
            .answer(201, shape!(keys::Made))),
    route!(GET "/api/v1/byok", BILLING, byok::list,
        Doc::of("The account's own keys at providers").query(shape!(byok::ByokQuery))
            .answer(200, shape!(byok::ByokList))),
    route!(POST "/api/v1/byok", BILLING, byok::create,
        Doc::of("Keep an own key at a provider").body(shape!(byok::ByokWish))
            .answer(201, shape!(Data<byok::ByokView>))),
    route!(GET "/api/v1/byok/{id}", BILLING, byok::get,
        Doc::of("An own key").answer(200, shape!(Data<byok::ByokView>))),
    route!(PATCH "/api/v1/byok/{id}", BILLING, byok::change,
        Doc::of("Say what happens when an own key fails").body(shape!(byok::ByokChange))
            .answer(200, shape!(Data<byok::ByokView>))),
    route!(DELETE "/api/v1/byok/{id}", BILLING, byok::delete,
        Doc::of("Remove an own key").answer(200, shape!(byok::ByokDeleted))),
    route!(GET "/api/v1/credits", Policy::Api(Some(Scope::Billing)), credits::get,
        Doc::of("What was put in and what was used").answer(200, shape!(Data<credits::Credits>))),
    route!(GET "/api/v1/activity", Policy::Api(Some(Scope::Usage)), activity::get,
        Doc::of("What was used on the last thirty days that are over, by model")
            .query(shape!(activity::ActivityQuery)).answer(200, shape!(Data<Vec<activity::Activity>>))),
    route!(GET "/api/v1/models", Policy::Public, catalog::list,
        Doc::of("Which models there are").query(shape!(filter::Filter))
            .answer(200, shape!(catalog::ModelList))),
    route!(GET "/api/v1/models/count", Policy::Public, catalog::count,
        Doc::of("How many models there are").query(shape!(filter::Filter))
            .answer(200, shape!(Data<catalog::Count>))),
    route!(GET "/api/v1/models/user", Policy::Api(None), catalog::of_key,
        Doc::of("Which models the API key that asks may use; a person's token is refused with 403").query(shape!(filter::Filter))
            .answer(200, shape!(catalog::ModelList))),
    route!(GET "/api/v1/embeddings/models", Policy::Public, catalog::embeddings,
        Doc::of("Which models make vectors").query(shape!(filter::Filter))
            .answer(200, shape!(catalog::ModelList))),
    route!(GET "/api/v1/model/{author}/{slug}", Policy::Public, catalog::one,
        Doc::of("A model").answer(200, shape!(Data<catalog::ModelView>))),
    route!(GET "/api/v1/models/{author}/{slug}/endpoints", Policy::Public, endpoints::get,
        Doc::of("Where a model is served").answer(200, shape!(Data<endpoints::Served>))),
    route!(GET "/api/v1/providers", Policy::Public, catalog::providers,
        Doc::of("Who serves models").answer(200, shape!(Data<Vec<catalog::ProviderView>>))),
    route!(POST "/api/v1/auth/keys/code", KEYS, pkce::create,
        Doc::of("Make a code with which a program gets a key").body(shape!(pkce::CodeWish))
            .answer(200, shape!(Data<pkce::Code>))),
    route!(POST "/api/v1/auth/keys", Policy::Public, pkce::exchange,
        Doc::of("Get the key that a code stands for").body(shape!(pkce::Exchange))
            .answer(200, shape!(pkce::Exchanged))),
];
