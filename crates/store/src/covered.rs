//! The rows of the books that people write, each with a hash of what it holds. What is counted up by use, such as a balance, is
//! no part of it: it follows from receipts and from these rows.

use std::collections::HashMap;

use ledger::merkle::Hash;
use uuid::Uuid;

use crate::StoreError;
use crate::engine::{Conn, Sql};
use crate::proof::Digest;

/// A row.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Covered {
    /// A transaction of the ledger, with its entries.
    Transaction(Uuid),
    /// Credit that was added.
    Grant(Uuid),
    Budget(Uuid),
    /// How an account pays.
    Account(Uuid),
    /// A price version, with all that it says.
    Prices(i64),
}

impl Covered {
    /// Where it stands.
    pub(crate) const fn table(&self) -> &'static str {
        match self {
            Self::Transaction(_) => "ledger_transactions",
            Self::Grant(_) => "credit_grants",
            Self::Budget(_) => "budgets",
            Self::Account(_) => "ledger_accounts",
            Self::Prices(_) => "price_versions",
        }
    }

    /// Which it is there.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Transaction(id) | Self::Grant(id) | Self::Budget(id) | Self::Account(id) => {
                id.to_string()
            }
            Self::Prices(version) => version.to_string(),
        }
    }
}

/// How many rows are read at a time.
macro_rules! page {
    () => {
        " LIMIT 1000"
    };
}

macro_rules! transactions {
    ($($rest:tt)+) => {
        sql!(
            "SELECT id, kind, corrects, actor, reason, content_hash, created_at FROM tollgate.ledger_transactions ",
            $($rest)+
        )
    };
}
const TRANSACTION: Sql = transactions!("WHERE id = $1");
// What is posted for receipts is proved by them.
const TRANSACTIONS: Sql = transactions!("WHERE id > $1 AND kind <> 'usage' ORDER BY id", page!());
const LINES: Sql = sql!(
    "SELECT line, account_id, amount FROM tollgate.ledger_entries WHERE tx_id = $1 ORDER BY line"
);
const LINES_OF: Sql = sql!(
    "SELECT e.tx_id, e.line, e.account_id, e.amount FROM tollgate.ledger_entries e ",
    "JOIN tollgate.ledger_transactions t ON t.id = e.tx_id ",
    "WHERE e.tx_id > $1 AND e.tx_id <= $2 AND t.kind <> 'usage' ORDER BY e.tx_id, e.line"
);

macro_rules! grants {
    ($($rest:tt)+) => {
        sql!(
            "SELECT id, account_id, source, amount, expires_at, created_at FROM tollgate.credit_grants ",
            $($rest)+
        )
    };
}
const GRANT: Sql = grants!("WHERE id = $1");
const GRANTS: Sql = grants!("WHERE id > $1 ORDER BY id", page!());

macro_rules! budgets {
    ($($rest:tt)+) => {
        sql!(
            "SELECT id, owner_kind, owner_id, period, limit_pico, created_at, removed_at FROM tollgate.budgets ",
            $($rest)+
        )
    };
}
const BUDGET: Sql = budgets!("WHERE id = $1");
const BUDGETS: Sql = budgets!("WHERE id > $1 ORDER BY id", page!());

macro_rules! accounts {
    ($($rest:tt)+) => {
        sql!("SELECT id, prepaid, floor FROM tollgate.ledger_accounts WHERE kind = 'customer' ", $($rest)+)
    };
}
const ACCOUNT: Sql = accounts!("AND id = $1");
const ACCOUNTS: Sql = accounts!("AND id > $1 ORDER BY id", page!());

const VERSIONS: Sql = sql!("SELECT id FROM tollgate.price_versions ORDER BY id");
const VERSION: Sql = sql!(
    "SELECT sha256, source, note, created_at, models FROM tollgate.price_versions WHERE id = $1"
);
const MODELS: Sql = sql!(
    "SELECT provider, model, info, long_context_above, off_peak, fast_bps, us_bps, eu_bps ",
    "FROM tollgate.models WHERE version_id = $1 ORDER BY provider, model"
);
const PRICES: Sql = sql!(
    "SELECT provider, model, valid_from, service_tier, long_context, off_peak, meter, tariff, rate, unit_price, free ",
    "FROM tollgate.prices WHERE version_id = $1 ",
    "ORDER BY provider, model, valid_from, service_tier, long_context, off_peak, meter"
);

