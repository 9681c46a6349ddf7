//! `/operator`: pages of whoever runs the place. This one is what the house earns.

pub(crate) mod audit;
pub(crate) mod credentials;
pub(crate) mod customers;
pub(crate) mod import;
mod limits;
mod price_changes;
pub(crate) mod prices;
pub(crate) mod providers;
pub(crate) mod upcoming;
pub(crate) mod users;

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use store::Rollup;
use uuid::Uuid;

use super::chart::{self, Rank, Series};
use super::html::{self, Html, Table};
use super::overview::Tile;
use super::page::{self, DAY, Desk, Frame, told};
use super::sums::{self, Total};
use crate::problem::Problem;
use crate::web::Call;

const DAYS: i64 = 30;
const RANKED: usize = 10;
const CUSTOMERS: u16 = 20;

#[derive(Template)]
#[template(path = "house.html")]
struct Page {
    frame: Frame,
    tiles: Vec<Tile>,
    chart: Html,
    models: Html,
    margins: Html,
    customers: Table,
}

/// `GET /operator`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    page::settled(&call).await;
    let today = call.now / DAY;
    let days = (today - DAYS + 1, today + 1);
    let (month, next) = sums::month_of(call.now);
    let store = &call.app.store;
    let rows = store.house_rollups((days.0.min(month), days.1)).await.map_err(told)?;
    let of_days: Vec<Rollup> = rows.iter().filter(|row| row.day >= days.0).cloned().collect();
    let total = Total::of(rows.iter().filter(|row| row.day >= month && row.day < next));
    let top = store.top_accounts(month, CUSTOMERS).await.map_err(told)?;
    let ranks = |of: sums::Of, value: fn(&Total) -> i128| -> Vec<Rank> {
        let items = sums::by_item(&of_days, of).into_iter().take(RANKED);
        let rank = |(item, total): (String, Total)| Rank {
            label: model(&item),
            value: value(&total),
            shown: html::money(value(&total)),
        };
        items.map(rank).collect()
    };
    let none = "Nothing was asked in these days.";
    let page = Page {
        frame: Frame::new(&call, &desk, "House"),
        tiles: tiles(total, &of_days, days),
        chart: by_day(&of_days, days),
        models: chart::ranked("Revenue by model", &ranks(sums::charge, |t| t.charge), none),
        margins: chart::ranked("Margin by model", &ranks(sums::margin, Total::margin), none),
        customers: customers(&call, &top),
    };
    page::show(&page)
}

/// A model, which links to its prices.
fn model(item: &str) -> Html {
    Html::link(&format!("/operator/prices/models/{item}"), item)
}

fn tiles(total: Total, rows: &[Rollup], days: (i64, i64)) -> Vec<Tile> {
    let share = if total.charge > 0 { total.margin() * 1_000 / total.charge } else { 0 };
    let share = format!("{}.{} % of revenue", share / 10, (share % 10).abs());
    let tile = |label, value, note: &str, of: sums::Of| Tile {
        label,
        value,
        note: Html::text(note),
        spark: chart::sparkline(label, &sums::days(rows, days, of)),
    };
    vec![
        tile(
            "Revenue this month",
            html::amount(total.charge),
            "charged to customers",
            sums::charge,
        ),
        tile("Owed to providers", html::amount(total.cost), "by their price lists", |row| {
            row.cost.into()
        }),
        tile("Margin", html::amount(total.margin()), &share, sums::margin),
        tile("Requests", html::count(total.requests), "with a receipt", |row| row.receipts.into()),
    ]
}

fn by_day(rows: &[Rollup], days: (i64, i64)) -> Html {
    let labels: Vec<String> = (days.0..days.1).map(sums::date).collect();
    let series = |name: &str, of: sums::Of| Series {
        name: name.to_owned(),
        values: sums::days(rows, days, of),
    };
    let series = [series("Providers' cost", |row| row.cost.into()), series("Margin", sums::margin)];
    chart::bars("Revenue by day, the last 30 days", &labels, &series, html::short_dollars)
}

/// The names of accounts.
pub(crate) fn names(call: &Call) -> HashMap<Uuid, String> {
    let snapshot = call.app.snapshots.current();
    snapshot.people.values().map(|person| (person.account_id, person.name.clone())).collect()
}

fn customers(call: &Call, top: &[Rollup]) -> Table {
    let names = names(call);
    let row = |row: &Rollup| {
        let name = names.get(&row.id).cloned();
        let link = name.map_or_else(
            || Html::code(&row.id.to_string()),
            |name| Html::link(&format!("/operator/customers/{name}"), &name),
        );
        vec![
            link,
            html::count(row.receipts),
            html::money(row.charge),
            html::money(row.cost),
            html::money(sums::margin(row)),
        ]
    };
    let columns = ["Customer", "#Requests", "#Revenue", "#Cost", "#Margin"];
    Table::new("Customers of this month", &columns, top.iter().map(row).collect())
        .or("No customer has asked anything this month.", Some(("/operator/users", "Add a user")))
}
