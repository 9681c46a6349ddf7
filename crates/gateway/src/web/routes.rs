//! The table of routes.

use http::Method;

use super::{Doc, Policy, Route};
use crate::people::{oidc, pages};
use crate::scopes::Scope;
use crate::{generation, native};

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

/// All but the endpoints that call a model (`endpoints.rs`), and the lists of models, which are read with any key.
pub(crate) const ROUTES: &[Route] = &[
    route!(GET "/api/keys/list", Policy::Native(Scope::Keys), native::keys::list, Doc::of("Your keys")),
    route!(POST "/api/keys/generate", Policy::Native(Scope::Keys), native::keys::generate, Doc::of("Make a key")),
    route!(DELETE "/api/keys/delete", Policy::Native(Scope::Keys), native::keys::delete, Doc::of("Revoke a key")),
    route!(GET "/api/usage/check", Policy::Native(Scope::Usage), native::usage::check, Doc::of("What you owe")),
    route!(GET "/api/v1/generation", Policy::Api(None), generation::get, Doc::of("What one answer used and cost")),
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
