//! What a journal brings: receipts, and the money that they move, in one transaction with the cursor.

use std::collections::{BTreeMap, BTreeSet};

use ledger::merkle::Hash;
use ledger::{Scope, ScopeKind, Signer, Usd};
use uuid::Uuid;

use crate::accounts::{self, ABSORBED, COMMISSION, COST, Post};
use crate::credit::Left;
use crate::engine::{Conn, Sql};
use crate::entry::{Before, Entries, Entry};
use crate::proof::Digest;
use crate::receipts::insert;
use crate::rollups::Rollups;
use crate::row::{Money, Row};
use crate::{Store, StoreError, again, budgets, credit, seals, slices};

const LOCK: Sql = sql!(
    "UPDATE tollgate.replicas SET open_seq = open_seq WHERE id = $1 RETURNING epoch, cursor_seq"
);
const MOVE: Sql = sql!(
    "UPDATE tollgate.replicas SET cursor_seq = $1, open_seq = $2 WHERE id = $3 AND cursor_seq <= $1"
);
/// What began before credit expired is spent of what was granted before.
macro_rules! spent {
    () => {
        concat!(
            "UPDATE tollgate.slices SET spent = spent + $1, ",
            "stale = CASE WHEN $5 >= stale_at THEN stale WHEN stale > $1 THEN stale - $1 ELSE 0 END ",
            "WHERE replica_id = $2 AND scope_id = $3 AND period_start = $4 "
        )
    };
}
const SPEND: Sql = sql!(
    spent!(),
    "AND closed_at IS NULL AND granted - spent >= $1 ",
    "AND epoch = (SELECT MIN(s.epoch) FROM tollgate.slices s WHERE s.replica_id = $2 ",
    "AND s.scope_id = $3 AND s.period_start = $4 AND s.closed_at IS NULL)"
);
const OPEN_SLICES: Sql = sql!(
    "SELECT epoch, granted - spent FROM tollgate.slices WHERE replica_id = $1 AND scope_id = $2 ",
    "AND period_start = $3 AND closed_at IS NULL AND granted > spent ORDER BY epoch"
);
const SPEND_OF_RUN: Sql = sql!(spent!(), "AND epoch = $6");
const CHARGE_LEASED: Sql = sql!(
    "UPDATE tollgate.ledger_accounts SET posted = posted - $1, leased = leased - $1 WHERE id = $2"
);
const CHARGE: Sql = sql!(
    "UPDATE tollgate.ledger_accounts SET posted = posted - $1 ",
    "WHERE id = $2 AND (prepaid = FALSE OR posted - $1 - leased >= floor)"
);
const USE_LEASED: Sql = sql!(
    "UPDATE tollgate.budget_periods SET used = used + $1, leased = leased - $1 ",
    "WHERE budget_id = $2 AND period_start = $3"
);
// It was spent, whatever the limit says.
const USE: Sql = sql!(
    "UPDATE tollgate.budget_periods SET used = used + $1, ",
    "ceiling = CASE WHEN used + leased + $1 > ceiling THEN used + leased + $1 ELSE ceiling END ",
    "WHERE budget_id = $2 AND period_start = $3"
);

/// What a journal has for the database.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The ledger's transaction for it.
    pub id: Uuid,
    /// Whose journal it is.
    pub replica: Uuid,
    /// In which run of the replica it is applied.
    pub epoch: i64,
    /// The record behind which the batch begins.
    pub after: u64,
    /// The last record of the batch.
    pub seq: u64,
    /// The first record that a recovery would have to read.
    pub open: u64,
    /// Microseconds since 1970.
    pub at: i64,
    /// Receipts, each with the number of its record.
    pub entries: Entries,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Receipts that were new.
    pub new: usize,
    /// By account: what was charged although nobody had set it aside, of an account that pays first.
    pub direct: Vec<(Uuid, Usd)>,
    /// By account: what of that there was no credit for, so that the house pays it.
    pub absorbed: Vec<(Uuid, Usd)>,
}

/// Sums over the new receipts of a batch.
#[derive(Default)]
struct Moves {
    /// What each of them moves.
    all: Vec<Money>,
    /// By account, each of its requests.
    accounts: BTreeMap<Uuid, Vec<Spent>>,
    budgets: BTreeMap<(Uuid, i64), i64>,
    /// The same of receipts that do not name the budget.
    under_way: BTreeMap<(Uuid, i64), i64>,
    cost: i64,
    commission: i64,
    absorbed: i64,
}

