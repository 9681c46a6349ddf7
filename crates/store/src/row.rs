//! A receipt as a row, and back.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use ledger::merkle::Hash;
use ledger::{Content, Held, Outcome, Receipt, Scope, UsageReport, UsageSource, Usd};
use sqlx::query::Query;
use sqlx::{Database, Encode, FromRow, Type};
use uuid::Uuid;

use crate::{StoreError, Stored};

/// The columns of a receipt, in the order in which [`Row::bind`] binds them, which is that of the table: SQLite has to move
/// less than in another.
macro_rules! receipt_columns {
    () => {
        "request_id, attempt, account_id, user_id, key_id, surface, provider, model, model_served, \
         upstream_id, price_version, commission_bps, input_tokens, output_tokens, cache_read, \
         cache_write_5m, cache_write_1h, reasoning, report, usage_source, outcome, cost, commission, \
         charge, started_at, ended_at, content_hash, absorbed, bound, scopes"
    };
}

/// Those of them that many receipts have in common, in the order in which [`Common::bind`] binds them.
macro_rules! common_columns {
    () => {
        "account_id, user_id, key_id, surface, provider, model, model_served, price_version, commission_bps, \
         usage_source, outcome, scopes"
    };
}

/// SHA-256 of everything else in a row; nothing where it is no such hash.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContentHash(pub(crate) Option<Hash>);

impl From<Vec<u8>> for ContentHash {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.as_slice().try_into().ok())
    }
}

/// What receipts that are written together mostly have in common: whose they are, what was asked for, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Common {
    pub(crate) account_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) key_id: Uuid,
    pub(crate) surface: Arc<str>,
    pub(crate) provider: Arc<str>,
    pub(crate) model: Arc<str>,
    pub(crate) model_served: Option<Arc<str>>,
    pub(crate) price_version: i64,
    pub(crate) commission_bps: i64,
    pub(crate) usage_source: Arc<str>,
    pub(crate) outcome: Arc<str>,
    /// Each as [`ledger::encode_scopes`] writes it; none where there is none.
    pub(crate) scopes: Option<Vec<u8>>,
}

/// The same, of any number of receipts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shared(Arc<Common>);

impl From<Common> for Shared {
    fn from(common: Common) -> Self {
        Self(Arc::new(common))
    }
}

impl Deref for Shared {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.0
    }
}

impl<'r, R: sqlx::Row> FromRow<'r, R> for Shared
where
    Common: FromRow<'r, R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Common::from_row(row).map(Self::from)
    }
}

/// A receipt as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Row {
    #[sqlx(flatten)]
    pub(crate) common: Shared,
    pub(crate) request_id: Uuid,
    pub(crate) attempt: i64,
    pub(crate) upstream_id: Option<Arc<str>>,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cache_read: i64,
    pub(crate) cache_write_5m: i64,
    pub(crate) cache_write_1h: i64,
    pub(crate) reasoning: i64,
    pub(crate) report: Arc<str>,
    pub(crate) cost: i64,
    pub(crate) commission: i64,
    pub(crate) charge: i64,
    pub(crate) started_at: i64,
    pub(crate) ended_at: i64,
    #[sqlx(try_from = "Vec<u8>")]
    pub(crate) content_hash: ContentHash,
    pub(crate) absorbed: i64,
    pub(crate) bound: Option<i64>,
}

/// What of the row before the next one can have as it is.
#[derive(Debug, Default)]
pub(crate) struct Last {
    common: Shared,
    report: Arc<str>,
}

impl Last {
    fn common(&mut self, content: &Content<'_>) -> Shared {
        if !self.common.is_of(content) {
            self.common = Common::of(content).into();
        }
        self.common.clone()
    }

