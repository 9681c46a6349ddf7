//! A receipt as a row, and back.

use ledger::{Meter, Outcome, Receipt, UsageReport, UsageSource, Usd};
use sha2::{Digest as _, Sha256};
use sqlx::query::Query;
use sqlx::{Database, Encode, Type};
use uuid::Uuid;

use crate::StoreError;

/// The columns of a receipt, in the order in which [`Row::bind`] binds them.
macro_rules! receipt_columns {
    () => {
        "request_id, attempt, account_id, user_id, key_id, surface, provider, model, model_served, \
         upstream_id, price_version, commission_bps, input_tokens, output_tokens, cache_read, \
         cache_write_5m, cache_write_1h, reasoning, report, usage_source, outcome, cost, commission, \
         charge, started_at, ended_at, content_hash"
    };
}

/// How many those are.
pub(crate) const COLUMNS: usize = 27;

/// A receipt as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) request_id: Uuid,
    pub(crate) attempt: i64,
    pub(crate) account_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) key_id: Uuid,
    pub(crate) surface: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) model_served: Option<String>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) price_version: i64,
    pub(crate) commission_bps: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cache_read: i64,
    pub(crate) cache_write_5m: i64,
    pub(crate) cache_write_1h: i64,
    pub(crate) reasoning: i64,
    pub(crate) report: String,
    pub(crate) usage_source: String,
    pub(crate) outcome: String,
    pub(crate) cost: i64,
    pub(crate) commission: i64,
    pub(crate) charge: i64,
    pub(crate) started_at: i64,
    pub(crate) ended_at: i64,
    /// SHA-256 of everything else in the row.
    pub(crate) content_hash: Vec<u8>,
}

macro_rules! numbers {
    ($row:expr, $($mutable:tt)?) => {
        [
            &$($mutable)? $row.attempt,
            &$($mutable)? $row.price_version,
            &$($mutable)? $row.commission_bps,
            &$($mutable)? $row.input_tokens,
            &$($mutable)? $row.output_tokens,
            &$($mutable)? $row.cache_read,
            &$($mutable)? $row.cache_write_5m,
            &$($mutable)? $row.cache_write_1h,
            &$($mutable)? $row.reasoning,
            &$($mutable)? $row.cost,
            &$($mutable)? $row.commission,
            &$($mutable)? $row.charge,
            &$($mutable)? $row.started_at,
            &$($mutable)? $row.ended_at,
        ]
    };
}

/// What the columns say of a report, for sums.
struct Counters {
    input_tokens: i64,
    output_tokens: i64,
    cache_read: i64,
    cache_write_5m: i64,
    cache_write_1h: i64,
    reasoning: i64,
}

impl Counters {
    fn of(report: &UsageReport) -> Result<Self, StoreError> {
        let total = report.total();
        let fit = |count: u64| {
            i64::try_from(count).map_err(|_| StoreError::OutOfRange { what: "token counter" })
        };
        Ok(Self {
            input_tokens: fit(total.input_tokens())?,
            output_tokens: fit(total.output_tokens())?,
            cache_read: fit(total.get(Meter::CacheRead))?,
            cache_write_5m: fit(total.get(Meter::CacheWrite5m))?,
            cache_write_1h: fit(total.get(Meter::CacheWrite1h))?,
            reasoning: fit(total.get(Meter::Reasoning))?,
        })
    }
}

impl Row {
    /// The row of a receipt.
    pub(crate) fn of(receipt: &Receipt) -> Result<Self, StoreError> {
        let counters = Counters::of(&receipt.report)?;
        let report = serde_json::to_string(&receipt.report)
            .map_err(|_| StoreError::OutOfRange { what: "usage report" })?;
        let mut row = Self {
            request_id: receipt.request_id,
            attempt: receipt.attempt.into(),
            account_id: receipt.account_id,
            user_id: receipt.user_id,
            key_id: receipt.key_id,
            surface: receipt.surface.clone(),
            provider: receipt.provider.clone(),
            model: receipt.model.clone(),
            model_served: receipt.model_served.clone(),
            upstream_id: receipt.upstream_id.clone(),
            price_version: receipt.price_version,
            commission_bps: receipt.commission_bps.into(),
            input_tokens: counters.input_tokens,
            output_tokens: counters.output_tokens,
            cache_read: counters.cache_read,
            cache_write_5m: counters.cache_write_5m,
            cache_write_1h: counters.cache_write_1h,
            reasoning: counters.reasoning,
            report,
            usage_source: receipt.usage_source.name().to_owned(),
            outcome: receipt.outcome.name().to_owned(),
            cost: receipt.cost.pico(),
            commission: receipt.commission.pico(),
            charge: receipt.charge.pico(),
            started_at: receipt.started_at,
            ended_at: receipt.ended_at,
            content_hash: Vec::new(),
        };
        row.seal();
        Ok(row)
    }

