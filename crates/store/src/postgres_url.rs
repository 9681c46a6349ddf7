//! What a URL of PostgreSQL says, a pooler's too.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use crate::error::StoreError;

/// The options of a PostgreSQL URL, and whether statements may be given names.
pub(crate) fn postgres_options(url: &str) -> Result<(PgConnectOptions, bool), StoreError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (ours, theirs): (Vec<_>, Vec<_>) = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .partition(|pair| pair.starts_with("pgbouncer=") || pair.starts_with("statement_cache_"));
    let named =
        !ours.iter().any(|pair| matches!(*pair, "pgbouncer=true" | "statement_cache_capacity=0"))
            && !theirs.contains(&"statement-cache-capacity=0");
    let options = PgConnectOptions::from_str(&format!("{base}?{}", theirs.join("&")))?
        .application_name("tollgate");
    Ok((if named { options } else { unnamed(options) }, named))
}

/// A pooler refuses settings that it would have to carry from one connection to the next.
pub(crate) fn unnamed(options: PgConnectOptions) -> PgConnectOptions {
    options.statement_cache_capacity(0).extra_float_digits(None)
}
