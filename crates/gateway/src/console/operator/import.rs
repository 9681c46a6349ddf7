//! A price file, looked at before it is in force: what it would add, change and drop.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use ledger::{Catalogue, Model, PriceFiles, import};

use super::super::html::{self, Html, Table};
use super::super::page::{self, Desk, Fields, Frame, Notice, told};
use super::price_changes::{self, Change};
use super::prices::{alarms, id};
use super::upcoming;
use crate::catalogue::{fingerprint, stranger};
use crate::manage::acts;
use crate::problem::Problem;
use crate::web::Call;

/// Changes that are shown one by one.
const SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "import.html")]
struct Page {
    frame: Frame,
    /// What stands in the form, to be sent again.
    text: String,
    source: String,
    note: String,
    replace: bool,
    /// From when on the prices hold, as it was typed; at once where it is empty.
    from: String,
    base: i64,
    preview: Option<Preview>,
}

struct Preview {
    summary: String,
    /// The moment, where it is one that is still to come.
    from: Option<Html>,
    table: Table,
    alarms: Vec<Html>,
    changes: bool,
    /// Prices that change by much, which somebody has to say that they are meant.
    large: Vec<Html>,
}

/// `GET /operator/prices/import`
pub(crate) async fn form(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let frame = Frame::new(&call, &desk, "Import prices");
    let base = call.app.snapshots.current().price_version;
    let (text, source, note, from) = Default::default();
    page::show(&Page { frame, text, source, note, replace: false, from, base, preview: None })
}

/// `POST /operator/prices/import`: a preview, or with `confirm` the act.
pub(crate) async fn post(call: Call) -> Result<Response, Problem> {
    let (desk, fields) = (Desk::of(&call)?, Fields::of(&call)?);
    // The version is read where the prices are, so that the preview is of what will be done.
    page::refreshed(&call).await?;
    let snapshot = call.app.snapshots.current();
    for field in ["source", "note"] {
        acts::reason(fields.text(field)).map_err(page::wrong(field))?;
    }
    let (text, replace) = (fields.text("models").to_owned(), fields.is_on("replace"));
    let mut page = Page {
        frame: Frame::new(&call, &desk, "Import prices"),
        source: fields.some("source").unwrap_or("console").to_owned(),
        note: fields.text("note").to_owned(),
        base: snapshot.price_version,
        preview: None,
        from: fields.text("from").to_owned(),
        replace,
        text,
    };
    let imported = match read(&page.text) {
        Ok(imported) => imported,
        Err(why) => return refused(page, &why),
    };
    let from = match upcoming::moment(&page.from, replace, call.now) {
        Ok(from) => from,
        Err(why) => return refused(page, why),
    };
    let informed = imported.clone().informed_by(&snapshot.catalogue);
    // Of the prices before, nothing is left where all is replaced and nothing was known.
    let stands_alone = replace && informed == imported;
    let whole = match from {
        Some(from) => match snapshot.catalogue.with_upcoming(&imported, from) {
            Ok(whole) => whole,
            Err(undated) => return refused(page, &format!("Nothing was imported. {undated}")),
        },
        None if replace => informed,
        None => snapshot.catalogue.overlaid(&informed),
    };
    let bps = call.app.live.load().commission_bps;
    let mut preview = preview(&snapshot.catalogue, &whole, bps, from.unwrap_or(call.now));
    preview.from = from.map(html::moment);
    let is_same = fields.text("base") == page.base.to_string();
    let is_meant = preview.large.is_empty() || fields.is_on("large");
    if fields.is_on("confirm") && is_same && is_meant {
        let mode = match from {
            Some(from) => format!("from {from}"),
            None if replace => "replace".to_owned(),
            None => "over".to_owned(),
        };
        let origin = if stands_alone { "none".to_owned() } else { page.base.to_string() };
        let sha256 = fingerprint(&[&page.text, "", "", &mode, &origin]);
        let store = call.store();
        let added = store.add_price_version(&page.source, &page.note, &sha256, &whole, call.now);
        added.await.map_err(told)?;
        page::refreshed(&call).await?;
        let done = if from.is_some() { "planned" } else { "imported" };
        return Ok(page::go(&format!("/operator/prices?done={done}")));
    }
    if fields.is_on("confirm") {
        let notice = if is_same {
            "Nothing was imported. Some prices change by much: say below that they are meant."
        } else {
            "The prices have changed since the preview. Look at it once more."
        };
        page.frame = page.frame.saying(Some(Notice::bad(notice)));
    }
    page.preview = Some(preview);
    page::show(&page)
}

