//! `tollgate verify-bill`: works a bill out again from its file alone.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use ledger::statement::{
    Difference, Document, FORMAT, SheetSummary, Summary, VERSION, verify_sheet,
};
use ledger::{from_hex, sum_exact, to_hex};
use serde::Deserialize;
use serde_json::{Value, json};

use super::output::Output;
use crate::catalogue::read_file;

#[derive(Debug, Args)]
pub(super) struct VerifyBillArgs {
    /// A bill as `tollgate bill --format json` has written it, or as CSV
    file: PathBuf,

    /// A key that the bill must be signed by; may be given more than once. Then every receipt must be sealed
    #[arg(long = "public-key", value_name = "HEX", value_parser = public_key)]
    public_keys: Vec<[u8; 32]>,
}

fn public_key(text: &str) -> Result<[u8; 32], String> {
    from_hex(text).ok_or_else(|| "expected 64 hexadecimal digits in lower case".to_owned())
}

/// What a file is, by its beginning.
enum Form {
    Json,
    Csv,
}

/// Ends with 0 where everything is right, with 1 where something differs or cannot be read, and with 3 where a newer program has
/// written what this one cannot judge.
pub(super) fn run(args: &VerifyBillArgs, output: &Output) -> anyhow::Result<ExitCode> {
    let verdict = match form(args)? {
        Form::Json => match read(&args.file) {
            Ok(document) if document.bill.version <= VERSION => {
                document.verify(&args.public_keys).map(|summary| of_document(&summary))
            }
            // What is new in it may be what cannot be read.
            read => match version(&args.file) {
                Some(found) if found > VERSION => return newer(found, output),
                _ => read?.verify(&args.public_keys).map(|summary| of_document(&summary)),
            },
        },
        Form::Csv => {
            anyhow::ensure!(
                args.public_keys.is_empty(),
                "CSV carries no signatures: ask for the bill as JSON to check it against a key"
            );
            verify_sheet(&read_file(&args.file)?).map(|summary| of_sheet(&summary))
        }
    };
    match verdict {
        Ok((json, text)) => output.say(&json, text).map(|()| ExitCode::SUCCESS),
        Err(difference) => {
            let json = json!({ "good": false, "difference": difference });
            let Difference { place, field, stated, recomputed } = difference;
            let text = format!(
                "NOT right. The first difference is in {place}:\n  {field} is       {stated}\n  but should be  {recomputed}"
            );
            output.say(&json, text).map(|()| ExitCode::FAILURE)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Document> {
    let name = || path.display().to_string();
    let file = File::open(path).with_context(name)?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(file));
    let document = serde_path_to_error::deserialize(&mut json).with_context(name)?;
    json.end().with_context(name)?;
    Ok(document)
}

/// Which version a bill says that it has, whatever else is in it.
fn version(path: &Path) -> Option<u32> {
    #[derive(Deserialize)]
    struct Document {
        bill: Bill,
    }
    #[derive(Deserialize)]
    struct Bill {
        format: String,
        version: u32,
    }
    let file = BufReader::new(File::open(path).ok()?);
    let Document { bill } = serde_json::from_reader(file).ok()?;
    (bill.format == FORMAT).then_some(bill.version)
}

fn newer(found: u32, output: &Output) -> anyhow::Result<ExitCode> {
    let json = json!({ "good": null, "newer": { "found": found, "known": VERSION } });
    let text = format!(
        "Cannot be judged. The bill has version {found}, this program knows up to {VERSION}: use the newer program."
    );
    output.say(&json, text).map(|()| ExitCode::from(super::CANNOT_JUDGE))
}

fn form(args: &VerifyBillArgs) -> anyhow::Result<Form> {
    let name = || args.file.display().to_string();
    let mut start = Vec::new();
    let file = File::open(&args.file).with_context(name)?;
    file.take(64).read_to_end(&mut start).with_context(name)?;
    let first = start.trim_ascii_start();
    if first.starts_with(b"{") {
        Ok(Form::Json)
    } else if first.starts_with(b"time,") {
        Ok(Form::Csv)
    } else if first.starts_with(b"%PDF") {
        anyhow::bail!(
            "{}: a PDF is for reading only. Ask for the bill as JSON (`tollgate bill --format json`), which can be proved",
            name()
        )
    } else {
        anyhow::bail!("{}: not a bill of `tollgate bill --format json` or `csv`", name())
    }
}

fn of_document(summary: &Summary) -> (Value, String) {
    let Summary { totals, sealed, unpriced, public_keys } = summary;
    let keys: Vec<String> = public_keys.iter().map(|key| to_hex(key)).collect();
    let mut json = json!({
        "good": true, "format": "json", "receipts": totals.receipts, "sealed": sealed,
        "unproved": totals.receipts.saturating_sub(*sealed), "unpriced": unpriced, "public_keys": keys,
        "cost": totals.cost.usd, "commission": totals.commission.usd, "charge": totals.charge.usd,
    });
    let mut text = format!(
        "All right. {} receipts worked out again: cost {} + commission {} = charge {} USD.\n\
         Sealed: {sealed} of {} receipts.",
        totals.receipts, totals.cost.usd, totals.commission.usd, totals.charge.usd, totals.receipts
    );
    if let Some(direct) = &totals.direct {
        json["paid_to_providers"] = direct.usd.as_str().into();
        text.push_str("\nPaid to the providers directly, not here: ");
        text.push_str(&direct.usd);
        text.push_str(" USD.");
    }
    for key in &keys {
        text.push_str("\nSigned by ");
        text.push_str(key);
    }
    if *sealed < totals.receipts {
        text.push_str(
            "\nA receipt that is not sealed is right in itself, but nothing shows that it was never changed.",
        );
    }
    (json, text)
}

fn of_sheet(summary: &SheetSummary) -> (Value, String) {
    let SheetSummary { receipts, .. } = summary;
    let to_pay = summary.charge.saturating_add(summary.corrections);
    let [cost, commission, charge, to_pay] =
        [summary.cost, summary.commission, summary.charge, to_pay].map(sum_exact);
    let json = json!({
        "good": true, "format": "csv", "receipts": receipts, "sealed": 0, "unproved": receipts,
        "cost": cost, "commission": commission, "charge": charge, "to_pay": to_pay,
    });
    let text = format!(
        "Adds up. {receipts} receipts: cost {cost} + commission {commission} = charge {charge} USD, to pay {to_pay}.\n\
         CSV carries no signatures: only the bill as JSON proves that nothing was changed."
    );
    (json, text)
}
