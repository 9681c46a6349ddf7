//! Settings that go badly together.

use super::{Check, note, ok};
use crate::config::Settings;

pub(super) fn look(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![address(settings)];
    let mut say = |wrong: bool, name, text: &str| {
        if wrong {
            checks.push(note(name, text));
        }
    };
    let public = settings.public_url.as_deref();
    say(
        settings.trust_user_header,
        "trust",
        "TOLLGATE_TRUST_USER_HEADER: the header `user` is taken for proof: only behind a proxy that sets it",
    );
    say(
        public.is_none() && !settings.host.is_loopback(),
        "public url",
        "TOLLGATE_PUBLIC_URL is not set: links for signing in and snippets name the address of each request",
    );
    say(
        public.is_some_and(|url| url.starts_with("http://") && !is_local(url)),
        "public url",
        "TOLLGATE_PUBLIC_URL is without TLS: sessions and keys cross the network in clear",
    );
    say(
        settings.is_secure() && settings.trusted_proxies.is_empty(),
        "proxies",
        "TOLLGATE_TRUSTED_PROXIES is not set: behind a proxy, all clients seem to come from its address",
    );
    say(
        settings.trusted_proxies.iter().any(|network| network.prefix_len() == 0),
        "proxies",
        "TOLLGATE_TRUSTED_PROXIES names every address, so that anybody may say where it comes from",
    );
    say(
        settings.cors_origins.iter().any(|origin| origin == "*"),
        "cors",
        "TOLLGATE_CORS_ORIGINS is *: any web page may use a key that somebody gives it",
    );
    say(
        settings.commission_bps == 0,
        "commission",
        "TOLLGATE_COMMISSION_BPS is 0: everything is sold at the providers' prices",
    );
    say(
        settings.sign_up && settings.oidc().0.is_none() && settings.supabase().0.is_none(),
        "sign-up",
        "TOLLGATE_SIGN_UP is set, but nobody vouches for anybody: set SUPABASE_URL or TOLLGATE_OIDC_ISSUER",
    );
    say(
        settings.log.contains("debug") || settings.log.contains("trace"),
        "log",
        "RUST_LOG tells more than a server needs, and slows it down",
    );
    checks
}

fn address(settings: &Settings) -> Check {
    let (host, port) = (settings.host, settings.port);
    if host.is_loopback() {
        ok("address", format!("{host}:{port}, this machine only"))
    } else {
        note("address", format!("{host}:{port}, beyond this machine: put TLS in front"))
    }
}

fn is_local(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or(url);
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| host.starts_with(local))
}
