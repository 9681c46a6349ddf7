//! What the journal says of requests that have not ended, and what becomes of those whose process has.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ledger::{
    Bill, BillOf, Catalogue, Outcome, Receipt, Scope, Usage, UsageReport, UsageSource, Usd,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::Kind;
use crate::settle;

/// A request as it was admitted: all that its receipt needs beside what was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admitted {
    pub(crate) request_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) key_id: Uuid,
    pub(crate) surface: Cow<'static, str>,
    pub(crate) price_version: i64,
    pub(crate) commission_bps: u32,
    pub(crate) started_at: i64,
    /// An estimate of the prompt, for an answer that brought no counters.
    pub(crate) input_tokens: u64,
    /// What it may cost at most, where it spends from somewhere.
    pub(crate) bound: Option<Usd>,
    pub(crate) scopes: Vec<Scope>,
}

/// An attempt on its way to a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dispatched {
    pub(crate) attempt: i16,
    pub(crate) provider: Cow<'static, str>,
    pub(crate) model: String,
    /// The commission on the provider's price, in basis points, where the account's own key is called with. It stands behind
    /// the record, which ended before there were such keys.
    #[serde(skip)]
    pub(crate) direct_bps: Option<u32>,
}

/// How much of an answer a client may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of text, thinking and arguments.
    pub(crate) output_bytes: u64,
    /// What the provider has said of it.
    pub(crate) report: Option<UsageReport>,
}

/// [`Progress`] as it is written: the report as JSON, and only where it is another than before.
#[derive(Serialize, Deserialize)]
struct Step {
    output_bytes: u64,
    report: Option<String>,
}

/// A record of a request: which, and what.
#[derive(Serialize, Deserialize)]
struct Of<T> {
    request_id: Uuid,
    what: T,
}

/// Appends the body of a record.
fn put<T: Serialize>(bytes: &mut Vec<u8>, request_id: Uuid, what: T) {
    // Writing into memory does not fail, and all of these can be written.
    if let Ok(body) = postcard::to_extend(&Of { request_id, what }, std::mem::take(bytes)) {
        *bytes = body;
    }
}

impl Admitted {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        put(bytes, self.request_id, self);
    }
}

impl Dispatched {
    pub(super) fn encode(&self, request_id: Uuid, bytes: &mut Vec<u8>) {
        put(bytes, request_id, self);
        if let Some(bps) = self.direct_bps {
            bytes.extend_from_slice(&bps.to_le_bytes());
        }
    }

    fn decode(body: &[u8]) -> Option<(Uuid, Self)> {
        let (of, rest) = postcard::take_from_bytes::<Of<Self>>(body).ok()?;
        let direct_bps = match rest {
            [] => None,
            rest => Some(u32::from_le_bytes(rest.try_into().ok()?)),
        };
        Some((of.request_id, Self { direct_bps, ..of.what }))
    }
}

/// Appends the body of a progress record; `report` where it has changed.
pub(super) fn encode_progress(
    request_id: Uuid,
    output_bytes: u64,
    report: Option<&UsageReport>,
    bytes: &mut Vec<u8>,
) {
    let report = report.and_then(|report| serde_json::to_string(report).ok());
    put(bytes, request_id, Step { output_bytes, report });
}

pub(super) fn encode_void(request_id: Uuid, bytes: &mut Vec<u8>) {
    put(bytes, request_id, ());
}

/// An attempt that was dispatched and has neither a receipt nor an end without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub(crate) admitted: Admitted,
    pub(crate) dispatched: Dispatched,
    pub(crate) progress: Progress,
}

impl Unfinished {
    /// The receipt of an attempt whose process died: what the client may have got is charged, as far as the hold goes;
    /// where that is nothing, nothing is.
    pub(crate) fn receipt(self, catalogue: Option<&Catalogue>, now: i64) -> Receipt {
        let Self { admitted, dispatched, progress } = self;
        let Dispatched { attempt, provider, model, direct_bps } = dispatched;
        let bytes = usize::try_from(progress.output_bytes).unwrap_or(usize::MAX);
        let delivered = bytes > 0;
        let mut report = settle::cut_report(progress.report, || admitted.input_tokens, bytes);
        if direct_bps.is_some() {
            report.pay_directly(Usd::ZERO);
        }
        let bill = |bill: BillOf| {
            let at = admitted.started_at;
            let bps = direct_bps.unwrap_or(admitted.commission_bps);
            bill(catalogue?, &provider, &model, &report, at, bps).ok()
        };
        let (outcome, bill) = match bill(Bill::of) {
            Some(bill) => (Outcome::Crashed, bill),
            None if delivered => (Outcome::Unpriced, bill(Bill::of_known).unwrap_or_default()),
            None => (Outcome::Unpriced, Bill::default()),
        };
        let Bill { cost, direct, commission, charge: owed, .. } = bill;
        if direct_bps.is_some() {
            report.pay_directly(direct);
        }
        let most = if delivered { admitted.bound.unwrap_or(owed) } else { Usd::ZERO };
        let charge = owed.min(most);
        let dispatched = Dispatched { attempt, provider, model, direct_bps };
        let absorbed = Usd::from_pico(owed.pico().saturating_sub(charge.pico()));
        let amounts = Amounts { cost, commission, charge, absorbed };
        dispatched.receipt(admitted, report, outcome, amounts, now)
    }
}

