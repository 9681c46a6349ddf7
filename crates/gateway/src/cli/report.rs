//! `tollgate usage`: sums over receipts.

use clap::{Args, ValueEnum};
use ledger::{sum_exact, sum_six_decimals};
use serde_json::{Value, json};
use store::{By, ImportedBy, ImportedRow, Period, Store, Sums, UsageRow};
use uuid::Uuid;

use super::output::{self, Column, Output};
use crate::clock;
use crate::config::Settings;

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Grouping {
    Day,
    Model,
    Key,
    Provider,
    User,
}

#[derive(Debug, Args)]
pub(super) struct UsageArgs {
    /// Only this user's
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// A row for each of these
    #[arg(long, value_enum, default_value_t = Grouping::Day)]
    by: Grouping,

    /// Only this month, such as 2026-11
    #[arg(long, value_name = "MONTH", value_parser = month)]
    month: Option<Period>,

    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub(super) fn month(text: &str) -> Result<Period, String> {
    let (from, to) = clock::month(text).ok_or("expected a month such as 2026-11")?;
    Ok(Period { from, to })
}

pub(super) const SUMS: [Column; 7] = [
    ("REQUESTS", true),
    ("INPUT", true),
    ("CACHED", true),
    ("OUTPUT", true),
    ("COST USD", true),
    ("COMMISSION", true),
    ("CHARGE USD", true),
];

/// Exact where a program or a spreadsheet reads it, six decimals where a person does.
pub(super) fn cells(sums: &Sums, usd: fn(i128) -> String) -> Vec<String> {
    vec![
        sums.receipts.to_string(),
        sums.input_tokens.to_string(),
        sums.cache_read.to_string(),
        sums.output_tokens.to_string(),
        usd(sums.cost),
        usd(sums.commission),
        usd(sums.charge),
    ]
}

pub(super) fn view(sums: &Sums) -> Value {
    json!({
        "requests": sums.receipts,
        "input_tokens": number(sums.input_tokens),
        "cache_read_tokens": number(sums.cache_read),
        "output_tokens": number(sums.output_tokens),
        "reasoning_tokens": number(sums.reasoning),
        "cost": sum_exact(sums.cost),
        "commission": sum_exact(sums.commission),
        "charge": sum_exact(sums.charge),
    })
}

/// A JSON number where it fits one, else its text.
fn number(count: i128) -> Value {
    i64::try_from(count).map_or_else(|_| count.to_string().into(), Value::from)
}

fn total<'a>(all: impl IntoIterator<Item = &'a Sums>) -> Sums {
    all.into_iter().fold(Sums::default(), |total, sums| Sums {
        receipts: total.receipts + sums.receipts,
        input_tokens: total.input_tokens + sums.input_tokens,
        output_tokens: total.output_tokens + sums.output_tokens,
        cache_read: total.cache_read + sums.cache_read,
        cache_write_5m: total.cache_write_5m + sums.cache_write_5m,
        cache_write_1h: total.cache_write_1h + sums.cache_write_1h,
        reasoning: total.reasoning + sums.reasoning,
        cost: total.cost + sums.cost,
        commission: total.commission + sums.commission,
        charge: total.charge + sums.charge,
    })
}

/// `tollgate usage`
pub(super) async fn usage(
    args: UsageArgs,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::books(settings).await?;
    let user = match &args.user {
        Some(name) => Some(store.user(name).await?.id),
        None => None,
    };
    let (by, title) = match args.by {
        Grouping::Day => (By::Day, "DAY"),
        Grouping::Model => (By::Model, "MODEL"),
        Grouping::Key => (By::Key, "KEY"),
        Grouping::Provider => (By::Provider, "PROVIDER"),
        Grouping::User => (By::User, "USER"),
    };
    let rows = store.usage_report(user, args.month.unwrap_or(Period::ALL), by).await?;
    // What was brought along has no time: it is in no month.
    let before = match args.month {
        None => before(&store, user, args.by).await?,
        Some(_) => Vec::new(),
    };
    let rows: Vec<(UsageRow, bool)> = rows
        .into_iter()
        .map(|row| (row, false))
        .chain(before.into_iter().map(|row| (row, true)))
        .collect();
    print(&args, title, &rows, output)
}

/// What was used elsewhere and brought along, in rows as the report has them; by day it is all before the first.
async fn before(store: &Store, user: Option<Uuid>, by: Grouping) -> anyhow::Result<Vec<UsageRow>> {
    let grouping = match by {
        Grouping::Day => ImportedBy::Source,
        Grouping::Model => ImportedBy::Model,
        Grouping::Key => ImportedBy::Key,
        Grouping::Provider => ImportedBy::Provider,
        Grouping::User => ImportedBy::User,
    };
    let rows = store.imported_usage(user, grouping).await?;
    let row = |row: ImportedRow| {
        let sums = Sums {
            receipts: row.requests,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cost: row.base,
            commission: row.commission,
            charge: row.base + row.commission,
            ..Sums::default()
        };
        let (item, label) = match by {
            Grouping::Day => ("before".to_owned(), row.item),
            _ => (row.item, row.label),
        };
        UsageRow { item, label, sums }
    };
    Ok(rows.into_iter().map(row).collect())
}

fn print(
    args: &UsageArgs,
    title: &'static str,
    rows: &[(UsageRow, bool)],
    output: &Output,
) -> anyhow::Result<()> {
    if args.csv {
        output::line(
            "item,label,requests,input_tokens,cache_read_tokens,output_tokens,cost,commission,charge",
        )?;
        for (row, brought) in rows {
            let label = if *brought { marked(&row.label) } else { row.label.clone() };
            output::line(format_args!(
                "{},{},{}",
                row.item,
                quoted(&label),
                cells(&row.sums, sum_exact).join(",")
            ))?;
        }
        return Ok(());
    }
    let whole = total(rows.iter().map(|(row, _)| &row.sums));
    let items: Vec<Value> = rows
        .iter()
        .map(|(row, brought)| {
            let mut item = view(&row.sums);
            item["item"] = row.item.clone().into();
            item["label"] = row.label.clone().into();
            if *brought {
                item["imported"] = true.into();
            }
            item
        })
        .collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    for (row, brought) in rows {
        let label = if *brought { marked(&row.label) } else { row.label.clone() };
        let name =
            if label.is_empty() { row.item.clone() } else { format!("{} {label}", row.item) };
        lines.push([vec![name], cells(&row.sums, sum_six_decimals)].concat());
    }
    lines.push([vec!["total".to_owned()], cells(&whole, sum_six_decimals)].concat());
    let columns: Vec<Column> = [(title, false)].into_iter().chain(SUMS).collect();
    output.table(&json!({ "rows": items, "total": view(&whole) }), &columns, lines)
}

/// A label of what was brought along.
fn marked(label: &str) -> String {
    if label.is_empty() { "(imported)".to_owned() } else { format!("{label} (imported)") }
}

/// A cell of comma-separated values, quoted where it has to be.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
