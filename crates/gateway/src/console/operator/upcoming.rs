//! Prices that are to hold from a later moment on: on the page of prices, and given up again.

use std::collections::BTreeSet;

use axum::response::Response;
use http::StatusCode;
use ledger::{Catalogue, Model, Tariff};

use super::super::html::{self, Html, Table, escape};
use super::super::page::{self, Fields, missing, told};
use super::price_changes;
use super::prices::id;
use crate::catalogue::fingerprint;
use crate::clock;
use crate::problem::Problem;
use crate::web::Call;

/// Changes of one model that are told one by one.
const TOLD: usize = 6;

/// The moment of a form; none for at once.
pub(super) fn moment(text: &str, replace: bool, now: i64) -> Result<Option<i64>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    // As browsers write it: without seconds and without a zone, which is UTC here.
    let at = clock::parse_moment(text)
        .or_else(|| clock::parse_moment(&format!("{text}:00Z")))
        .or_else(|| clock::parse_moment(&format!("{text}Z")));
    match at {
        None => Err("In force from: expected a moment such as 2027-01-01T00:00."),
        Some(at) if at <= now => Err(
            "In force from: that moment has passed. Leave it empty to have them in force at once.",
        ),
        Some(_) if replace => {
            Err("Models are dropped at once or not at all: leave out the moment, or keep them.")
        }
        Some(at) => Ok(Some(at)),
    }
}

/// All prices that are to come, the next first, each with a button that gives it up.
pub(super) fn table(catalogue: &Catalogue, version: i64, csrf: &str, now: i64) -> Table {
    let mut all: Vec<(&Model, &Tariff)> = catalogue.upcoming(now).collect();
    all.sort_by_key(|(model, tariff)| (tariff.valid_from, id(model)));
    let row = |(model, tariff): (&Model, &Tariff)| {
        let at = tariff.valid_from.unwrap_or_default();
        vec![
            html::moment(at).below(&html::since(at, now)),
            Html::link(&format!("/operator/prices/models/{}", id(model)), &id(model)),
            changes(model, tariff, at),
            button(&id(model), version, csrf),
        ]
    };
    let names = ["From", "Model", "What changes then", ""];
    Table::new(
        "Upcoming prices, USD per million tokens",
        &names,
        all.into_iter().map(row).collect(),
    )
    .or("No price is to change. An import can say from when on it holds.", None)
}

/// What a model costs from that moment on, beside what it costs until then.
fn changes(model: &Model, tariff: &Tariff, at: i64) -> Html {
    let with = |keep: &dyn Fn(&Tariff) -> bool| {
        let mut model = model.clone();
        model.price.tariffs.retain(keep);
        model
    };
    let before = with(&|one| one.valid_from.is_none_or(|from| from < at));
    let after = with(&|one| one.valid_from == tariff.valid_from);
    let changes = price_changes::changes(&before, &after, at);
    let text = |price: &Option<String>| price.clone().unwrap_or_else(|| "–".to_owned());
    let mut told: Vec<String> = changes
        .iter()
        .take(TOLD)
        .map(|one| format!("{}: {} becomes {}", one.what, text(&one.before), text(&one.after)))
        .collect();
    if changes.len() > TOLD {
        told.push(format!("and {} more", changes.len() - TOLD));
    }
    Html::text(&told.join("; "))
}

fn button(model: &str, version: i64, csrf: &str) -> Html {
    let (model, csrf) = (escape(model), escape(csrf));
    Html::of(format!(
        "<form method=\"post\" action=\"/operator/prices/withdraw\" data-confirm=\"Give the upcoming prices of {model} up?\">\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\"><input type=\"hidden\" name=\"base\" value=\"{version}\">\
         <input type=\"hidden\" name=\"model\" value=\"{model}\">\
         <button class=\"small plain-button\" aria-label=\"Withdraw the upcoming prices of {model}\">Withdraw</button></form>"
    ))
}

/// `POST /operator/prices/withdraw`: a version without the upcoming prices of a model.
pub(crate) async fn withdraw(call: Call) -> Result<Response, Problem> {
    let fields = Fields::of(&call)?;
    page::refreshed(&call).await?;
    let snapshot = call.app.snapshots.current();
    let (known, version) = (&snapshot.catalogue, snapshot.price_version);
    if fields.text("base") != version.to_string() {
        let message = "the prices have changed since this page was shown; look at them once more";
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", message));
    }
    let name = fields.text("model");
    let of = name.split_once('/').ok_or_else(missing)?;
    let whole = known.without_upcoming(Some(of), call.now);
    if whole == **known {
        return Err(missing());
    }
    let sha256 = fingerprint(&["withdraw", name, &version.to_string()]);
    let note = format!("without the upcoming prices of {name}");
    let added = call.store().add_price_version("console", &note, &sha256, &whole, call.now).await;
    added.map_err(told)?;
    page::refreshed(&call).await?;
    Ok(page::go("/operator/prices?done=withdrawn"))
}

/// When prices are to change.
pub(super) fn moments(catalogue: &Catalogue, now: i64) -> BTreeSet<i64> {
    catalogue.upcoming(now).filter_map(|(_, tariff)| tariff.valid_from).collect()
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_moment_is_still_to_come() {
        let now = 1_764_000_000_000_000;
        assert_eq!(moment("", true, now), Ok(None));
        let new_year = Ok(Some(1_798_761_600_000_000));
        for text in
            ["2027-01-01", "2027-01-01T00:00", "2027-01-01T00:00:00", "2027-01-01T00:00:00Z"]
        {
            assert_eq!(moment(text, false, now), new_year, "{text}");
        }
        assert!(moment("2027-01-01", true, now).is_err_and(|why| why.contains("dropped at once")));
        assert!(moment("2020-01-01", false, now).is_err_and(|why| why.contains("has passed")));
        assert!(moment("soon", false, now).is_err_and(|why| why.contains("expected")));
    }
}
