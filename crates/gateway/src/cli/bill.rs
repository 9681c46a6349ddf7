//! `tollgate bill`: one statement, as a table, as CSV, as JSON that proves itself, or as a page to print.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use ledger::statement::{
    self, Builder, COLUMNS, Correction, Document, Head, Kept, Party, PriceSource, Span, Statement,
};
use ledger::sum_six_decimals;
use serde_json::{Value, json};
use store::{Period, Store, Sums, User};

use super::bill_pdf;
use super::output::{Column, Output, aligned};
use super::report::{SUMS, cells, month, view};
use crate::clock;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct BillArgs {
    /// Whose bill
    #[arg(long, value_name = "NAME")]
    user: String,

    /// Only this month, such as 2026-11
    #[arg(long, value_name = "MONTH", value_parser = month)]
    month: Option<Period>,

    /// As a table for people, as a sheet with every receipt, as JSON that `verify-bill` checks, or as a page to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Write it to a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A form of a bill.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Csv,
    Json,
    Pdf,
}

/// `tollgate bill`
pub(super) async fn run(
    args: BillArgs,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let BillArgs { user, month, format, out } = args;
    let to_terminal = out.is_none() && std::io::stdout().is_terminal();
    anyhow::ensure!(!(to_terminal && format == Format::Pdf), "a PDF needs a file: --out bill.pdf");
    let store = super::books(settings).await?;
    let user = store.user(&user).await?;
    let bill = statement(&store, &user, month.unwrap_or(Period::ALL), format.kept()).await?;
    let mut sink = sink(out.as_deref())?;
    let written = match format {
        Format::Text if output.is_json() => write_summary(&bill, &mut sink),
        Format::Text => {
            // Bold is for a terminal alone.
            let title = format!("Bill of {}", bill.user.name);
            let title = if to_terminal { output.strong(&title) } else { title };
            Ok(sink.write_all(text(&bill, &title, user.created_at).as_bytes())?)
        }
        Format::Csv => write_sheet(&bill, &mut sink),
        Format::Json => write_document(bill, &mut sink),
        Format::Pdf => Ok(sink.write_all(&bill_pdf::pages(&bill))?),
    };
    written.and_then(|()| Ok(sink.flush()?)).context("the bill could not be written")
}

impl Format {
    /// Whether every receipt is needed for it.
    pub(crate) const fn kept(self) -> Kept {
        match self {
            Self::Csv | Self::Json => Kept::Receipts,
            Self::Text | Self::Pdf => Kept::Sums,
        }
    }
}

/// A bill as a file.
pub(crate) async fn file(
    store: &Store,
    user: &User,
    period: Period,
    format: Format,
) -> anyhow::Result<Vec<u8>> {
    let bill = statement(store, user, period, format.kept()).await?;
    let mut content = Vec::new();
    match format {
        Format::Text => {
            let title = format!("Bill of {}", bill.user.name);
            content = text(&bill, &title, user.created_at).into_bytes();
        }
        Format::Csv => write_sheet(&bill, &mut content)?,
        Format::Json => write_document(bill, &mut content)?,
        Format::Pdf => content = bill_pdf::pages(&bill),
    }
    Ok(content)
}

fn sink(out: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match out {
        None => Box::new(BufWriter::new(std::io::stdout())),
        Some(path) => {
            let file = File::create(path).with_context(|| path.display().to_string())?;
            Box::new(BufWriter::new(file))
        }
    })
}

/// The statement of what a user's account is to pay for a period: every form of a bill is made of it.
async fn statement(
    store: &Store,
    user: &User,
    period: Period,
    kept: Kept,
) -> anyhow::Result<Statement> {
    let head = Head {
        user: Party { id: user.id, name: user.name.clone() },
        account_id: user.account_id,
        period: Span { from: period.from, to: period.to },
        made_at: clock::now(),
    };
    let mut builder = Builder::new(head, kept);
    let mut batches = BTreeSet::new();
    let receipts = store.for_each_of_account(user.account_id, period, |stored| {
        batches.extend(stored.batch);
        builder.add(&stored.receipt, stored.report, stored.content_hash);
    });
    receipts.await?;
    store.for_each_seal_of(&batches, |sealed| builder.prove(sealed.seal, &sealed.leaves)).await?;
    for transaction in store.corrections(user.account_id, period).await? {
        builder.correct(Correction {
            id: transaction.id,
            kind: transaction.kind,
            amount: i128::from(transaction.amount).into(),
            corrects: transaction.corrects,
            reason: transaction.reason,
            at: transaction.created_at,
        });
    }
    let used = builder.price_versions();
    let mut prices = Vec::with_capacity(used.len());
    for version in store.price_versions().await?.into_iter().filter(|v| used.contains(&v.id)) {
        let catalogue = store.catalogue(version.id).await?;
        let (sha256, source) = (version.sha256, version.source);
        prices.push(PriceSource { version: version.id, sha256, source, catalogue });
    }
    Ok(builder.finish(&prices))
}

