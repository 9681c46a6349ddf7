//! The table of routes.

use http::Method;

use super::{Doc, Policy, Route};
use crate::console::operator;
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

/// All but the endpoints that call a model (`endpoints.rs`), and the lists of models, which are read with any key.
pub(crate) const ROUTES: &[Route] = &[
    route!(GET "/api/keys/list", Policy::Native(Scope::Keys), native::keys::list, Doc::of("Your keys")),
    route!(POST "/api/keys/generate", Policy::Native(Scope::Keys), native::keys::generate, Doc::of("Make a key")),
    route!(DELETE "/api/keys/delete", Policy::Native(Scope::Keys), native::keys::delete, Doc::of("Revoke a key")),
    route!(GET "/api/usage/check", Policy::Native(Scope::Usage), native::usage::check, Doc::of("What you owe")),
    route!(GET "/api/v1/generation", Policy::Api(None), generation::get, Doc::of("What one answer used and cost")),
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
];
