//! A receipt as a row, and back.

use std::borrow::Cow;
use std::sync::Arc;

use ledger::merkle::Hash;
use ledger::{Content, Held, Outcome, Receipt, Scope, UsageReport, UsageSource, Usd};
use sqlx::query::Query;
use sqlx::{Database, Encode, Type};
use uuid::Uuid;

use crate::{StoreError, Stored};

/// The columns of a receipt, in the order in which [`Row::bind`] binds them.
macro_rules! receipt_columns {
    () => {
        "request_id, attempt, account_id, user_id, key_id, surface, provider, model, model_served, \
         upstream_id, price_version, commission_bps, input_tokens, output_tokens, cache_read, \
         cache_write_5m, cache_write_1h, reasoning, report, usage_source, outcome, cost, commission, \
         charge, started_at, ended_at, content_hash, absorbed, bound, scopes"
    };
}

/// How many those are.
pub(crate) const COLUMNS: usize = 30;

/// SHA-256 of everything else in a row; nothing where it is no such hash.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContentHash(pub(crate) Option<Hash>);

impl From<Vec<u8>> for ContentHash {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.as_slice().try_into().ok())
    }
}

/// A receipt as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) request_id: Uuid,
    pub(crate) attempt: i64,
    pub(crate) account_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) key_id: Uuid,
    // Receipts that are written together share what they have in common.
    pub(crate) surface: Arc<str>,
    pub(crate) provider: Arc<str>,
    pub(crate) model: Arc<str>,
    pub(crate) model_served: Option<Arc<str>>,
    pub(crate) upstream_id: Option<Arc<str>>,
    pub(crate) price_version: i64,
    pub(crate) commission_bps: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cache_read: i64,
    pub(crate) cache_write_5m: i64,
    pub(crate) cache_write_1h: i64,
    pub(crate) reasoning: i64,
    pub(crate) report: Arc<str>,
    pub(crate) usage_source: Arc<str>,
    pub(crate) outcome: Arc<str>,
    pub(crate) cost: i64,
    pub(crate) commission: i64,
    pub(crate) charge: i64,
    pub(crate) started_at: i64,
    pub(crate) ended_at: i64,
    #[sqlx(try_from = "Vec<u8>")]
    pub(crate) content_hash: ContentHash,
    pub(crate) absorbed: i64,
    pub(crate) bound: Option<i64>,
    /// Each as [`ledger::encode_scopes`] writes it; none where there is none.
    pub(crate) scopes: Option<Vec<u8>>,
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

/// What a receipt moves.
pub(crate) struct Money {
    pub(crate) account: Uuid,
    pub(crate) user: Uuid,
    pub(crate) key: Uuid,
    pub(crate) started_at: i64,
    pub(crate) cost: i64,
    pub(crate) commission: i64,
    pub(crate) charge: i64,
    pub(crate) absorbed: i64,
    pub(crate) scopes: Vec<Scope>,
}

