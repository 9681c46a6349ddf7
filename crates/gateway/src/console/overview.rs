//! `/`: how an account stands, and what it has spent of late.

use askama::Template;
use axum::response::Response;
use store::{Grain, Rollup};

use super::chart::{self, Rank};
use super::export;
use super::html::{self, Html};
use super::list::{self, Column, List, Value, Wish};
use super::page::{self, Desk, Frame, told};
use super::sums::{self, Total};
use crate::problem::Problem;
use crate::web::Call;

/// Days in the chart.
const DAYS: i64 = 30;
/// How many models and keys are ranked.
const RANKED: usize = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    payer: String,
    /// Whether all of the account is shown, or what the person alone has done.
    whole: bool,
    tiles: Vec<Tile>,
    chart: Html,
    models: List,
    keys: Html,
    /// Whether nothing was ever asked.
    fresh: bool,
    has_keys: bool,
}

/// A number at the top.
pub(crate) struct Tile {
    pub(crate) label: &'static str,
    pub(crate) value: Html,
    pub(crate) note: Html,
    pub(crate) spark: Html,
}

/// `GET /`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    page::settled(&call).await;
    let today = call.now / page::DAY;
    let days = (today - DAYS + 1, today + 1);
    let (month, next) = sums::month_of(call.now);
    let wide = (days.0.min(month), days.1);
    let rows = rollups(&call, &desk, wide).await?;
    let of_days: Vec<Rollup> = rows.iter().filter(|row| row.day >= days.0).cloned().collect();
    let of_month = rows.iter().filter(|row| row.day >= month && row.day < next);
    if is_sheet(&call) {
        return model_sheet(&call, &format!("models-{}.csv", desk.payer), &of_days);
    }
    let spent = Total::of(of_month);
    let mut tiles = Vec::new();
    if desk.sees_all() {
        tiles.push(balance(&call, &desk).await?);
    }
    if desk.sees_all()
        && let Some(tile) = before(&call, &desk).await?
    {
        tiles.push(tile);
    }
    let spark = sums::days(&of_days, days, sums::charge);
    tiles.push(Tile {
        label: "Spent this month",
        value: html::amount(spent.charge),
        note: Html::text(&format!("since {}", sums::date(month))),
        spark: chart::sparkline("Spent by day", &spark),
    });
    let requests = sums::days(&of_days, days, |row| row.receipts.into());
    tiles.push(Tile {
        label: "Requests this month",
        value: html::count(spent.requests),
        note: Html::text(&format!(
            "{} tokens in, {} out",
            html::grouped(spent.input),
            html::grouped(spent.output)
        )),
        spark: chart::sparkline("Requests by day", &requests),
    });
    let (labels, series) = sums::by_day(&of_days, days, sums::charge);
    let has_keys = desk.person.reach(desk.account).is_some();
    let page = Page {
        payer: desk.payer.clone(),
        whole: desk.sees_all(),
        tiles,
        chart: chart::bars("Spent by day, the last 30 days", &labels, &series, html::short_dollars),
        models: model_list(&call, "By model, the last 30 days", &of_days)?
            .or("No model was asked in these days.", None),
        keys: if has_keys { keys(&call, &desk, month).await? } else { Html::default() },
        fresh: rows.is_empty(),
        has_keys,
        frame: Frame::new(&call, &desk, "Overview"),
    };
    page::show(&page)
}

/// What is to be seen of the account: all, or what the person's own keys have spent.
pub(crate) async fn rollups(
    call: &Call,
    desk: &Desk,
    days: (i64, i64),
) -> Result<Vec<Rollup>, Problem> {
    let store = &call.app.store;
    let rows = if desk.sees_all() {
        store.rollups(Grain::Account, desk.account, days).await
    } else {
        store.rollups_of_keys(desk.person.id, desk.account, days).await
    };
    rows.map_err(told)
}

