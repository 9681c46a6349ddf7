//! `tollgate verify`: works every receipt out again, from its counters and the price version it names, and adds up the
//! ledger that they are posted to.

use std::collections::HashMap;
use std::process::ExitCode;

use ledger::{Catalogue, Outcome, Receipt, sum_exact};
use serde_json::{Value, json};
use store::{Audited, Store, StoreError};

use super::output::Output;
use super::verify_acts::{self, VerifyArgs};
use super::verify_seals;
use crate::config::Settings;

/// Faults shown; all are counted.
const SHOWN: usize = 100;

/// What was found.
#[derive(Default)]
struct Audit {
    catalogues: HashMap<i64, Catalogue>,
    receipts: u64,
    unpriced: u64,
    set_aside: usize,
    faults: u64,
    examples: Vec<String>,
    cost: i128,
    commission: i128,
    charge: i128,
    absorbed: i128,
    newer: u64,
    seals: Value,
    ledger: Value,
    proof: Value,
}

impl Audit {
    fn look(&mut self, receipt: Result<Receipt, StoreError>) {
        self.receipts += 1;
        let receipt = match receipt {
            Ok(receipt) => receipt,
            Err(error) => return self.fault(error.to_string()),
        };
        self.unpriced += u64::from(receipt.outcome == Outcome::Unpriced);
        self.cost += i128::from(receipt.cost.pico());
        self.commission += i128::from(receipt.commission.pico());
        self.charge += i128::from(receipt.charge.pico());
        self.absorbed += i128::from(receipt.absorbed.pico());
        let (id, attempt, version) = (receipt.request_id, receipt.attempt, receipt.price_version);
        match self.catalogues.get(&version).map(|catalogue| receipt.check(catalogue)) {
            Some(Ok(())) => {}
            Some(Err(fault)) => self.fault(format!("receipt {id}/{attempt}: {fault}")),
            None => {
                self.fault(format!("receipt {id}/{attempt}: there is no price version {version}"));
            }
        }
    }

    fn fault(&mut self, text: String) {
        self.faults += 1;
        if self.examples.len() < SHOWN {
            self.examples.push(text);
        }
    }
}

/// Ends with 0 where all is right, with 1 where anything is not, and with 3 where a newer program has sealed what this one cannot
/// judge.
pub(super) async fn run(
    args: &VerifyArgs,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = super::books(settings).await?;
    let mut audit = Audit::default();
    for version in store.price_versions().await? {
        match store.catalogue(version.id).await {
            Ok(catalogue) => drop(audit.catalogues.insert(version.id, catalogue)),
            Err(error @ StoreError::Corrupt { .. }) => audit.fault(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    store.for_each_receipt(|receipt| audit.look(receipt)).await?;
    let aside = store.set_asides().await?;
    audit.set_aside = aside.len();
    for one in aside {
        let (id, attempt, reason) = (one.request_id, one.attempt, one.reason);
        audit.fault(format!(
            "receipt {id}/{attempt} was set aside and is charged to nobody: {reason}"
        ));
    }
    let (told, seals) = verify_seals::run(&store, output, |text| audit.fault(text)).await?;
    (audit.seals, audit.newer) = (told, seals.newer);
    let told = verify_acts::run(&store, &seals, (args, settings), output, |t| audit.fault(t));
    audit.proof = told.await?;
    audit.ledger = ledger(&store, output, |text| audit.fault(text)).await?;
    let total = store.total().await?;
    let added = (total.cost, total.commission, total.charge);
    // While the gateway serves, receipts may have come since; then the sums cannot be the same.
    let quiet = u64::try_from(total.receipts) == Ok(audit.receipts);
    if quiet && added != (audit.cost, audit.commission, audit.charge) {
        let (sum, one_by_one) = (sum_exact(total.charge), sum_exact(audit.charge));
        audit.fault(format!(
            "the database adds the charges up to {sum}, the receipts one by one to {one_by_one}"
        ));
    }
    report(&audit, output)?;
    Ok(match (audit.faults, audit.newer) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(super::CANNOT_JUDGE),
        _ => ExitCode::FAILURE,
    })
}

/// Adds the ledger up again, tells `fault` what does not agree, and returns what there is.
async fn ledger(
    store: &Store,
    output: &Output,
    mut fault: impl FnMut(String) + Send,
) -> anyhow::Result<Value> {
    let Audited { transactions, accounts, periods } =
        store.audit(|found| fault(found.to_string())).await?;
    store.verify_rollups(|found| fault(found.to_string())).await?;
    output.note(format_args!(
        "{transactions} transactions of {accounts} accounts and {periods} periods of budgets added up again."
    ))?;
    Ok(json!({ "transactions": transactions, "accounts": accounts, "budget_periods": periods }))
}

fn report(audit: &Audit, output: &Output) -> anyhow::Result<()> {
    let clean = audit.faults == 0 && audit.newer == 0;
    let [cost, commission, charge, absorbed] =
        [audit.cost, audit.commission, audit.charge, audit.absorbed].map(sum_exact);
    for fault in &audit.examples {
        output.note(fault)?;
    }
    let json = json!({
        "clean": clean, "receipts": audit.receipts, "price_versions": audit.catalogues.len(),
        "unpriced": audit.unpriced, "set_aside": audit.set_aside, "faults": audit.faults, "examples": audit.examples,
        "cost": cost, "commission": commission, "charge": charge, "absorbed": absorbed, "seals": audit.seals, "ledger": audit.ledger, "proof": audit.proof,
    });
    let verdict = match audit.faults {
        0 if clean => "all right".to_owned(),
        0 => "all right that could be judged".to_owned(),
        faults => format!("{faults} NOT right"),
    };
    let (receipts, versions) = (audit.receipts, audit.catalogues.len());
    output.say(
        &json,
        format_args!(
            "{receipts} receipts worked out again with {versions} price versions: {verdict}.\n\
             Cost {cost} + commission {commission} = charge {charge} + absorbed {absorbed} USD."
        ),
    )?;
    if audit.unpriced > 0 {
        output.note(format_args!(
            "{} answers had no price for something that they used: whole ones were withheld, streams charged without it. Import prices for them.",
            audit.unpriced
        ))?;
    }
    Ok(())
}