#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Transaction {
    id: Uuid,
    kind: String,
    corrects: Option<Uuid>,
    actor: String,
    reason: String,
    content_hash: Vec<u8>,
    created_at: i64,
}

impl Transaction {
    /// The hash of all but its lines, of which it has a hash itself.
    pub(crate) fn head(&self) -> Hash {
        self.hash(&[])
    }

    fn hash(&self, lines: &[(i64, Uuid, i64)]) -> Hash {
        let digest = Digest::of(b"tollgate transaction v1\0").id(self.id).text(&self.kind);
        let digest = digest.maybe(self.corrects, Digest::id).text(&self.actor);
        let digest = digest.text(&self.reason).bytes(&self.content_hash).number(self.created_at);
        let add = |digest: Digest, (line, account, amount): &(i64, Uuid, i64)| {
            digest.number(*line).id(*account).number(*amount)
        };
        lines.iter().fold(digest, add).finish()
    }
}

#[derive(sqlx::FromRow)]
struct Grant {
    id: Uuid,
    account_id: Uuid,
    source: String,
    amount: i64,
    expires_at: Option<i64>,
    created_at: i64,
}

impl Grant {
    fn hash(&self) -> Hash {
        let digest = Digest::of(b"tollgate grant v1\0").id(self.id).id(self.account_id);
        let digest = digest.text(&self.source).number(self.amount);
        digest.maybe(self.expires_at, Digest::number).number(self.created_at).finish()
    }
}

#[derive(sqlx::FromRow)]
struct Budget {
    id: Uuid,
    owner_kind: String,
    owner_id: Uuid,
    period: String,
    limit_pico: i64,
    created_at: i64,
    removed_at: Option<i64>,
}

impl Budget {
    fn hash(&self) -> Hash {
        let digest = Digest::of(b"tollgate budget v1\0").id(self.id).text(&self.owner_kind);
        let digest = digest.id(self.owner_id).text(&self.period).number(self.limit_pico);
        digest.number(self.created_at).maybe(self.removed_at, Digest::number).finish()
    }
}

#[derive(sqlx::FromRow)]
struct Account {
    id: Uuid,
    prepaid: bool,
    floor: i64,
}

impl Account {
    fn hash(&self) -> Hash {
        let digest = Digest::of(b"tollgate account v1\0").id(self.id);
        digest.number(self.prepaid.into()).number(self.floor).finish()
    }
}

/// The hash of an account that nobody has opened: usage that came for it did. It pays later.
pub(crate) fn unopened(id: Uuid) -> Hash {
    Account { id, prepaid: false, floor: 0 }.hash()
}