async fn balance(call: &Call, desk: &Desk) -> Result<Tile, Problem> {
    let balance = call.app.store.balance(desk.account, call.now).await.map_err(told)?;
    let pico = i128::from(balance.posted.pico());
    let (label, value, note) = if balance.prepaid {
        let line = i128::from(balance.floor.pico());
        let note = match (pico > line, line < 0) {
            (false, _) => Html::badge("bad", "used up: requests are refused"),
            (true, true) => {
                Html::text(&format!("and a credit line of {}", html::short_dollars(-line)))
            }
            (true, false) => Html::text("prepaid: spends what is there"),
        };
        ("Credit left", html::amount(pico), note)
    } else if pico <= 0 {
        ("Owed", html::amount(-pico), Html::text("billed later, everything so far"))
    } else {
        ("Credit", html::amount(pico), Html::text("used before anything is owed"))
    };
    Ok(Tile { label, value, note, spark: Html::default() })
}

/// What was used elsewhere and brought along, which is in no bill here.
async fn before(call: &Call, desk: &Desk) -> Result<Option<Tile>, Problem> {
    let rows = call.app.store.imported_usage_of_account(desk.account).await.map_err(told)?;
    let charge: i128 = rows.iter().map(|row| row.base + row.commission).sum();
    let requests: i128 = rows.iter().map(|row| i128::from(row.requests)).sum();
    let sources: Vec<&str> = rows.iter().map(|row| row.item.as_str()).collect();
    Ok((!rows.is_empty()).then(|| Tile {
        label: "Used before",
        value: html::amount(charge),
        note: Html::text(&format!(
            "{} requests, brought from {}",
            html::grouped(requests),
            sources.join(", ")
        )),
        spark: Html::default(),
    }))
}

async fn keys(call: &Call, desk: &Desk, month: i64) -> Result<Html, Problem> {
    let whose = desk.keys()?;
    let top = call.app.store.top_keys(desk.account, month, 50).await.map_err(told)?;
    let mut ranks = Vec::new();
    for row in top {
        if ranks.len() == RANKED {
            break;
        }
        // Somebody else's is not there.
        let Ok(key) = call.app.store.key(whose, row.id).await else { continue };
        let name = if key.name.is_empty() { "unnamed".to_owned() } else { key.name };
        let tail = Html::of(format!("<code>…{}</code>", html::escape(&key.last4)));
        ranks.push(Rank {
            label: Html::link(&format!("/keys/{}", key.id), &name).and(&tail),
            value: row.charge.into(),
            shown: html::money(row.charge),
        });
    }
    Ok(chart::ranked("By key, this month", &ranks, "No key has spent anything this month."))
}

/// A model with what came of it.
type Model = (String, Total);

const COLUMNS: &[Column<Model>] = &[
    Column::text("model", "Model", |(model, _): &Model| Value::text(model)),
    Column::number("requests", "Requests", |(_, total): &Model| Value::Number(total.requests)),
    Column::number("input_tokens", "Tokens in", |(_, total): &Model| Value::Number(total.input)),
    Column::number("output_tokens", "Tokens out", |(_, total): &Model| Value::Number(total.output)),
    Column::number("charge_usd", "Charge", |(_, total): &Model| Value::Usd(total.charge)),
];

/// The name of the list by model on whichever page it is.
const MODELS: &str = "models";

/// Whether the sheet of what came of which model is wanted.
pub(crate) fn is_sheet(call: &Call) -> bool {
    list::wants_sheet_of(call, MODELS)
}

/// Rollups by model, as a list.
pub(crate) fn model_list(call: &Call, title: &str, rows: &[Rollup]) -> Result<List, Problem> {
    let wish = Wish::whole(call, MODELS, COLUMNS, "-charge_usd")?;
    let items = wish.sorted(COLUMNS, sums::by_item(rows, sums::charge));
    let total = ("Total".to_owned(), Total::of(rows));
    Ok(wish.list(title, COLUMNS, &items).totalled(COLUMNS, &total).titled(title))
}

/// The same as a sheet.
pub(crate) fn model_sheet(call: &Call, name: &str, rows: &[Rollup]) -> Result<Response, Problem> {
    let wish = Wish::whole(call, MODELS, COLUMNS, "-charge_usd")?;
    export::whole(name, COLUMNS, &wish.sorted(COLUMNS, sums::by_item(rows, sums::charge)))
}