/// Gives `look` what a receipt says, and its hash, without making a row of it.
pub(crate) fn content_of<T>(
    receipt: &Receipt,
    look: impl FnOnce(&Content<'_>, &Hash) -> T,
) -> Result<T, StoreError> {
    let report = serde_json::to_string(&receipt.report)
        .map_err(|_| StoreError::OutOfRange { what: "usage report" })?;
    let content =
        Content::of(receipt, &report).ok_or(StoreError::OutOfRange { what: "token counter" })?;
    Ok(look(&content, &content.hash()))
}

impl Row {
    /// The row of a receipt.
    pub(crate) fn of(receipt: &Receipt) -> Result<Self, StoreError> {
        content_of(receipt, Self::with)
    }

    /// The row that says so, with its hash.
    fn with(content: &Content<'_>, hash: &Hash) -> Self {
        let [request_id, account_id, user_id, key_id] = content.ids;
        let [surface, provider, model, report, usage_source, outcome] =
            content.texts.map(Arc::from);
        let [model_served, upstream_id] = content.optional.map(|text| text.map(Arc::from));
        let Held { absorbed, bound, ref scopes } = content.held;
        let mut row = Self {
            request_id,
            account_id,
            user_id,
            key_id,
            surface,
            provider,
            model,
            model_served,
            upstream_id,
            report,
            usage_source,
            outcome,
            content_hash: ContentHash(Some(*hash)),
            absorbed,
            bound,
            scopes: scopes.as_deref().map(<[u8]>::to_vec),
            ..Self::default()
        };
        for (place, number) in row.numbers_mut().into_iter().zip(content.numbers) {
            *place = number;
        }
        row
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
    #[cfg(test)]
    pub(crate) fn seal(&mut self) {
        self.content_hash = ContentHash(Some(self.content().hash()));
    }

    /// Whether the row says what was hashed.
    pub(crate) fn is_intact(&self) -> bool {
        self.content_hash.0 == Some(self.content().hash())
    }

    /// Everything but the hash, as it is hashed and journaled.
    pub(crate) fn content(&self) -> Content<'_> {
        Content {
            ids: [self.request_id, self.account_id, self.user_id, self.key_id],
            texts: [
                &self.surface,
                &self.provider,
                &self.model,
                &self.report,
                &self.usage_source,
                &self.outcome,
            ],
            optional: [self.model_served.as_deref(), self.upstream_id.as_deref()],
            numbers: self.numbers(),
            held: Held {
                absorbed: self.absorbed,
                bound: self.bound,
                scopes: self.scopes.as_deref().map(Cow::Borrowed),
            },
        }
    }

    /// What the row moves.
    pub(crate) fn money(&self) -> Result<Money, StoreError> {
        let scopes = ledger::decode_scopes(self.scopes.as_deref());
        Ok(Money {
            account: self.account_id,
            user: self.user_id,
            key: self.key_id,
            started_at: self.started_at,
            cost: self.cost,
            commission: self.commission,
            charge: self.charge,
            absorbed: self.absorbed,
            scopes: scopes.ok_or_else(|| StoreError::corrupt("scopes of a receipt"))?,
        })
    }

    /// Binds every column, in their order.
    pub(crate) fn bind<'q, DB: Database>(
        self,
        query: Query<'q, DB, DB::Arguments>,
    ) -> Query<'q, DB, DB::Arguments>
    where
        Uuid: Encode<'q, DB> + Type<DB>,
        Arc<str>: Encode<'q, DB> + Type<DB>,
        Option<Arc<str>>: Encode<'q, DB> + Type<DB>,
        i64: Encode<'q, DB> + Type<DB>,
        Option<i64>: Encode<'q, DB> + Type<DB>,
        Option<Vec<u8>>: Encode<'q, DB> + Type<DB>,
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
        let query = query.bind(self.started_at).bind(self.ended_at);
        let query = query.bind(self.content_hash.0.map(Vec::from));
        query.bind(self.absorbed).bind(self.bound).bind(self.scopes)
    }

    /// The receipt of this row with what was hashed, when nothing of it has been changed since it was written.
    pub(crate) fn stored(self, batch: Option<Uuid>) -> Result<Stored, StoreError> {
        let (report, content_hash) = (self.report.as_ref().into(), self.leaf()?);
        Ok(Stored { receipt: self.receipt()?, report, content_hash, batch })
    }

    /// What a seal has of the row.
    pub(crate) fn leaf(&self) -> Result<Hash, StoreError> {
        let corrupt = || StoreError::corrupt(format!("receipt {}", self.request_id));
        self.content_hash.0.ok_or_else(corrupt)
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
            absorbed: Usd::from_pico(self.absorbed),
            bound: self.bound.map(Usd::from_pico),
            scopes: ledger::decode_scopes(self.scopes.as_deref())
                .ok_or_else(|| corrupt("its scopes"))?,
            started_at: self.started_at,
            ended_at: self.ended_at,
            surface: self.surface.as_ref().into(),
            provider: self.provider.as_ref().into(),
            model: self.model.as_ref().into(),
            model_served: self.model_served.as_deref().map(str::to_owned),
            upstream_id: self.upstream_id.as_deref().map(str::to_owned),
        })
    }
}