fn write_document(bill: Statement, sink: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *sink, &Document::from(bill))?;
    Ok(sink.write_all(b"\n")?)
}

fn write_sheet(bill: &Statement, sink: &mut dyn Write) -> anyhow::Result<()> {
    let mut sheet = csv::Writer::from_writer(sink);
    sheet.write_record(COLUMNS)?;
    for row in bill.rows(&clock::rfc3339)? {
        sheet.write_record(row?)?;
    }
    Ok(sheet.flush()?)
}

/// The sums, for programs.
fn write_summary(bill: &Statement, sink: &mut dyn Write) -> anyhow::Result<()> {
    let lines: Vec<Value> = bill
        .lines
        .iter()
        .map(|line| {
            let mut shown = view(&sums(&line.sums));
            shown["model"] = format!("{}/{}", line.provider, line.model).into();
            add_direct(&mut shown, &line.sums);
            shown
        })
        .collect();
    let mut total = view(&sums(&bill.totals));
    add_direct(&mut total, &bill.totals);
    let json = json!({
        "user": bill.user.name, "from": clock::rfc3339(bill.period.from),
        "to": clock::rfc3339(bill.period.to), "lines": lines, "total": total,
        "corrections": bill.corrections, "to_pay": bill.due().usd, "unproved": bill.unproved,
    });
    Ok(writeln!(sink, "{json:#}")?)
}

/// Six decimals in the table, all of them below it.
fn text(bill: &Statement, title: &str, since: i64) -> String {
    let row = |name: String, of: &statement::Sums| {
        [vec![name], cells(&sums(of), sum_six_decimals)].concat()
    };
    let lines = bill.lines.iter().map(|line| {
        let name = format!("{}/{}", line.provider, line.model);
        row(name, &line.sums)
    });
    let rows = lines.chain([row("total".to_owned(), &bill.totals)]).collect();
    let columns: Vec<Column> = [("MODEL", false)].into_iter().chain(SUMS).collect();
    // Of all time, what there is begins with the account.
    let from = if bill.period.from == Period::ALL.from { since } else { bill.period.from };
    let (from, to) = (clock::rfc3339(from), clock::rfc3339(bill.period.to));
    format!(
        "{title}  from {from} to {to}\n\n{}\n{}To pay: {} USD, exactly {}\n{}{}\n",
        aligned(&columns, rows),
        below(corrected(bill)),
        sum_six_decimals(bill.due().pico),
        bill.due().usd,
        below(directly(bill)),
        sealed(bill),
    )
}

fn below(texts: Vec<String>) -> String {
    texts.into_iter().map(|line| line + "\n").collect()
}

/// What the house pays of cost and commission, and what was taken back. Nothing where there is none.
pub(super) fn corrected(bill: &Statement) -> Vec<String> {
    let absorbed = &bill.totals.absorbed;
    let absorbed = (absorbed.pico != 0)
        .then(|| format!("Of cost and commission {} USD are not charged.", absorbed.usd));
    let corrections = bill.corrections.iter().map(|correction| {
        let Correction { kind, amount, corrects, reason, at, .. } = correction;
        let (day, kind) = (clock::rfc3339(*at), kind.replace('_', " "));
        let what = corrects.map_or_else(String::new, |id| format!(" to {id}"));
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        format!("{day}  {kind} of {} USD{what}{reason}", amount.usd)
    });
    absorbed.into_iter().chain(corrections).collect()
}

/// What the providers bill the account itself, for programs.
fn add_direct(shown: &mut Value, sums: &statement::Sums) {
    if let Some(direct) = &sums.direct {
        shown["paid_to_providers"] = direct.usd.as_str().into();
    }
}

/// The same for people: the sum, then each model's. Nothing where there is none.
pub(super) fn directly(bill: &Statement) -> Vec<String> {
    let Some(direct) = &bill.totals.direct else { return Vec::new() };
    let total = format!(
        "Paid to the providers directly, with own keys: {} USD. Of that only the commission is charged here.",
        direct.usd
    );
    let lines = bill.lines.iter().filter_map(|line| {
        let direct = &line.sums.direct.as_ref()?.usd;
        Some(format!("  {}/{}: {direct} USD", line.provider, line.model))
    });
    std::iter::once(total).chain(lines).collect()
}

/// Those of a statement as a usage report has them, which shows no writing to caches either.
fn sums(of: &statement::Sums) -> Sums {
    Sums {
        receipts: i64::try_from(of.receipts).unwrap_or(i64::MAX),
        input_tokens: of.input_tokens,
        output_tokens: of.output_tokens,
        cache_read: of.cache_read_tokens,
        reasoning: of.reasoning_tokens,
        cost: of.cost.pico,
        commission: of.commission.pico,
        charge: of.charge.pico,
        ..Sums::default()
    }
}

/// How many receipts have a proof.
pub(super) fn sealed(bill: &Statement) -> String {
    let receipts = bill.totals.receipts;
    format!("Sealed: {} of {receipts} receipts.", receipts.saturating_sub(bill.unproved))
}
