//! The end of a request: what it used becomes a receipt, once.

use ledger::{Bill, BillError, Outcome, Receipt, UsageReport, UsageSource};
use uuid::Uuid;

use crate::app::App;
use crate::pipeline::Admitted;
use crate::problem::Problem;

/// What the provider says of one finished attempt.
pub(crate) struct Finished {
    pub(crate) model_served: Option<String>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) report: UsageReport,
    pub(crate) usage_source: UsageSource,
}

/// Prices the attempt, commits its receipt, and hands it back. Does not return before the receipt is safe.
///
/// # Errors
/// The receipt cannot be committed, or the answer used something that has no price: then a receipt without charge
/// keeps the counters, and the answer must not be delivered.
pub(crate) async fn settle(
    app: &App,
    admitted: &Admitted,
    finished: Finished,
    outcome: Outcome,
) -> Result<Receipt, Problem> {
    let mut receipt = receipt(app, admitted, finished, outcome);
    let unpriced = match price(admitted, &receipt) {
        Ok(bill) => {
            (receipt.cost, receipt.commission, receipt.charge) =
                (bill.cost, bill.commission, bill.charge);
            None
        }
        Err(error) => {
            receipt.outcome = Outcome::Unpriced;
            Some(error)
        }
    };
    app.receipts.commit(receipt.clone()).await.map_err(Problem::store)?;
    log(&receipt);
    match unpriced {
        None => Ok(receipt),
        Some(error) => {
            tracing::error!(request_id = %receipt.request_id, %error, "an answer has no price; it was withheld");
            Err(Problem::new(
                http::StatusCode::BAD_GATEWAY,
                "unpriced_answer",
                format!("the provider's answer cannot be priced: {error}; nothing was charged"),
            ))
        }
    }
}

fn price(admitted: &Admitted, receipt: &Receipt) -> Result<Bill, BillError> {
    Bill::of(
        &admitted.catalogue,
        &receipt.provider,
        &receipt.model,
        &receipt.report,
        receipt.started_at,
        receipt.commission_bps,
    )
}

fn receipt(app: &App, admitted: &Admitted, finished: Finished, outcome: Outcome) -> Receipt {
    Receipt {
        request_id: admitted.id,
        attempt: 1,
        account_id: admitted.account_id,
        user_id: admitted.user_id,
        key_id: admitted.key_id,
        surface: "native".to_owned(),
        provider: admitted.provider.to_owned(),
        model: admitted.model.clone(),
        model_served: finished.model_served,
        upstream_id: finished.upstream_id,
        price_version: admitted.price_version,
        commission_bps: app.settings.commission_bps,
        report: finished.report,
        usage_source: finished.usage_source,
        outcome,
        cost: ledger::Usd::ZERO,
        commission: ledger::Usd::ZERO,
        charge: ledger::Usd::ZERO,
        started_at: admitted.at,
        ended_at: crate::clock::now(),
    }
}

/// The one line of a request.
fn log(receipt: &Receipt) {
    let usage = receipt.report.total();
    let Receipt { provider, model, request_id, outcome, charge, .. } = receipt;
    let key_id: Uuid = receipt.key_id;
    tracing::info!(
        %request_id,
        %key_id,
        provider,
        model,
        input_tokens = usage.input_tokens(),
        output_tokens = usage.output_tokens(),
        charge_usd = %charge,
        duration_us = receipt.ended_at.saturating_sub(receipt.started_at),
        outcome = outcome.name(),
        "chat"
    );
}