/// What was charged for requests between whose beginnings no credit has expired.
#[derive(Copy, Clone, Default)]
struct Spent {
    /// When the first of them began.
    begun: i64,
    /// What was held in a slice.
    leased: i64,
    /// What was not.
    direct: i64,
}

/// The same in as few as there can be, in the order in which they began.
fn spells(mut spent: Vec<Spent>, left: &[Left]) -> Result<Vec<Spent>, StoreError> {
    spent.sort_unstable_by_key(|one| one.begun);
    let mut spells: Vec<Spent> = Vec::new();
    let mut before = i64::MIN;
    for one in spent {
        let ends = |left: &Left| left.expires_at > before && left.expires_at <= one.begun;
        match spells.last_mut() {
            Some(spell) if !left.iter().any(ends) => {
                add(&mut spell.leased, one.leased)?;
                add(&mut spell.direct, one.direct)?;
            }
            _ => spells.push(one),
        }
        before = one.begun;
    }
    Ok(spells)
}

impl Moves {
    fn add(&mut self, row: Money) -> Result<(), StoreError> {
        let own = Scope { kind: ScopeKind::Account, id: row.account, period_start: 0 };
        let (leased, direct) =
            if row.scopes.contains(&own) { (row.charge, 0) } else { (0, row.charge) };
        let spent = Spent { begun: row.started_at, leased, direct };
        self.accounts.entry(row.account).or_default().push(spent);
        for scope in row.scopes.iter().filter(|scope| scope.kind == ScopeKind::Budget) {
            let budget = self.budgets.entry((scope.id, scope.period_start)).or_default();
            add(budget, row.charge)?;
        }
        add(&mut self.cost, row.cost)?;
        add(&mut self.commission, row.commission)?;
        add(&mut self.absorbed, row.absorbed)?;
        self.all.push(row);
        Ok(())
    }
}

fn add(sum: &mut i64, more: i64) -> Result<(), StoreError> {
    *sum = sum.checked_add(more).ok_or(StoreError::OutOfRange { what: "sum of a batch" })?;
    Ok(())
}

impl Store {
    /// Writes what a replica's journal has up to record `seq`, moves the money and the cursor, and seals what is new, all or
    /// nothing. What is there already is passed over, so that two may apply the same journal, in any cut.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a receipt of that id has other content; [`StoreError::NotFound`] for a replica that
    /// this database has never heard of, [`StoreError::Fenced`] for one of which another run has begun,
    /// [`StoreError::Gap`] where records are missing before these.
    pub async fn apply(&self, batch: &Batch, signer: &Signer) -> Result<Applied, StoreError> {
        again(|| self.apply_once(batch, signer)).await
    }

    async fn apply_once(&self, batch: &Batch, signer: &Signer) -> Result<Applied, StoreError> {
        let mut conn = self.begin().await?;
        let cursor = batch.lock(&mut conn).await?;
        let Batch { id, replica, seq, open, at, ref entries, .. } = *batch;
        let mut before = Before::default();
        let rows = entries.behind(cursor).map(|(_, entry)| {
            let Entry(row) = Entry::decode(entry, &mut before)?;
            Ok(row)
        });
        let (applied, leaves) = self.post(&mut conn, rows, (id, replica, at)).await?;
        if applied.new > 0 {
            let absorbed: Vec<_> =
                applied.absorbed.iter().map(|(account, _)| absorb_id(id, *account)).collect();
            seals::seal(&mut conn, signer, (id, replica), (&leaves, &absorbed)).await?;
        }
        advance(&mut conn, replica, seq, open).await?;
        conn.commit().await?;
        Ok(applied)
    }
}

impl Batch {
    /// Sees that it is its turn, and keeps others from the replica's journal until the end of the transaction. Returns how
    /// far the database has come.
    pub(crate) async fn lock(&self, conn: &mut Conn) -> Result<u64, StoreError> {
        let found: Option<(i64, i64)> =
            on!(*conn, LOCK => _, (q, c) => q.bind(self.replica).fetch_optional(c).await)?;
        let (current, cursor) = found.ok_or(StoreError::NotFound { what: "replica" })?;
        if current != self.epoch {
            return Err(StoreError::Fenced);
        }
        let cursor = cursor.unsigned_abs();
        if self.after > cursor {
            return Err(StoreError::Gap { cursor, after: self.after });
        }
        Ok(cursor)
    }
}

