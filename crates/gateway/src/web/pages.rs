//! The routes that people meet in a browser.

use http::Method;

use super::{Policy, Route};
use crate::console;
use crate::console::operator;
use crate::people::{oidc, pages};
use crate::reference;

/// What people meet in a browser.
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

/// Pages and the forms on them.
pub(super) const PAGES: &[Route] = &[
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
    page!(GET "/assets/{name}", Policy::Public, console::assets::get),
    page!(GET "/docs", Policy::Public, reference::get),
    page!(GET "/", Policy::Page, console::overview::get),
    page!(POST "/switch", Policy::Page, console::page::switch),
    page!(GET "/requests", Policy::Page, console::requests::list),
    page!(GET "/requests/{id}", Policy::Page, console::receipt::one),
    page!(GET "/keys", Policy::Page, console::key_list::own),
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
    page!(GET "/auth", Policy::Page, console::consent::get),
    page!(POST "/auth", Policy::Page, console::consent::post),
    page!(GET "/own-keys", Policy::Page, console::own_keys::get),
    page!(POST "/own-keys/{provider}", Policy::Page, console::own_keys::set),
    page!(POST "/own-keys/{provider}/always", Policy::Page, console::own_keys::always),
    page!(POST "/own-keys/{provider}/remove", Policy::Page, console::own_keys::remove),
    page!(POST "/own-keys/{provider}/check", Policy::Page, console::own_keys::check),
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
    page!(GET "/operator/customers/{name}/keys", Policy::Operator, console::key_list::of_customer),
    page!(POST "/operator/customers/{name}/{act}", Policy::Operator, operator::customers::act),
    page!(GET "/operator/prices", Policy::Operator, operator::prices::get),
    page!(GET "/operator/prices/import", Policy::Operator, operator::import::form),
    page!(POST "/operator/prices/import", Policy::Operator, operator::import::post),
    page!(POST "/operator/prices/withdraw", Policy::Operator, operator::upcoming::withdraw),
    page!(GET "/operator/prices/models/{provider}/{*model}", Policy::Operator, operator::prices::model),
    page!(GET "/operator/providers", Policy::Operator, operator::providers::get),
    page!(POST "/operator/providers/{name}/credential", Policy::Operator, operator::credentials::set),
    page!(POST "/operator/providers/{name}/credential/remove", Policy::Operator, operator::credentials::remove),
    page!(POST "/operator/providers/{name}/check", Policy::Operator, operator::credentials::check),
    page!(GET "/operator/audit", Policy::Operator, operator::audit::get),
];
