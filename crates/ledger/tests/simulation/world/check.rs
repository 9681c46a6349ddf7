//! The invariants, looked at after every step. The ledger's own sums are worked out again from what is append-only.

use std::collections::BTreeMap;

use ledger::{Scope, ScopeKind};
use uuid::Uuid;

use super::Fault;
use super::books::{Book, Kind, Ledger, Receipt};
use super::replica::{Folder, Process, Request};

/// Sums over what has been appended so far.
#[derive(Default)]
pub(crate) struct Audit {
    entries: usize,
    receipts: usize,
    by_book: BTreeMap<Book, i64>,
    by_transaction: (usize, i64),
    charged: BTreeMap<Uuid, i64>,
    absorbed: BTreeMap<Uuid, i64>,
    used: BTreeMap<Scope, i64>,
    /// What the simulation has put in and taken out, by account.
    pub(crate) acts: BTreeMap<Uuid, i64>,
}

fn must(id: &'static str, holds: bool, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::new(id, what())) }
}

impl Audit {
    pub(crate) fn look(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        self.take_in(ledger)?;
        self.accounts(ledger)?;
        for (scope, row) in &ledger.periods {
            must("I5", row.used + row.leased <= row.ceiling, || format!("{scope:?}: {row:?}"))?;
            let used = self.used.get(scope).copied().unwrap_or(0);
            must("I5", row.used == used, || format!("{row:?}, but its receipts come to {used}"))?;
        }
        Ok(())
    }

    fn take_in(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        for entry in ledger.entries.iter().skip(self.entries) {
            let (tx, sum) = &mut self.by_transaction;
            if *tx != entry.tx {
                must("I1", *sum == 0, || format!("transaction {tx} comes to {sum}"))?;
                (*tx, *sum) = (entry.tx, 0);
            }
            *sum += entry.amount;
            *self.by_book.entry(entry.book).or_default() += entry.amount;
            if let (Kind::Absorb, Book::Customer(id)) = (entry.kind, entry.book) {
                *self.absorbed.entry(id).or_default() += entry.amount;
            }
        }
        let (tx, sum) = self.by_transaction;
        must("I1", sum == 0, || format!("transaction {tx} comes to {sum}"))?;
        self.entries = ledger.entries.len();
        for receipt in ledger.receipts.iter().skip(self.receipts) {
            fair(receipt)?;
            *self.charged.entry(receipt.account).or_default() += receipt.charge;
            for scope in receipt.scopes.iter().filter(|scope| scope.kind == ScopeKind::Budget) {
                *self.used.entry(*scope).or_default() += receipt.charge;
            }
        }
        self.receipts = ledger.receipts.len();
        Ok(())
    }

    fn accounts(&self, ledger: &Ledger) -> Result<(), Fault> {
        let mut leased: BTreeMap<Scope, i64> = BTreeMap::new();
        for ((_, scope), slice) in &ledger.slices {
            *leased.entry(*scope).or_default() += slice.granted - slice.spent;
        }
        let sum = |of: &BTreeMap<Uuid, i64>, id| of.get(id).copied().unwrap_or(0);
        for (id, account) in &ledger.accounts {
            let posted = self.by_book.get(&Book::Customer(*id)).copied().unwrap_or(0);
            must("I2", account.posted == posted, || {
                format!("{account:?}, but {posted} by its entries")
            })?;
            let scope = Scope { kind: ScopeKind::Account, id: *id, period_start: 0 };
            let in_slices = leased.get(&scope).copied().unwrap_or(0);
            must("I3", account.leased == in_slices, || {
                format!("{account:?}, but {in_slices} in slices")
            })?;
            must("I4", !account.prepaid || account.available() >= 0, || format!("{account:?}"))?;
            let kept = sum(&self.acts, id) - sum(&self.charged, id) + sum(&self.absorbed, id);
            must("I21", account.posted == kept, || {
                format!("{account:?}, but {kept} by what happened")
            })?;
        }
        for (scope, row) in &ledger.periods {
            let in_slices = leased.get(scope).copied().unwrap_or(0);
            must("I3", row.leased == in_slices, || format!("{row:?}, but {in_slices} in slices"))?;
        }
        let all: i64 = self.by_book.values().sum();
        must("I21", all == 0, || format!("all books together come to {all}"))
    }
}

fn fair(receipt: &Receipt) -> Result<(), Fault> {
    let Receipt { cost, commission, charge, absorbed, bound, .. } = *receipt;
    let whole = charge + absorbed == cost + commission;
    let signs = [cost, commission, charge, absorbed].into_iter().all(|amount| amount >= 0);
    let within = bound.is_none_or(|bound| charge <= bound);
    must("I11", whole && signs && within, || format!("{receipt:?}"))
}

/// I6, I7 and the theorem that nothing is overspent: what a replica has promised or spent, and what it may still
/// promise, is leased to it. Only for one that the ledger has not fenced: what a fenced one spends is absorbed.
pub(crate) fn covered(
    ledger: &Ledger,
    folder: &Folder,
    process: Option<&Process>,
) -> Result<(), Fault> {
    let open = folder.open()?;
    let row = ledger.replicas.get(&folder.replica).copied().unwrap_or_default();
    let stopped = row.epoch != folder.epoch || row.released.is_some();
    if stopped || folder.stuck || folder.copy {
        return Ok(());
    }
    let mut waiting: BTreeMap<Scope, i64> = BTreeMap::new();
    for receipt in folder.behind(row.cursor.max(folder.late)).filter_map(|(_, receipt)| receipt) {
        for scope in receipt.scopes.iter() {
            *waiting.entry(*scope).or_default() += receipt.charge;
        }
    }
    let rest = |scope: Scope| {
        let slice = ledger.slices.get(&(folder.replica, scope)).copied().unwrap_or_default();
        slice.granted - slice.spent
    };
    let mut promised = waiting.clone();
    for open in open.values() {
        for scope in open.hold.scopes.iter() {
            *promised.entry(*scope).or_default() += open.hold.bound.unwrap_or(0);
        }
    }
    for (scope, promised) in &promised {
        let rest = rest(*scope);
        must("I7", *promised <= rest, || {
            format!(
                "replica {}: {promised} promised or spent of {rest} in {scope:?}",
                folder.replica
            )
        })?;
    }
    let Some(process) = process.filter(|process| process.epoch == row.epoch) else { return Ok(()) };
    // Nor is anything held for nobody.
    let bounds = |request: &Request| request.hold.bound.unwrap_or(0);
    for (scope, slice) in process.purse.slices() {
        let holding = process.open.iter().filter(|request| request.hold.scopes.contains(&scope));
        let open: i64 = holding.map(bounds).sum();
        must("I6", slice.held.pico() == open, || format!("{slice:?}, but {open} are promised"))?;
        let (held, free) = (slice.held.pico(), slice.free().pico());
        let waiting = waiting.get(&scope).copied().unwrap_or(0);
        let rest = rest(scope);
        must("I6", held >= 0 && free >= 0 && held + free + waiting <= rest, || {
            format!(
                "replica {}: {held} held, {free} free and {waiting} to be applied of {rest} in {scope:?}",
                folder.replica
            )
        })?;
    }
    Ok(())
}
