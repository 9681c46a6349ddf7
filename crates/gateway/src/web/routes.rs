//! The table of routes.

use http::Method;

use schemars::SchemaGenerator;

use super::{Doc, Policy, Route, Shape};
use crate::console::operator;
use crate::openrouter::{
    Data, activity, catalog, credits, endpoints, filter, key, keys, pkce, view, wishes,
};
use crate::people::{oidc, pages};
use crate::scopes::Scope;
use crate::{console, generation, native};

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

/// A route whose answer is looked at in a browser.
macro_rules! page {
    ($method:ident $path:literal, $policy:expr, $handler:path) => {
        Route {
            method: Method::$method,
            path: $path,
            policy: $policy,
            handler: |call| Box::pin($handler(call)),
            doc: None,
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

/// All but the endpoints that call a model (`endpoints.rs`), and the lists of models, which are read with any key.
pub(crate) const ROUTES: &[Route] = &[
    route!(GET "/api/keys/list", Policy::Native(Scope::Keys), native::keys::list, Doc::of("Your keys")),
    route!(POST "/api/keys/generate", Policy::Native(Scope::Keys), native::keys::generate, Doc::of("Make a key")),
    route!(DELETE "/api/keys/delete", Policy::Native(Scope::Keys), native::keys::delete, Doc::of("Revoke a key")),
    route!(GET "/api/usage/check", Policy::Native(Scope::Usage), native::usage::check, Doc::of("What you owe")),
    route!(GET "/api/v1/generation", Policy::Api(None), generation::get, Doc::of("What one answer used and cost").query(shape!(generation::GenerationQuery))
            .answer(200, shape!(Data<generation::Generation>))),
    route!(GET "/api/v1/key", Policy::Api(None), key::get,
        Doc::of("The key that asks").answer(200, shape!(Data<key::CurrentKey>))),
    // As it was called before.
    route!(GET "/api/v1/auth/key", Policy::Api(None), key::get,
        Doc::of("The key that asks").answer(200, shape!(Data<key::CurrentKey>))),
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
        Doc::of("Which models a key may use").query(shape!(filter::Filter))
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
    page!(GET "/assets/{name}", Policy::Public, console::assets::get),
    page!(GET "/", Policy::Page, console::overview::get),
    page!(POST "/switch", Policy::Page, console::page::switch),
    page!(GET "/requests", Policy::Page, console::requests::list),
    page!(GET "/requests/{id}", Policy::Page, console::requests::one),
    page!(GET "/keys", Policy::Page, console::keys::list),
    page!(POST "/keys", Policy::Page, console::keys::create),
    page!(GET "/keys/new", Policy::Page, console::keys::new),
    page!(GET "/keys/{id}", Policy::Page, console::keys::one),
    page!(POST "/keys/{id}", Policy::Page, console::keys::change),
    page!(POST "/keys/{id}/disabled", Policy::Page, console::keys::disable),
    page!(POST "/keys/{id}/rotate", Policy::Page, console::keys::rotate),
    page!(POST "/keys/{id}/revoke", Policy::Page, console::keys::revoke),
    page!(GET "/bills", Policy::Page, console::bills::list),
    page!(GET "/bills/{month}", Policy::Page, console::bills::one),
    page!(GET "/playground", Policy::Page, console::playground::get),
    page!(POST "/playground/chat", Policy::Page, console::playground::chat),
    page!(POST "/playground/price", Policy::Page, console::playground::price),
    page!(GET "/playground/receipts/{id}", Policy::Page, console::playground::receipt),
    page!(GET "/connect", Policy::Page, console::connect::get),
    page!(GET "/organization", Policy::Page, console::organization::get),
    page!(POST "/organization/members", Policy::Page, console::organization::set),
    page!(POST "/organization/members/remove", Policy::Page, console::organization::remove),
    page!(GET "/auth", Policy::Page, console::consent::get),
    page!(POST "/auth", Policy::Page, console::consent::post),
    page!(GET "/settings", Policy::Page, console::settings::get),
    page!(POST "/settings/sessions/end", Policy::Page, console::settings::end),
    page!(GET "/operator", Policy::Operator, operator::get),
    page!(GET "/operator/users", Policy::Operator, operator::users::users),
    page!(POST "/operator/users", Policy::Operator, operator::users::create),
    page!(GET "/operator/organizations", Policy::Operator, operator::users::organizations),
    page!(POST "/operator/organizations", Policy::Operator, operator::users::create),
    page!(GET "/operator/customers/{name}", Policy::Operator, operator::customers::get),
    page!(POST "/operator/customers/{name}/{act}", Policy::Operator, operator::customers::act),
    page!(GET "/operator/prices", Policy::Operator, operator::prices::get),
    page!(GET "/operator/prices/import", Policy::Operator, operator::import::form),
    page!(POST "/operator/prices/import", Policy::Operator, operator::import::post),
    page!(GET "/operator/prices/models/{provider}/{*model}", Policy::Operator, operator::prices::model),
    page!(GET "/operator/providers", Policy::Operator, operator::providers::get),
    page!(GET "/operator/audit", Policy::Operator, operator::audit::get),
    page!(GET "/sign-in", Policy::Public, pages::sign_in_page),
    page!(POST "/sign-in", Policy::Form, pages::sign_in),
    page!(GET "/sign-in/oidc", Policy::Public, oidc::begin),
    page!(GET "/sign-in/oidc/callback", Policy::Public, oidc::callback),
    page!(POST "/sign-out", Policy::Page, pages::sign_out),
    page!(GET "/password/{token}", Policy::Public, pages::password_page),
    page!(POST "/password/{token}", Policy::Form, pages::choose_password),
    page!(GET "/welcome/{token}", Policy::Public, pages::welcome_page),
    page!(POST "/welcome/{token}", Policy::Form, pages::welcome),
    page!(GET "/account/password", Policy::Page, pages::change_page),
    page!(POST "/account/password", Policy::Page, pages::change_password),
];