#[derive(Copy, Clone, Default)]
struct Amounts {
    cost: Usd,
    commission: Usd,
    charge: Usd,
    absorbed: Usd,
}

impl Dispatched {
    /// The receipt of a request whose last attempt this was, and that nobody has answered: it costs nothing.
    pub(crate) fn failed(self, admitted: Admitted, now: i64) -> Receipt {
        let report = UsageReport::single(Usage::ZERO);
        self.receipt(admitted, report, Outcome::Failed, Amounts::default(), now)
    }

    fn receipt(
        self,
        admitted: Admitted,
        report: UsageReport,
        outcome: Outcome,
        amounts: Amounts,
        ended_at: i64,
    ) -> Receipt {
        let Amounts { cost, commission, charge, absorbed } = amounts;
        Receipt {
            request_id: admitted.request_id,
            attempt: self.attempt,
            account_id: admitted.account_id,
            user_id: admitted.user_id,
            key_id: admitted.key_id,
            surface: admitted.surface.into_owned(),
            provider: self.provider.into_owned(),
            model: self.model,
            model_served: None,
            upstream_id: None,
            price_version: admitted.price_version,
            commission_bps: self.direct_bps.unwrap_or(admitted.commission_bps),
            report,
            usage_source: UsageSource::Estimated,
            outcome,
            cost,
            commission,
            charge,
            absorbed,
            bound: admitted.bound,
            scopes: admitted.scopes,
            started_at: admitted.started_at,
            ended_at,
        }
    }
}

/// Reads the records of a journal and keeps what they leave unfinished.
#[derive(Default)]
pub(super) struct Requests(BTreeMap<Uuid, Open>);

struct Open {
    admitted: Admitted,
    dispatched: Option<Dispatched>,
    progress: Progress,
}

impl Requests {
    /// Takes the next record; false where its body cannot be read.
    pub(super) fn take(&mut self, kind: Kind, body: &[u8]) -> bool {
        self.read(kind, body).is_some()
    }

    fn read(&mut self, kind: Kind, body: &[u8]) -> Option<()> {
        match kind {
            Kind::Held => {
                let Of { request_id, what: admitted } = postcard::from_bytes(body).ok()?;
                let open = Open { admitted, dispatched: None, progress: Progress::default() };
                self.0.insert(request_id, open);
            }
            Kind::Dispatched => {
                let (request_id, what) = Dispatched::decode(body)?;
                if let Some(open) = self.0.get_mut(&request_id) {
                    (open.dispatched, open.progress) = (Some(what), Progress::default());
                }
            }
            Kind::Progress => {
                let Of::<Step> { request_id, what } = postcard::from_bytes(body).ok()?;
                if let Some(open) = self.0.get_mut(&request_id) {
                    open.progress.output_bytes = what.output_bytes;
                    if let Some(report) = what.report {
                        open.progress.report = Some(serde_json::from_str(&report).ok()?);
                    }
                }
            }
            // A receipt begins with the id of its request.
            Kind::Settled => {
                let id = Uuid::from_slice(body.get(..16)?).ok()?;
                self.0.remove(&id);
            }
            Kind::Void => {
                let Of::<()> { request_id, .. } = postcard::from_bytes(body).ok()?;
                self.0.remove(&request_id);
            }
        }
        Some(())
    }

    /// What is left.
    pub(super) fn unfinished(self) -> Vec<Unfinished> {
        let open = self.0.into_values().filter_map(|Open { admitted, dispatched, progress }| {
            Some(Unfinished { admitted, dispatched: dispatched?, progress })
        });
        open.collect()
    }
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
