//! `/bills`: a bill for each month, in the forms that `tollgate bill` writes.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use ledger::statement::Kept;
use store::{Grain, Period, Rollup};

use super::export;
use super::html::{self, Html};
use super::list::{Column, List, Value, Wish};
use super::overview::{self, Tile};
use super::page::{self, DAY, Desk, Frame, missing, query, told};
use super::sums::{self, Total};
use crate::cli::bill::{self, Format};
use crate::clock;
use crate::problem::Problem;
use crate::web::Call;

/// The most receipts of a file that is made here, where it is put together in memory.
const MOST_RECEIPTS: i128 = 100_000;

#[derive(Template)]
#[template(path = "bills.html")]
struct Months {
    frame: Frame,
    payer: String,
    list: List,
}

/// Everybody but a mere member.
fn allowed(desk: &Desk) -> Result<(), Problem> {
    if desk.sees_all() {
        return Ok(());
    }
    let message = "your role in this organization does not let you see its bills";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// `GET /bills`
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    allowed(&desk)?;
    page::settled(&call).await;
    let all = (0, call.now / DAY + 1);
    let months = call.app.store.rollups(Grain::AccountMonth, desk.account, all).await;
    let current = sums::month_of(call.now).0;
    let months = months
        .map_err(told)?
        .into_iter()
        .map(|sums| Month { is_current: sums.day == current, sums });
    let wish = Wish::whole(&call, "", COLUMNS, "-month")?;
    let rows = wish.sorted(COLUMNS, months.collect());
    if wish.csv {
        return export::whole(&format!("bills-{}.csv", desk.payer), COLUMNS, &rows);
    }
    let list = wish.list("Bills by month", COLUMNS, &rows).or(
        "There is a bill once something was asked.",
        Some(("/playground", "Open the playground")),
    );
    let payer = desk.payer.clone();
    page::show(&Months { frame: Frame::new(&call, &desk, "Bills"), payer, list })
}

/// The bill of a month.
struct Month {
    sums: Rollup,
    /// Whether the month is not over.
    is_current: bool,
}

const COLUMNS: &[Column<Month>] = &[
    Column::time("month", "Month", |row: &Month| Value::Text(name(row.sums.day))).shown(title),
    Column::number("requests", "Requests", |row: &Month| Value::Number(row.sums.receipts.into())),
    Column::number("input_tokens", "Tokens in", |row: &Month| {
        Value::Number(row.sums.input_tokens.into())
    }),
    Column::number("output_tokens", "Tokens out", |row: &Month| {
        Value::Number(row.sums.output_tokens.into())
    }),
    Column::sheet("cost_usd", |row: &Month| Value::Usd(row.sums.cost.into())),
    Column::sheet("commission_usd", |row: &Month| Value::Usd(row.sums.commission.into())),
    Column::number("charge_usd", "To pay", |row: &Month| Value::Usd(row.sums.charge.into())),
    Column::page("Download", |row| files(&name(row.sums.day))),
];

/// `2026-11`
fn name(day: i64) -> String {
    sums::date(day).get(..7).unwrap_or_default().to_owned()
}

fn title(row: &Month) -> Html {
    let name = name(row.sums.day);
    let title = Html::link(&format!("/bills/{name}"), &name);
    if row.is_current { title.and(&Html::badge("plain", "so far")) } else { title }
}

fn files(month: &str) -> Html {
    let link = |(format, label): (&str, &str)| {
        format!("<a href=\"/bills/{month}?format={format}\">{label}</a>")
    };
    let all = [("pdf", "PDF"), ("csv", "CSV"), ("json", "JSON"), ("text", "Text")].map(link);
    Html::of(all.join(" · "))
}

#[derive(Template)]
#[template(path = "bill.html")]
struct One {
    frame: Frame,
    payer: String,
    month: String,
    tiles: Vec<Tile>,
    models: List,
    files: Html,
}

/// `GET /bills/{month}`: the page, or in `format` the file.
pub(crate) async fn one(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    allowed(&desk)?;
    page::settled(&call).await;
    let month = call.param("month").to_owned();
    let (from, to) = clock::month(&month).ok_or_else(missing)?;
    let days = (from / DAY, to / DAY);
    let rows = call.app.store.rollups(Grain::Account, desk.account, days).await.map_err(told)?;
    let total = Total::of(&rows);
    if let Some(format) = query(&call, "format").filter(|_| !overview::is_sheet(&call)) {
        return file(&call, &desk, (&month, Period { from, to }), &format, total).await;
    }
    if overview::is_sheet(&call) {
        let name = format!("models-{}-{month}.csv", desk.payer);
        return overview::model_sheet(&call, &name, &rows);
    }
    let corrections = call.app.store.corrections(desk.account, Period { from, to }).await;
    let back: i128 = corrections.map_err(told)?.iter().map(|one| i128::from(one.amount)).sum();
    let note = if back == 0 {
        "providers' cost and commission".to_owned()
    } else {
        format!("after {} USD of corrections", ledger::sum_exact(back))
    };
    let models = overview::model_list(&call, "By model", &rows)?
        .or("Nothing was asked in this month.", None);
    let (payer, files) = (desk.payer.clone(), files(&month));
    let frame = Frame::new(&call, &desk, "Bill");
    let tile = |label, value, note: &str| {
        let note = Html::text(note);
        Tile { label, value, note, spark: Html::default() }
    };
    let tiles = vec![
        tile("To pay", html::amount(total.charge - back), &note),
        tile("Providers' cost", html::amount(total.cost), "by their price lists"),
        tile("Requests", html::count(total.requests), "each with a receipt"),
    ];
    page::show(&One { frame, payer, month, tiles, models, files })
}

async fn file(
    call: &Call,
    desk: &Desk,
    (month, period): (&str, Period),
    format: &str,
    total: Total,
) -> Result<Response, Problem> {
    let (format, extension, content_type) = match format {
        "text" => (Format::Text, "txt", "text/plain; charset=utf-8"),
        "csv" => (Format::Csv, "csv", "text/csv; charset=utf-8"),
        "json" => (Format::Json, "json", "application/json"),
        "pdf" => (Format::Pdf, "pdf", "application/pdf"),
        _ => return Err(missing()),
    };
    if format.kept() == Kept::Receipts && total.requests > MOST_RECEIPTS {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "too_large",
            format!(
                "this bill has more than {MOST_RECEIPTS} receipts; whoever runs this place writes it with: \
                 tollgate bill --user {} --month {month} --format {extension} --out bill.{extension}",
                desk.payer
            ),
        ));
    }
    let user = call.app.store.user(&desk.payer).await.map_err(told)?;
    let content = bill::file(&call.app.store, &user, period, format).await;
    let content = content.map_err(Problem::internal)?;
    page::download(&format!("bill-{}-{month}.{extension}", desk.payer), content_type, content)
}
