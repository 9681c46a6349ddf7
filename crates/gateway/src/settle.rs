//! Step 9 of a request: what it used becomes a receipt, once.

use ledger::{
    Bill, BillError, BillOf, Meter, Outcome, Receipt, Usage, UsageReport, UsageSource, Usd,
};
use wire::chat::Block;

use crate::doubt::{self, believed};
use crate::inbound::{Inbound, Operation};
use crate::pipeline::Attempt;
use crate::problem::Problem;
use crate::sticky;

/// A token is about four bytes of text: used only where a provider's answer has no counters.
const BYTES_PER_TOKEN: usize = 4;
/// About what a picture or a page is counted as, likewise.
const TOKENS_PER_MEDIA: usize = 1_000;

/// In characters. The names that providers give their models and answers are much shorter.
const LONGEST_NAME: usize = 200;

/// What is known of one finished attempt.
pub(crate) struct Finished {
    pub(crate) model_served: Option<String>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) report: UsageReport,
    pub(crate) usage_source: UsageSource,
}

/// What an answer used: the provider's word for it, or, where it has none, an estimate from the text on both sides.
///
/// `output_bytes` is how much came, as far as that is known.
pub(crate) fn finished(
    attempt: &Attempt<'_>,
    upstream_id: Option<String>,
    model_served: Option<String>,
    report: Option<UsageReport>,
    output_bytes: impl FnOnce() -> usize,
) -> Finished {
    let (report, usage_source) = if let Some(report) = report {
        believed(attempt, report, output_bytes)
    } else {
        let output = tokens(output_bytes());
        let usage = Usage::of(&[(Meter::Input, prompt(attempt.inbound)), (Meter::Output, output)]);
        (UsageReport::single(usage), UsageSource::Estimated)
    };
    Finished { model_served, upstream_id, report, usage_source }
}

/// An answer of which nothing came.
pub(crate) fn nothing() -> Finished {
    let report = UsageReport::single(Usage::ZERO);
    Finished { model_served: None, upstream_id: None, report, usage_source: UsageSource::Estimated }
}

/// What an answer used that broke off: what the provider had said so far, and for the output at least the text that came.
pub(crate) fn cut(
    attempt: &Attempt<'_>,
    upstream_id: Option<String>,
    model_served: Option<String>,
    mut report: Option<UsageReport>,
    output_bytes: usize,
) -> Finished {
    if let Some(report) = &mut report {
        doubt::leave_out(attempt, report);
    }
    let report = cut_report(report, || prompt(attempt.inbound), output_bytes);
    Finished { model_served, upstream_id, report, usage_source: UsageSource::Estimated }
}

/// The same from the figures alone.
pub(crate) fn cut_report(
    said: Option<UsageReport>,
    prompt: impl FnOnce() -> u64,
    output_bytes: usize,
) -> UsageReport {
    let mut report = said.unwrap_or_default();
    if report.passes.is_empty() {
        report.passes = UsageReport::single(Usage::ZERO).passes;
    }
    let said = report.total().output_tokens();
    // What it is about is the model asked for, and of that the last run.
    if let Some(pass) = report.passes.iter_mut().rev().find(|pass| pass.model.is_none()) {
        if pass.usage.input_tokens() == 0 {
            pass.usage.add(Meter::Input, prompt());
        }
        let came = if output_bytes == 0 { 0 } else { tokens(output_bytes) };
        let missing = came.saturating_sub(said);
        pass.usage.add(Meter::Output, missing);
    }
    report
}

/// The prompt's tokens, guessed from its text.
pub(crate) fn prompt(inbound: &Inbound) -> u64 {
    if inbound.operation == Operation::Embed {
        return tokens(crate::embed::text_bytes(inbound));
    }
    let text = inbound.look_at(|chat| {
        let blocks = chat.system.iter().chain(chat.turns.iter().flat_map(|turn| &turn.blocks));
        blocks.map(bytes).sum()
    });
    tokens(text.unwrap_or(inbound.body.len()))
}

fn bytes(block: &Block) -> usize {
    match block {
        Block::Text(text) | Block::Refusal(text) | Block::Thinking { text, .. } => text.len(),
        Block::Media(_) => TOKENS_PER_MEDIA * BYTES_PER_TOKEN,
        Block::ToolUse { name, input, .. } => name.len() + input.get().len(),
        Block::ToolResult { blocks, .. } => blocks.iter().map(bytes).sum(),
        Block::Native(native) => native.raw.get().len(),
        Block::Citation(_) | Block::CachePoint(_) => 0,
    }
}

pub(crate) fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX).max(1)
}

