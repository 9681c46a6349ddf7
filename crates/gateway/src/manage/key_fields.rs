//! Fields of a key as programs send them: checked as everybody's are, with a problem that names the field.

use ledger::Catalogue;

use super::keys;
use crate::problem::Problem;

/// A problem with a field.
pub(crate) fn named(field: &'static str) -> impl Fn(String) -> Problem {
    move |message| Problem::bad_request(format!("{field}: {message}"))
}

/// What a list of names is made into, or what is wrong with it.
type Checked = Result<Vec<String>, String>;

/// The only models it may use.
pub(crate) fn models(
    catalogue: &Catalogue,
    ids: Option<Vec<String>>,
) -> Result<Option<Vec<String>>, Problem> {
    let checked: Option<Checked> = ids.map(|ids| keys::models(catalogue, &ids));
    checked.transpose().map_err(named("models"))
}

/// The only networks it may be used from.
pub(crate) fn allowed_ips(texts: Option<Vec<String>>) -> Result<Option<Vec<String>>, Problem> {
    let checked: Option<Checked> = texts.map(|texts| keys::allowed_ips(&texts));
    checked.transpose().map_err(named("allowed_ips"))
}

/// The most of something in a minute.
pub(crate) fn per_minute(field: &'static str, number: Option<i64>) -> Result<Option<i64>, Problem> {
    number.map(keys::per_minute).transpose().map_err(named(field))
}

/// From when on it is refused.
pub(crate) fn expires_at(text: Option<String>, now: i64) -> Result<Option<i64>, Problem> {
    let at = text.map(|text| keys::expiry(&text, now));
    at.transpose().map_err(named("expires_at"))
}
