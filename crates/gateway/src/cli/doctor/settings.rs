//! Settings that go badly together.

use tracing::level_filters::LevelFilter;

use super::{Check, fail, note, ok};
use crate::config::Settings;
use crate::people::People;
use crate::telemetry;

pub(super) fn look(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![address(settings)];
    checks.extend(refused(settings));
    checks.extend(metrics(settings));
    checks.extend(log(settings));
    let mut say = |wrong: bool, name, text: &str| {
        if wrong {
            checks.push(note(name, text));
        }
    };
    let public = settings.public_url();
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
        public.and_then(|url| url.split_once("://")).is_some_and(|(_, rest)| rest.contains('/')),
        "public url",
        "TOLLGATE_PUBLIC_URL has a path, which the proxy in front has to take away; the pages of the console need a name of their own",
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

/// With what `serve` does not start.
fn refused(settings: &Settings) -> Vec<Check> {
    let otlp = telemetry::check(settings).map_err(|error| match settings.otlp.endpoint() {
        Some(_) => fail("traces", format!("{error:#}")),
        // It may be meant for other programs.
        None => {
            note("traces", format!("{error:#}; not read until OTEL_EXPORTER_OTLP_ENDPOINT is set"))
        }
    });
    let capture = settings.capture.keys().map_err(|error| fail("capture", format!("{error:#}")));
    let people = People::from_settings(settings);
    let people = people.map_err(|error| fail("sign-in", format!("{error:#}")));
    let metrics = telemetry::address(settings);
    let metrics = metrics.map_err(|error| fail("metrics", format!("{error:#}")));
    let errors = [otlp.err(), capture.err(), people.err(), metrics.err()];
    errors.into_iter().flatten().collect()
}

fn address(settings: &Settings) -> Check {
    let (host, port) = (settings.host, settings.port);
    if host.is_loopback() {
        ok("address", format!("{host}:{port}, this machine only"))
    } else {
        note("address", format!("{host}:{port}, beyond this machine: put TLS in front"))
    }
}

/// Whoever reaches them can read them.
fn metrics(settings: &Settings) -> Option<Check> {
    let address = telemetry::address(settings).ok().flatten()?;
    (!address.ip().is_loopback()).then(|| {
        let text = format!("TOLLGATE_METRICS_ADDR: {address} is beyond this machine and needs no key: let only your monitoring reach it");
        note("metrics", text)
    })
}

/// A level that is mistyped is taken for the name of a part of the program, and then nothing else is logged.
fn log(settings: &Settings) -> Option<Check> {
    let parts = settings.log.split(',').map(str::trim).filter(|part| !part.is_empty());
    let word = parts.into_iter().find(|part| {
        part.parse::<LevelFilter>().is_err() && !part.contains(['=', '[']) && !part.contains("::")
    })?;
    Some(note(
        "log",
        format!("RUST_LOG: {word} is no level; expected off, error, warn, info, debug or trace"),
    ))
}

fn is_local(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or(url);
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| host.starts_with(local))
}