/// About how much of a whole answer was generated.
pub(crate) fn output_bytes(reply: &wire::Reply) -> usize {
    // What its own dialect alone knows is mostly what a tool has found.
    let generated = reply.blocks.iter().filter(|block| !matches!(block, Block::Native(_)));
    generated.map(bytes).sum()
}

/// Prices the attempt, commits its receipt, and hands it back. Does not return before the receipt is safe. `delivered` is
/// whether the client has got of the answer what cannot be taken back.
///
/// # Errors
/// The receipt cannot be committed, or the answer used something that has no price: then a receipt without charge
/// keeps the counters, and the answer must not be delivered. What was delivered is charged as far as it has prices.
pub(crate) async fn settle(
    attempt: &Attempt<'_>,
    finished: Finished,
    outcome: Outcome,
    delivered: bool,
) -> Result<Receipt, Problem> {
    if outcome == Outcome::Ok && attempt.inbound.operation == Operation::Chat {
        let tokens = finished.report.total().output_tokens();
        attempt.provider.speed.generated(tokens, attempt.begun.elapsed());
    }
    let mut receipt = receipt(attempt, finished, outcome);
    let (bill, unpriced) = match price(attempt, &receipt.report) {
        Ok(bill) => (bill, None),
        Err(error) => {
            receipt.outcome = Outcome::Unpriced;
            let known = delivered.then(|| bill(attempt, &receipt.report, Bill::of_known));
            (known.and_then(Result::ok).unwrap_or_default(), Some(error))
        }
    };
    (receipt.cost, receipt.commission, receipt.charge) = (bill.cost, bill.commission, bill.charge);
    if attempt.target.is_direct() {
        receipt.report.pay_directly(bill.direct);
    }
    if let Some(answer) = receipt.upstream_id.as_deref().filter(|_| attempt.plan.is_spread) {
        sticky::remember(attempt, answer);
    }
    attempt.hold.commit(&mut receipt).await.map_err(Problem::store)?;
    let Some(error) = unpriced else { return Ok(receipt) };
    let (request_id, charge) = (receipt.request_id, receipt.charge);
    if delivered {
        let counters = receipt.report.total();
        tracing::warn!(%request_id, %error, %charge, ?counters, "a delivered answer has no price for all that it used; the rest of it was charged");
        return Ok(receipt);
    }
    tracing::error!(%request_id, %error, "an answer has no price; it was withheld");
    Err(Problem::new(
        http::StatusCode::BAD_GATEWAY,
        "unpriced_answer",
        format!("the provider's answer cannot be priced: {error}; nothing was charged"),
    ))
}

/// What counters cost at the prices pinned for the request.
pub(crate) fn price(attempt: &Attempt<'_>, report: &UsageReport) -> Result<Bill, BillError> {
    bill(attempt, report, Bill::of)
}

fn bill(attempt: &Attempt<'_>, report: &UsageReport, bill: BillOf) -> Result<Bill, BillError> {
    let (plan, target) = (attempt.plan, attempt.target);
    let bps = attempt.hold.commission_bps(target);
    let of = |report| bill(&plan.catalogue, target.provider, &target.model, report, plan.at, bps);
    if target.is_direct() && report.direct().is_none() {
        let mut report = report.clone();
        report.pay_directly(Usd::ZERO);
        return of(&report);
    }
    of(report)
}

fn receipt(attempt: &Attempt<'_>, finished: Finished, outcome: Outcome) -> Receipt {
    let inbound = attempt.inbound;
    Receipt {
        request_id: inbound.id,
        attempt: attempt.number,
        account_id: inbound.account_id,
        user_id: inbound.user_id,
        key_id: inbound.key_id,
        surface: inbound.face.surface.to_owned(),
        provider: attempt.target.provider.to_owned(),
        model: attempt.target.model.clone(),
        model_served: finished.model_served.and_then(plain),
        upstream_id: finished.upstream_id.and_then(plain),
        price_version: attempt.plan.price_version,
        commission_bps: attempt.hold.commission_bps(attempt.target),
        report: finished.report,
        usage_source: finished.usage_source,
        outcome,
        cost: Usd::ZERO,
        commission: Usd::ZERO,
        charge: Usd::ZERO,
        absorbed: Usd::ZERO,
        bound: None,
        scopes: Vec::new(),
        started_at: attempt.plan.at,
        ended_at: crate::clock::now(),
    }
}

/// A name that a provider gave, if any, as far as any database can keep it.
fn plain(name: String) -> Option<String> {
    let keeps = name.len() <= LONGEST_NAME && name.bytes().all(|b| b.is_ascii_graphic());
    let name = if keeps {
        name
    } else {
        name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
    };
    (!name.is_empty()).then_some(name)
}
