//! A price file, looked at before it is in force: what it would add, change and drop.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use ledger::{Catalogue, Meter, Model, PriceFiles, Terms, import};

use super::super::html::{self, Html, Table};
use super::super::page::{self, Desk, Fields, Frame, Notice, told};
use super::prices::{alarms, id, million};
use crate::catalogue::fingerprint;
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
    base: i64,
    preview: Option<Preview>,
}

struct Preview {
    summary: String,
    table: Table,
    alarms: Vec<Html>,
    changes: bool,
}

/// `GET /operator/prices/import`
pub(crate) async fn form(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let frame = Frame::new(&call, &desk, "Import prices");
    let base = call.app.snapshots.current().price_version;
    let (text, source, note) = Default::default();
    page::show(&Page { frame, text, source, note, replace: false, base, preview: None })
}

/// `POST /operator/prices/import`: a preview, or with `confirm` the act.
pub(crate) async fn post(call: Call) -> Result<Response, Problem> {
    let (desk, fields) = (Desk::of(&call)?, Fields::of(&call)?);
    // The version is read where the prices are, so that the preview is of what will be done.
    page::refreshed(&call).await?;
    let snapshot = call.app.snapshots.current();
    let (text, replace) = (fields.text("models").to_owned(), fields.is_on("replace"));
    let mut page = Page {
        frame: Frame::new(&call, &desk, "Import prices"),
        source: fields.some("source").unwrap_or("console").to_owned(),
        note: fields.text("note").to_owned(),
        base: snapshot.price_version,
        preview: None,
        replace,
        text,
    };
    let imported = import(PriceFiles { models: &page.text, history: None, images: None });
    let imported = match imported {
        Ok(imported) if !imported.is_empty() => imported,
        Ok(_) => return refused(page, "The file has no models."),
        Err(faults) => {
            let faults: Vec<_> = faults.iter().take(10).map(ToString::to_string).collect();
            return refused(page, &format!("Nothing was imported. {}", faults.join("; ")));
        }
    };
    let whole = if replace { imported.clone() } else { snapshot.catalogue.overlaid(&imported) };
    if fields.is_on("confirm") && fields.text("base") == page.base.to_string() {
        let mode = if replace { "replace" } else { "over" };
        let origin = if replace { "none".to_owned() } else { page.base.to_string() };
        let sha256 = fingerprint(&[&page.text, "", "", mode, &origin]);
        let store = call.store();
        let added = store.add_price_version(&page.source, &page.note, &sha256, &whole, call.now);
        added.await.map_err(told)?;
        page::refreshed(&call).await?;
        return Ok(page::go("/operator/prices?done=imported"));
    }
    if fields.is_on("confirm") {
        let notice = "The prices have changed since the preview. Look at it once more.";
        page.frame = page.frame.saying(Some(Notice::bad(notice)));
    }
    let bps = call.app.live.load().commission_bps;
    page.preview = Some(preview(&snapshot.catalogue, &whole, bps, call.now));
    page::show(&page)
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
    let mut rows = Vec::new();
    let (mut added, mut changed, mut dropped) = (0, 0, 0);
    for (id, model) in &new {
        match old.get(id) {
            None => {
                added += 1;
                rows.push(row(id, "good", "new", (None, Some(model)), at));
            }
            Some(known) if known.price != model.price => {
                changed += 1;
                rows.push(row(id, "warn", "changed", (Some(known), Some(model)), at));
            }
            Some(_) => {}
        }
    }
    for (id, model) in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
        dropped += 1;
        rows.push(row(id, "bad", "dropped", (Some(model), None), at));
    }
    let left_out = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    let mut summary = format!(
        "{added} new, {changed} changed, {dropped} dropped; {} models in all.",
        html::grouped(i128::try_from(new.len()).unwrap_or_default())
    );
    if left_out > 0 {
        let _ = write!(summary, " The first {SHOWN} are shown.");
    }
    let columns = ["Model", "", "#Input", "#Cached", "#Output"];
    Preview {
        summary,
        table: Table::new("What changes, in USD per million tokens", &columns, rows)
            .or("No price changes by this file.", None),
        alarms: alarms(then, bps, at),
        changes: added + changed + dropped > 0,
    }
}

fn row(
    id: &str,
    kind: &str,
    word: &str,
    (old, new): (Option<&Model>, Option<&Model>),
    at: i64,
) -> Vec<Html> {
    let price = |model: Option<&Model>, meter| {
        let terms = Terms { at, ..Terms::default() };
        million(&model?.price.rates(0, &terms).ok()?, meter, 0)
    };
    let cell = |meter| match (price(old, meter), price(new, meter)) {
        (None, None) => Html::text("–"),
        (Some(old), Some(new)) if old == new => Html::text(&new),
        (old, new) => {
            let text =
                |price: Option<String>| html::escape(&price.unwrap_or_else(|| "–".to_owned()));
            Html::of(format!("<del>{}</del> → <b>{}</b>", text(old), text(new)))
        }
    };
    let cells = [Meter::Input, Meter::CacheRead, Meter::Output].map(cell);
    [vec![Html::text(id), Html::badge(kind, word)], cells.to_vec()].concat()
}