/// Moves the cursor of a journal.
pub(crate) async fn advance(
    conn: &mut Conn,
    replica: Uuid,
    seq: u64,
    open: u64,
) -> Result<(), StoreError> {
    let (seq, open) = (number(seq)?, number(open)?);
    on!(*conn, MOVE, (q, c) => {
        q.bind(seq).bind(open).bind(replica).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// The number of a record, as it is stored.
pub(crate) fn number(seq: u64) -> Result<i64, StoreError> {
    i64::try_from(seq).map_err(|_| StoreError::OutOfRange { what: "journal record" })
}

/// A batch, whose it is, and when.
type Which = (Uuid, Uuid, i64);

impl Store {
    /// Writes rows, and moves the money of those that are new. Returns what a seal has of each row, too.
    pub(crate) async fn post(
        &self,
        conn: &mut Conn,
        mut rows: impl ExactSizeIterator<Item = Result<Row, StoreError>> + Send,
        which: Which,
    ) -> Result<(Applied, Vec<Hash>), StoreError> {
        let mut leaves = Vec::with_capacity(rows.len());
        let (mut moves, mut rollups) = (Moves::default(), Rollups::default());
        while let Some(chunk) = self.inserts.receipts.chunk(rows.len()) {
            let first = number(leaves.len() as u64)?;
            let now = rows.by_ref().take(chunk.rows).collect::<Result<Vec<_>, _>>()?;
            let money = now.iter().map(|row| Ok((row.money()?, Rollups::of(row))));
            let money = money.collect::<Result<Vec<_>, StoreError>>()?;
            let told = insert(conn, chunk, (which.0, first), now).await?;
            for ((money, sums), (leaf, is_new)) in money.into_iter().zip(told) {
                leaves.push(leaf);
                if is_new {
                    moves.add(money)?;
                    rollups.add(sums)?;
                }
            }
        }
        let mut applied = Applied { new: moves.all.len(), ..Applied::default() };
        if applied.new > 0 {
            // Before a period is opened, which counts what is there.
            moves.under_way = budgets::under_way(conn, &moves.all).await?;
            settle(conn, moves, which, &mut applied).await?;
            rollups.write(conn, &self.inserts.rollups, which.1).await?;
        }
        Ok((applied, leaves))
    }
}

async fn settle(
    conn: &mut Conn,
    moves: Moves,
    (batch, replica, at): Which,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let mut lines = Vec::with_capacity(moves.accounts.len() + 3);
    for (account, spent) in moves.accounts {
        let sum = settle_account(conn, (account, spent), (batch, replica, at), applied).await?;
        if sum > 0 {
            lines.push((account, sum.saturating_neg()));
        }
    }
    // In one order, whatever is counted of which.
    let all: BTreeSet<(Uuid, i64)> =
        moves.budgets.keys().chain(moves.under_way.keys()).copied().collect();
    for place in all {
        if let Some(used) = moves.budgets.get(&place) {
            count(conn, replica, place, *used).await?;
        }
        if let Some(sum) = moves.under_way.get(&place) {
            budgets::count_before(conn, place, *sum).await?;
        }
    }
    lines.extend([(COST, moves.cost), (COMMISSION, moves.commission)]);
    lines.push((ABSORBED, moves.absorbed.saturating_neg()));
    let usage =
        Post { id: batch, kind: "usage", corrects: None, actor: "tollgate", reason: "", at, lines };
    // A batch has an id of its own: nothing is counted under one that was used.
    usage.write_new(conn).await
}

/// Charges an account, and returns how much.
async fn settle_account(
    conn: &mut Conn,
    (account, spent): (Uuid, Vec<Spent>),
    (batch, replica, at): Which,
    applied: &mut Applied,
) -> Result<i64, StoreError> {
    slices::lock(conn, Scope { kind: ScopeKind::Account, id: account, period_start: 0 }).await?;
    let mut left = credit::left(conn, account).await?;
    let spells = spells(spent, &left)?;
    let (mut taken, mut leased, mut direct) = (0, 0, 0);
    for spell in &spells {
        taken += spend(conn, (replica, account, 0), spell.leased, spell.begun).await?;
        add(&mut leased, spell.leased)?;
        add(&mut direct, spell.direct)?;
    }
    let mut sum = direct;
    add(&mut sum, leased)?;
    if taken > 0 {
        on!(*conn, CHARGE_LEASED, (q, c) => {
            q.bind(taken).bind(account).execute(c).await.map(drop)
        })?;
    }
    if taken < leased {
        add(&mut direct, leased - taken)?;
        applied.direct.push((account, Usd::from_pico(leased - taken)));
    }
    let absorbed = charge(conn, account, direct, (batch, at), applied).await?;
    let mut rest = sum - absorbed;
    for spell in &spells {
        // Both are parts of the sum.
        let used = rest.min(spell.leased + spell.direct);
        credit::consume(conn, &mut left, used, spell.begun).await?;
        rest -= used;
    }
    Ok(sum)
}

/// Takes what was spent off the open slices it was held in, that of the earliest run first, and returns how much they had. What
/// had begun before credit expired was held of what was granted before.
async fn spend(
    conn: &mut Conn,
    (replica, scope, period_start): (Uuid, Uuid, i64),
    amount: i64,
    begun: i64,
) -> Result<i64, StoreError> {
    if amount == 0 {
        return Ok(0);
    }
    let found = on!(*conn, SPEND, (q, c) => {
        let q = q.bind(amount).bind(replica).bind(scope).bind(period_start).bind(begun);
        q.execute(c).await.map(|done| done.rows_affected())
    })?;
    if found == 1 {
        return Ok(amount);
    }
    let slices: Vec<(i64, i64)> = on!(*conn, OPEN_SLICES => _, (q, c) => {
        q.bind(replica).bind(scope).bind(period_start).fetch_all(c).await
    })?;
    let mut missing = amount;
    for (epoch, rest) in slices {
        let taken = rest.min(missing);
        on!(*conn, SPEND_OF_RUN, (q, c) => {
            let q = q.bind(taken).bind(replica).bind(scope).bind(period_start);
            q.bind(begun).bind(epoch).execute(c).await.map(drop)
        })?;
        missing -= taken;
        if missing == 0 {
            break;
        }
    }
    Ok(amount - missing)
}

/// Counts what was used of a budget. One that this database does not know is no limit to anybody.
async fn count(
    conn: &mut Conn,
    replica: Uuid,
    (budget, period_start): (Uuid, i64),
    used: i64,
) -> Result<(), StoreError> {
    slices::lock(conn, Scope { kind: ScopeKind::Budget, id: budget, period_start }).await?;
    let taken = spend(conn, (replica, budget, period_start), used, i64::MAX).await?;
    let mut once = async |text: Sql, amount: i64| -> Result<bool, StoreError> {
        let found = on!(*conn, text, (q, c) => {
            let q = q.bind(amount).bind(budget).bind(period_start);
            q.execute(c).await.map(|done| done.rows_affected())
        })?;
        Ok(amount == 0 || found == 1)
    };
    once(USE_LEASED, taken).await?;
    if !once(USE, used - taken).await? && budgets::reopen(conn, budget, period_start, used).await? {
        on!(*conn, USE, (q, c) => {
            q.bind(used).bind(budget).bind(period_start).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Charges what nobody had set aside. Where an account that pays first has too little, the house pays the rest, which is
/// returned.
async fn charge(
    conn: &mut Conn,
    account: Uuid,
    amount: i64,
    (batch, at): (Uuid, i64),
    applied: &mut Applied,
) -> Result<i64, StoreError> {
    let once = async |conn: &mut Conn, amount: i64| -> Result<bool, StoreError> {
        let found = on!(*conn, CHARGE, (q, c) => {
            q.bind(amount).bind(account).execute(c).await.map(|done| done.rows_affected())
        })?;
        Ok(found == 1)
    };
    if amount == 0 || once(conn, amount).await? {
        return Ok(0);
    }
    // Locked, so that the second try finds what the first has seen.
    let known = match accounts::lock(conn, account).await {
        // Of an account that this database does not know, everything is owed.
        Err(StoreError::NotFound { .. }) => {
            accounts::open(conn, account, false).await?;
            accounts::lock(conn, account).await?
        }
        known => known?,
    };
    let free = if known.prepaid { known.free().clamp(0, amount) } else { amount };
    if !once(conn, free).await? {
        return Err(StoreError::corrupt(format!("balance of account {account}")));
    }
    let rest = amount - free;
    if rest == 0 {
        return Ok(0);
    }
    let absorb = Post {
        id: absorb_id(batch, account),
        kind: "absorb",
        corrects: Some(batch),
        actor: "tollgate",
        reason: "no credit was left for it",
        at,
        lines: accounts::between(account, ABSORBED, rest),
    };
    absorb.write_new(conn).await?;
    applied.absorbed.push((account, Usd::from_pico(rest)));
    Ok(rest)
}

/// One id for each batch and account.
fn absorb_id(batch: Uuid, account: Uuid) -> Uuid {
    Digest::of(b"absorb").id(batch).id(account).finish_id()
}