#[derive(sqlx::FromRow)]
struct Model {
    provider: String,
    model: String,
    info: String,
    long_context_above: Option<i64>,
    off_peak: String,
    fast_bps: Option<i64>,
    us_bps: Option<i64>,
    eu_bps: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Price {
    provider: String,
    model: String,
    valid_from: i64,
    service_tier: String,
    long_context: bool,
    off_peak: bool,
    meter: String,
    tariff: i64,
    rate: i64,
    unit_price: i64,
    free: bool,
}

/// The hash of all of a transaction but its lines.
///
/// # Errors
/// [`StoreError::NotFound`] where there is none.
pub(crate) async fn head(conn: &mut Conn, transaction: Uuid) -> Result<Hash, StoreError> {
    let found: Option<Transaction> =
        on!(*conn, TRANSACTION => _, (q, c) => q.bind(transaction).fetch_optional(c).await)?;
    let found = found.ok_or(StoreError::NotFound { what: "ledger_transactions" })?;
    Ok(found.head())
}

/// The hash of what stands in a row.
///
/// # Errors
/// [`StoreError::NotFound`] where there is none.
pub(crate) async fn read(conn: &mut Conn, row: &Covered) -> Result<Hash, StoreError> {
    let hash = match *row {
        Covered::Transaction(id) => {
            let lines: Vec<(i64, Uuid, i64)> =
                on!(*conn, LINES => _, (q, c) => q.bind(id).fetch_all(c).await)?;
            let found: Option<Transaction> =
                on!(*conn, TRANSACTION => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
            found.map(|found| found.hash(&lines))
        }
        Covered::Grant(id) => {
            let found: Option<Grant> =
                on!(*conn, GRANT => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
            found.map(|found| found.hash())
        }
        Covered::Budget(id) => {
            let found: Option<Budget> =
                on!(*conn, BUDGET => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
            found.map(|found| found.hash())
        }
        Covered::Account(id) => {
            let found: Option<Account> =
                on!(*conn, ACCOUNT => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
            found.map(|found| found.hash())
        }
        Covered::Prices(version) => version_hash(conn, version).await?,
    };
    hash.ok_or(StoreError::NotFound { what: row.table() })
}

async fn version_hash(conn: &mut Conn, version: i64) -> Result<Option<Hash>, StoreError> {
    let found: Option<(String, String, String, i64, i64)> =
        on!(*conn, VERSION => _, (q, c) => q.bind(version).fetch_optional(c).await)?;
    let Some((sha256, source, note, created_at, count)) = found else { return Ok(None) };
    let models: Vec<Model> = on!(*conn, MODELS => _, (q, c) => q.bind(version).fetch_all(c).await)?;
    let prices: Vec<Price> = on!(*conn, PRICES => _, (q, c) => q.bind(version).fetch_all(c).await)?;
    let digest = Digest::of(b"tollgate prices v1\0").number(version).text(&sha256);
    let digest = digest.text(&source).text(&note).number(created_at).number(count);
    let digest = models.iter().fold(digest, |digest, row| {
        let digest = digest.text(&row.provider).text(&row.model).text(&row.info);
        let digest = digest.maybe(row.long_context_above, Digest::number).text(&row.off_peak);
        let factors = [row.fast_bps, row.us_bps, row.eu_bps];
        factors.into_iter().fold(digest, |digest, bps| digest.maybe(bps, Digest::number))
    });
    // So that a model is never taken for a price.
    let digest = digest.number(i64::try_from(models.len()).unwrap_or(i64::MAX));
    let digest = prices.iter().fold(digest, |digest, row| {
        let digest = digest.text(&row.provider).text(&row.model).number(row.valid_from);
        let digest = digest.text(&row.service_tier).number(row.long_context.into());
        let digest = digest.number(row.off_peak.into()).text(&row.meter).number(row.tariff);
        digest.number(row.rate).number(row.unit_price).number(row.free.into())
    });
    Ok(Some(digest.finish()))
}

/// Tells `look` of every row there is: its table, which it is, and the hash of what it holds.
pub(crate) async fn each(
    conn: &mut Conn,
    look: &mut (dyn FnMut(&'static str, String, Hash) + Send),
) -> Result<(), StoreError> {
    transactions(conn, look).await?;
    let mut after = Uuid::nil();
    loop {
        let page: Vec<Grant> = on!(*conn, GRANTS => _, (q, c) => q.bind(after).fetch_all(c).await)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for row in &page {
            look("credit_grants", row.id.to_string(), row.hash());
        }
    }
    after = Uuid::nil();
    loop {
        let page: Vec<Budget> =
            on!(*conn, BUDGETS => _, (q, c) => q.bind(after).fetch_all(c).await)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for row in &page {
            look("budgets", row.id.to_string(), row.hash());
        }
    }
    after = Uuid::nil();
    loop {
        let page: Vec<Account> =
            on!(*conn, ACCOUNTS => _, (q, c) => q.bind(after).fetch_all(c).await)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for row in &page {
            look("ledger_accounts", row.id.to_string(), row.hash());
        }
    }
    let versions: Vec<(i64,)> = on!(*conn, VERSIONS => _, (q, c) => q.fetch_all(c).await)?;
    for (version,) in versions {
        if let Some(hash) = version_hash(conn, version).await? {
            look("price_versions", version.to_string(), hash);
        }
    }
    Ok(())
}

async fn transactions(
    conn: &mut Conn,
    look: &mut (dyn FnMut(&'static str, String, Hash) + Send),
) -> Result<(), StoreError> {
    let mut after = Uuid::nil();
    loop {
        let page: Vec<Transaction> =
            on!(*conn, TRANSACTIONS => _, (q, c) => q.bind(after).fetch_all(c).await)?;
        let Some(last) = page.last() else { return Ok(()) };
        let lines: Vec<(Uuid, i64, Uuid, i64)> =
            on!(*conn, LINES_OF => _, (q, c) => q.bind(after).bind(last.id).fetch_all(c).await)?;
        after = last.id;
        let mut of: HashMap<Uuid, Vec<(i64, Uuid, i64)>> = HashMap::new();
        for (id, line, account, amount) in lines {
            of.entry(id).or_default().push((line, account, amount));
        }
        for row in page {
            let lines = of.remove(&row.id).unwrap_or_default();
            look("ledger_transactions", row.id.to_string(), row.hash(&lines));
        }
    }
}