    fn report(&mut self, report: &str) -> Arc<str> {
        if *self.report != *report {
            self.report = report.into();
        }
        Arc::clone(&self.report)
    }
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

/// Binds what was counted, and the report of it.
macro_rules! bind_counters {
    ($query:expr, $row:expr) => {{
        let query = $query.bind($row.input_tokens).bind($row.output_tokens).bind($row.cache_read);
        let query = query.bind($row.cache_write_5m).bind($row.cache_write_1h).bind($row.reasoning);
        query.bind($row.report)
    }};
}

/// Binds what it costs, and everything behind it that is the receipt's own.
macro_rules! bind_money {
    ($query:expr, $row:expr) => {{
        let query = $query.bind($row.cost).bind($row.commission).bind($row.charge);
        let query = query.bind($row.started_at).bind($row.ended_at);
        let query = query.bind($row.content_hash.0.map(Vec::from));
        query.bind($row.absorbed).bind($row.bound)
    }};
}

impl Common {
    fn of(content: &Content<'_>) -> Self {
        let [_, account_id, user_id, key_id] = content.ids;
        let [surface, provider, model, _, usage_source, outcome] = content.texts.map(Arc::from);
        let [model_served, _] = content.optional;
        let [_, price_version, commission_bps, ..] = content.numbers;
        Self {
            account_id,
            user_id,
            key_id,
            surface,
            provider,
            model,
            model_served: model_served.map(Arc::from),
            price_version,
            commission_bps,
            usage_source,
            outcome,
            scopes: content.held.scopes.as_deref().map(<[u8]>::to_vec),
        }
    }

    /// Whether that says so, too.
    fn is_of(&self, content: &Content<'_>) -> bool {
        let [_, ids @ ..] = content.ids;
        let [surface, provider, model, _, usage_source, outcome] = content.texts;
        let [_, price_version, commission_bps, ..] = content.numbers;
        [self.account_id, self.user_id, self.key_id] == ids
            && [&*self.surface, &self.provider, &self.model] == [surface, provider, model]
            && [&*self.usage_source, &self.outcome] == [usage_source, outcome]
            && self.model_served.as_deref() == content.optional[0]
            && [self.price_version, self.commission_bps] == [price_version, commission_bps]
            && self.scopes.as_deref() == content.held.scopes.as_deref()
    }

    /// Binds every column, in their order.
    pub(crate) fn bind<'q, DB: Database>(
        &self,
        query: Query<'q, DB, DB::Arguments>,
    ) -> Query<'q, DB, DB::Arguments>
    where
        Uuid: Encode<'q, DB> + Type<DB>,
        Arc<str>: Encode<'q, DB> + Type<DB>,
        Option<Arc<str>>: Encode<'q, DB> + Type<DB>,
        i64: Encode<'q, DB> + Type<DB>,
        Option<Vec<u8>>: Encode<'q, DB> + Type<DB>,
    {
        let text = |text: &Arc<str>| Arc::clone(text);
        let query = query.bind(self.account_id).bind(self.user_id).bind(self.key_id);
        let query = query.bind(text(&self.surface)).bind(text(&self.provider));
        let query = query.bind(text(&self.model)).bind(self.model_served.clone());
        let query = query.bind(self.price_version).bind(self.commission_bps);
        let query = query.bind(text(&self.usage_source)).bind(text(&self.outcome));
        query.bind(self.scopes.clone())
    }
}

impl Row {
    /// The row of a receipt.
    pub(crate) fn of(receipt: &Receipt) -> Result<Self, StoreError> {
        content_of(receipt, |content, hash| Self::with(content, hash, &mut Last::default()))
    }

    /// The row that says so, with its hash.
    pub(crate) fn with(content: &Content<'_>, hash: &Hash, last: &mut Last) -> Self {
        let [_, _, _, report, ..] = content.texts;
        let [attempt, _, _, counters @ .., cost, commission, charge, started_at, ended_at] =
            content.numbers;
        let [input_tokens, output_tokens, cache_read, cache_write_5m, cache_write_1h, reasoning] =
            counters;
        Self {
            common: last.common(content),
            request_id: content.ids[0],
            attempt,
            upstream_id: content.optional[1].map(Arc::from),
            input_tokens,
            output_tokens,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            reasoning,
            report: last.report(report),
            cost,
            commission,
            charge,
            started_at,
            ended_at,
            content_hash: ContentHash(Some(*hash)),
            absorbed: content.held.absorbed,
            bound: content.held.bound,
        }
    }

