//! `/operator`: pages of whoever runs the place. This one is what the house earns.

pub(crate) mod audit;
pub(crate) mod credentials;
pub(super) mod customer_lists;
pub(crate) mod customers;
pub(crate) mod import;
mod limits;
mod price_changes;
mod price_lists;
pub(crate) mod prices;
pub(crate) mod providers;
pub(crate) mod upcoming;
pub(crate) mod users;

use askama::Template;
use axum::response::Response;
use store::{Rollup, Seek};

use super::chart::{self, Rank, Series};
use super::export;
use super::html::{self, Html};
use super::list::{Column, Filter, List, Value, Wish};
use super::overview::Tile;
use super::page::{self, DAY, Desk, Frame, told};
use super::sums::{self, Total};
use crate::problem::Problem;
use crate::web::Call;

const DAYS: i64 = 30;
const RANKED: usize = 10;
const CUSTOMERS: u16 = 20;
/// The names of the page's lists.
const MODELS: &str = "models";
const CUSTOMERS_LIST: &str = "customers";

#[derive(Template)]
#[template(path = "house.html")]
struct Page {
    frame: Frame,
    tiles: Vec<Tile>,
    chart: Html,
    models: Html,
    margins: Html,
    list_of_models: List,
    customers: List,
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
    let by_model = Wish::whole(&call, MODELS, MODEL_COLUMNS, "-charge_usd")?;
    let models = by_model.sorted(MODEL_COLUMNS, sums::by_item(&of_days, sums::charge));
    if by_model.csv {
        return export::whole("models.csv", MODEL_COLUMNS, &models);
    }
    let wish = Wish::listed(&call, CUSTOMERS_LIST, (&store::CUSTOMERS, COLUMNS), "-charge_usd")?;
    if wish.csv {
        return customers_sheet(&call, &wish, month).await;
    }
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
        list_of_models: by_model
            .list("By model", MODEL_COLUMNS, &models)
            .titled("By model, the last 30 days")
            .or(none, None),
        customers: customers(&call, &wish, month).await?,
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

/// A customer with the sum of a month.
type Customer = (String, Rollup);

const COLUMNS: &[Column<Customer>] = &[
    Column::text("name", "Customer", |(name, _): &Customer| Value::text(name))
        .shown(|(name, _)| Html::link(&format!("/operator/customers/{name}"), name)),
    Column::sheet("account_id", |(_, sum): &Customer| Value::Text(sum.id.to_string())),
    Column::number("requests", "Requests", |(_, sum): &Customer| {
        Value::Number(sum.receipts.into())
    }),
    Column::sheet("input_tokens", |(_, sum): &Customer| Value::Number(sum.input_tokens.into())),
    Column::sheet("output_tokens", |(_, sum): &Customer| Value::Number(sum.output_tokens.into())),
    Column::number("charge_usd", "Revenue", |(_, sum): &Customer| Value::Usd(sums::charge(sum))),
    Column::number("cost_usd", "Cost", |(_, sum): &Customer| Value::Usd(sum.cost.into())),
    Column::number("margin_usd", "Margin", |(_, sum): &Customer| Value::Usd(sums::margin(sum))),
];

const MODEL_COLUMNS: &[Column<(String, Total)>] = &[
    Column::text("model", "Model", |(item, _): &(String, Total)| Value::text(item))
        .shown(|(item, _)| model(item)),
    Column::number("requests", "Requests", |(_, total): &(String, Total)| {
        Value::Number(total.requests)
    }),
    Column::number("input_tokens", "Tokens in", |(_, total): &(String, Total)| {
        Value::Number(total.input)
    }),
    Column::number("output_tokens", "Tokens out", |(_, total): &(String, Total)| {
        Value::Number(total.output)
    }),
    Column::number("charge_usd", "Revenue", |(_, total): &(String, Total)| {
        Value::Usd(total.charge)
    }),
    Column::number("cost_usd", "Cost", |(_, total): &(String, Total)| Value::Usd(total.cost)),
    Column::number("margin_usd", "Margin", |(_, total): &(String, Total)| {
        Value::Usd(total.margin())
    }),
];

async fn customers_sheet(call: &Call, wish: &Wish, month: i64) -> Result<Response, Problem> {
    let (store, part) = (call.app.store.clone(), wish.field("q").to_owned());
    let read = move |seek: Seek| {
        let (store, part) = (store.clone(), part.clone());
        async move { store.customers_list((month, &part), &seek).await }
    };
    let seek = wish.seek(&store::CUSTOMERS, export::ROWS)?;
    export::listed(call, "customers.csv", (COLUMNS, seek), read).await
}

async fn customers(call: &Call, wish: &Wish, month: i64) -> Result<List, Problem> {
    let seek = wish.seek(&store::CUSTOMERS, CUSTOMERS)?;
    let page = call.app.store.customers_list((month, wish.field("q")), &seek).await;
    let page = page.map_err(told)?;
    let filters = vec![Filter::Search { field: "q", label: "Customer", hint: "A name" }];
    let list = wish.page("Customers", COLUMNS, (&page, &seek)).filters(wish, filters);
    Ok(list
        .titled("Customers of this month")
        .or("No customer has asked anything this month.", Some(("/operator/users", "Add a user"))))
}