/// The prices of a file, or why they are none.
fn read(text: &str) -> Result<Catalogue, String> {
    let nothing = |why: &str| format!("Nothing was imported. {why}");
    let imported = import(PriceFiles { models: text, history: None, images: None });
    let imported = imported.map_err(|faults| {
        let faults: Vec<_> = faults.iter().take(10).map(ToString::to_string).collect();
        nothing(&faults.join("; "))
    })?;
    if imported.is_empty() {
        return Err("The file has no models.".to_owned());
    }
    stranger(&imported).map_or(Ok(imported), |stranger| Err(nothing(&stranger)))
}

fn refused(mut page: Page, why: &str) -> Result<Response, Problem> {
    page.frame = page.frame.saying(Some(Notice::bad(why)));
    page::show_as(StatusCode::BAD_REQUEST, &page)
}

fn preview(now: &Catalogue, then: &Catalogue, bps: u32, at: i64) -> Preview {
    let by_id = |catalogue: &Catalogue| -> BTreeMap<String, Model> {
        catalogue.models().map(|model| (id(model), model.clone())).collect()
    };
    let (old, new) = (by_id(now), by_id(then));
    let (mut rows, mut news, mut large) = (Vec::new(), Vec::new(), Vec::new());
    let (mut added, mut changed, mut dropped) = (0, 0, 0);
    for (id, model) in &new {
        let Some(known) = old.get(id) else {
            added += 1;
            let all = price_changes::all(model, at).into_iter();
            news.extend(
                all.map(|(what, price)| row(id, ("good", "new"), &what, None, Some(price))),
            );
            continue;
        };
        let changes = price_changes::changes(known, model, at);
        changed += usize::from(!changes.is_empty() || known.price != model.price);
        large.extend(changes.iter().filter(|change| change.is_large).map(|one| much(id, one)));
        rows.extend(changes.into_iter().map(|change| {
            let kind = match change.after {
                None => ("bad", "lost"),
                Some(_) if change.is_large => ("bad", "by much"),
                Some(_) => ("warn", "changed"),
            };
            row(id, kind, &change.what, change.before, change.after)
        }));
    }
    for (id, model) in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
        dropped += 1;
        let all = price_changes::all(model, at).into_iter();
        rows.extend(all.map(|(what, price)| row(id, ("bad", "dropped"), &what, Some(price), None)));
    }
    rows.extend(news);
    let left_out = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    let mut summary = format!(
        "{added} new, {changed} changed, {dropped} dropped; {} models in all.",
        html::grouped(i128::try_from(new.len()).unwrap_or_default())
    );
    if left_out > 0 {
        let _ = write!(summary, " The first {SHOWN} of {} prices are shown.", left_out + SHOWN);
    }
    let columns = ["Model", "", "Price of", "#Before", "#Then"];
    Preview {
        summary,
        from: None,
        table: Table::new("What changes, in USD per million tokens", &columns, rows)
            .or("No price changes by this file.", None),
        alarms: alarms(then, bps, at),
        changes: added + changed + dropped > 0,
        large,
    }
}

fn row(
    id: &str,
    (kind, word): (&str, &str),
    what: &str,
    before: Option<String>,
    after: Option<String>,
) -> Vec<Html> {
    let text = |price: Option<String>| Html::text(&price.unwrap_or_else(|| "–".to_owned()));
    vec![Html::text(id), Html::badge(kind, word), Html::text(what), text(before), text(after)]
}

/// A large change in a sentence.
fn much(id: &str, change: &Change) -> Html {
    let text = |price: &Option<String>| price.clone().unwrap_or_default();
    let (before, after) = (text(&change.before), text(&change.after));
    Html::text(&format!("{id}, {}: ${before} becomes ${after}", change.what))
}