    /// Hashes what the row says.
    #[cfg(test)]
    pub(crate) fn seal(&mut self) {
        self.content_hash = ContentHash(Some(self.content().hash()));
    }

    /// Whether the row says what was hashed.
    fn is_intact(&self) -> bool {
        self.content_hash.0 == Some(self.content().hash())
    }

    /// Everything but the hash, as it is hashed and journaled.
    pub(crate) fn content(&self) -> Content<'_> {
        let common = &*self.common;
        Content {
            ids: [self.request_id, common.account_id, common.user_id, common.key_id],
            texts: [
                &common.surface,
                &common.provider,
                &common.model,
                &self.report,
                &common.usage_source,
                &common.outcome,
            ],
            optional: [common.model_served.as_deref(), self.upstream_id.as_deref()],
            numbers: [
                self.attempt,
                common.price_version,
                common.commission_bps,
                self.input_tokens,
                self.output_tokens,
                self.cache_read,
                self.cache_write_5m,
                self.cache_write_1h,
                self.reasoning,
                self.cost,
                self.commission,
                self.charge,
                self.started_at,
                self.ended_at,
            ],
            held: Held {
                absorbed: self.absorbed,
                bound: self.bound,
                scopes: common.scopes.as_deref().map(Cow::Borrowed),
            },
        }
    }

    /// What the row moves.
    pub(crate) fn money(&self) -> Result<Money, StoreError> {
        let scopes = ledger::decode_scopes(self.common.scopes.as_deref());
        Ok(Money {
            account: self.common.account_id,
            user: self.common.user_id,
            key: self.common.key_id,
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
        let Common { account_id, user_id, key_id, price_version, commission_bps, .. } =
            *self.common;
        let common = &*self.common;
        let text = |text: &Arc<str>| Arc::clone(text);
        let query = query.bind(self.request_id).bind(self.attempt);
        let query = query.bind(account_id).bind(user_id).bind(key_id);
        let query = query.bind(text(&common.surface)).bind(text(&common.provider));
        let query = query.bind(text(&common.model)).bind(common.model_served.clone());
        let query = query.bind(self.upstream_id).bind(price_version).bind(commission_bps);
        let query = bind_counters!(query, self);
        let query = query.bind(text(&common.usage_source)).bind(text(&common.outcome));
        bind_money!(query, self).bind(common.scopes.clone())
    }

    /// Binds every column that [`Common::bind`] does not, in their order.
    pub(crate) fn bind_own<'q, DB: Database>(
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
        let query = query.bind(self.request_id).bind(self.attempt).bind(self.upstream_id);
        let query = bind_counters!(query, self);
        bind_money!(query, self)
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
            account_id: self.common.account_id,
            user_id: self.common.user_id,
            key_id: self.common.key_id,
            price_version: self.common.price_version,
            commission_bps: u32::try_from(self.common.commission_bps)
                .map_err(|_| corrupt("its commission_bps"))?,
            report,
            usage_source: UsageSource::from_name(&self.common.usage_source)
                .ok_or_else(|| corrupt("its usage_source"))?,
            outcome: Outcome::from_name(&self.common.outcome)
                .ok_or_else(|| corrupt("its outcome"))?,
            cost: Usd::from_pico(self.cost),
            commission: Usd::from_pico(self.commission),
            charge: Usd::from_pico(self.charge),
            absorbed: Usd::from_pico(self.absorbed),
            bound: self.bound.map(Usd::from_pico),
            scopes: ledger::decode_scopes(self.common.scopes.as_deref())
                .ok_or_else(|| corrupt("its scopes"))?,
            started_at: self.started_at,
            ended_at: self.ended_at,
            surface: self.common.surface.as_ref().into(),
            provider: self.common.provider.as_ref().into(),
            model: self.common.model.as_ref().into(),
            model_served: self.common.model_served.as_deref().map(str::to_owned),
            upstream_id: self.upstream_id.as_deref().map(str::to_owned),
        })
    }
}