    /// All numbers, in the order in which they are hashed and journaled.
    pub(crate) fn numbers(&self) -> [i64; 14] {
        numbers!(self,).map(|number| *number)
    }

    /// The same, to be filled.
    pub(crate) fn numbers_mut(&mut self) -> [&mut i64; 14] {
        numbers!(self, mut)
    }

    /// Hashes what the row says.
    pub(crate) fn seal(&mut self) {
        self.content_hash = self.hash();
    }

    /// Whether the row says what was hashed.
    pub(crate) fn is_intact(&self) -> bool {
        self.hash() == self.content_hash
    }

    /// SHA-256 of everything else in the row. Each text is preceded by its length, so that no two rows are the same
    /// bytes.
    fn hash(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        for id in [self.request_id, self.account_id, self.user_id, self.key_id] {
            bytes.extend_from_slice(id.as_bytes());
        }
        let mut text = |text: Option<&str>| {
            let len = text.map_or(u64::MAX, |text| text.len() as u64);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
        };
        for value in [&self.surface, &self.provider, &self.model, &self.report] {
            text(Some(value));
        }
        text(Some(&self.usage_source));
        text(Some(&self.outcome));
        text(self.model_served.as_deref());
        text(self.upstream_id.as_deref());
        for value in self.numbers() {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        Sha256::digest(&bytes).to_vec()
    }

    /// Binds every column, in their order.
    pub(crate) fn bind<'q, DB: Database>(
        self,
        query: Query<'q, DB, DB::Arguments>,
    ) -> Query<'q, DB, DB::Arguments>
    where
        Uuid: Encode<'q, DB> + Type<DB>,
        Vec<u8>: Encode<'q, DB> + Type<DB>,
        String: Encode<'q, DB> + Type<DB>,
        Option<String>: Encode<'q, DB> + Type<DB>,
        i64: Encode<'q, DB> + Type<DB>,
    {
        let query = query.bind(self.request_id).bind(self.attempt);
        let query = query.bind(self.account_id).bind(self.user_id).bind(self.key_id);
        let query = query.bind(self.surface).bind(self.provider).bind(self.model);
        let query = query.bind(self.model_served).bind(self.upstream_id);
        let query = query.bind(self.price_version).bind(self.commission_bps);
        let query = query.bind(self.input_tokens).bind(self.output_tokens).bind(self.cache_read);
        let query = query.bind(self.cache_write_5m).bind(self.cache_write_1h).bind(self.reasoning);
        let query = query.bind(self.report).bind(self.usage_source).bind(self.outcome);
        let query = query.bind(self.cost).bind(self.commission).bind(self.charge);
        query.bind(self.started_at).bind(self.ended_at).bind(self.content_hash)
    }

    /// The receipt of this row, when nothing of it has been changed since it was written.
    pub(crate) fn receipt(self) -> Result<Receipt, StoreError> {
        let corrupt = |what: &str| {
            StoreError::corrupt(format!("receipt {}/{}: {what}", self.request_id, self.attempt))
        };
        if !self.is_intact() {
            return Err(corrupt("its content hash"));
        }
        let report: UsageReport =
            serde_json::from_str(&self.report).map_err(|_| corrupt("its report"))?;
        Ok(Receipt {
            request_id: self.request_id,
            attempt: i16::try_from(self.attempt).map_err(|_| corrupt("its attempt"))?,
            account_id: self.account_id,
            user_id: self.user_id,
            key_id: self.key_id,
            price_version: self.price_version,
            commission_bps: u32::try_from(self.commission_bps)
                .map_err(|_| corrupt("its commission_bps"))?,
            report,
            usage_source: UsageSource::from_name(&self.usage_source)
                .ok_or_else(|| corrupt("its usage_source"))?,
            outcome: Outcome::from_name(&self.outcome).ok_or_else(|| corrupt("its outcome"))?,
            cost: Usd::from_pico(self.cost),
            commission: Usd::from_pico(self.commission),
            charge: Usd::from_pico(self.charge),
            started_at: self.started_at,
            ended_at: self.ended_at,
            surface: self.surface,
            provider: self.provider,
            model: self.model,
            model_served: self.model_served,
            upstream_id: self.upstream_id,
        })
    }
}
