//! What the database does, as plain maps: each method is one transaction, with the guards that its SQL has.

use std::collections::BTreeMap;
use std::rc::Rc;

use ledger::{BudgetPeriod, Scope, ScopeKind};
use uuid::Uuid;

use super::Fault;

/// An account of the double entry.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Book {
    Customer(Uuid),
    Cost,
    Commission,
    Cash,
    Promo,
    Absorbed,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TopUp,
    Promo,
    Usage,
    Absorb,
    Expire,
    Refund,
    Adjust,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) tx: usize,
    pub(crate) kind: Kind,
    pub(crate) book: Book,
    pub(crate) amount: i64,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) prepaid: bool,
    pub(crate) posted: i64,
    pub(crate) leased: i64,
    pub(crate) floor: i64,
}

impl Account {
    pub(crate) fn available(&self) -> i64 {
        self.posted - self.leased - self.floor
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) account: Uuid,
    pub(crate) period: BudgetPeriod,
    pub(crate) limit: i64,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeriodRow {
    pub(crate) ceiling: i64,
    pub(crate) used: i64,
    pub(crate) leased: i64,
}

/// An open slice; a closed one is of no more use here.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SliceRow {
    pub(crate) epoch: i64,
    pub(crate) granted: i64,
    pub(crate) spent: i64,
    pub(crate) recalled: bool,
}

/// Why a replica's slices were given back without it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// It was not heard of for a day.
    Silent,
    /// The operator said that it is dead.
    Operator,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaRow {
    pub(crate) epoch: i64,
    pub(crate) cursor: usize,
    pub(crate) heartbeat: i64,
    pub(crate) released: Option<Released>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) request: u32,
    pub(crate) account: Uuid,
    pub(crate) scopes: Rc<[Scope]>,
    pub(crate) bound: Option<i64>,
    pub(crate) cost: i64,
    pub(crate) commission: i64,
    pub(crate) charge: i64,
    pub(crate) absorbed: i64,
}

/// Why a transaction was rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The replica's epoch is over, or it was released.
    Fenced,
    /// The same request, another receipt.
    Conflict(u32),
    /// A CHECK of the database, or something that must not be asked for: a mistake.
    Fault(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) accounts: BTreeMap<Uuid, Account>,
    pub(crate) budgets: BTreeMap<Uuid, Budget>,
    pub(crate) periods: BTreeMap<Scope, PeriodRow>,
    pub(crate) slices: BTreeMap<(u32, Scope), SliceRow>,
    pub(crate) replicas: BTreeMap<u32, ReplicaRow>,
    /// In the order in which they came; the place of each by its request is the primary key.
    pub(crate) receipts: Vec<Receipt>,
    by_request: BTreeMap<u32, usize>,
    pub(crate) entries: Vec<Entry>,
    transactions: usize,
}

impl Ledger {
    pub(crate) fn receipt(&self, request: u32) -> Option<&Receipt> {
        self.by_request.get(&request).and_then(|place| self.receipts.get(*place))
    }

    pub(crate) fn account(&self, id: Uuid) -> Account {
        self.accounts.get(&id).copied().unwrap_or_default()
    }

    fn account_mut(&mut self, id: Uuid) -> Result<&mut Account, Fault> {
        self.accounts.get_mut(&id).ok_or_else(|| Fault::new("SQL", "no such account"))
    }

    fn transaction(&mut self, kind: Kind, lines: &[(Book, i64)]) {
        let tx = self.transactions;
        self.transactions += 1;
        let entry = |&(book, amount)| Entry { tx, kind, book, amount };
        self.entries.extend(lines.iter().filter(|(_, amount)| *amount != 0).map(entry));
    }

    /// A business act on an account; refused where too little is available.
    pub(crate) fn act(&mut self, kind: Kind, id: Uuid, amount: i64) -> Result<bool, Fault> {
        let account = self.account_mut(id)?;
        if account.prepaid && account.available() + amount < 0 {
            return Ok(false);
        }
        account.posted += amount;
        let other = match kind {
            Kind::Promo | Kind::Expire => Book::Promo,
            Kind::Adjust => Book::Absorbed,
            _ => Book::Cash,
        };
        self.transaction(kind, &[(Book::Customer(id), amount), (other, -amount)]);
        Ok(true)
    }

    /// Makes an account prepaid where what it has suffices, or post-paid.
    pub(crate) fn set_prepaid(
        &mut self,
        id: Uuid,
        prepaid: bool,
        floor: i64,
    ) -> Result<bool, Fault> {
        let account = self.account_mut(id)?;
        let next = Account { prepaid, floor, ..*account };
        let suits = !prepaid || next.available() >= 0;
        if suits {
            *account = next;
        }
        Ok(suits)
    }

    /// A limit below what is used and leased recalls slices; the ceiling keeps the row's CHECK meanwhile.
    pub(crate) fn set_limit(&mut self, id: Uuid, limit: i64) {
        if let Some(budget) = self.budgets.get_mut(&id) {
            budget.limit = limit;
        }
        let mut lowered = Vec::new();
        for (scope, row) in self.periods.iter_mut().filter(|(scope, _)| scope.id == id) {
            row.ceiling = limit.max(row.used + row.leased);
            if row.ceiling > limit {
                lowered.push(*scope);
            }
        }
        for scope in lowered {
            self.recall(scope, None);
        }
    }

    /// Marks the slices of all replicas but one.
    pub(crate) fn recall(&mut self, scope: Scope, except: Option<u32>) -> bool {
        let others = |(replica, of): &(u32, Scope)| *of == scope && Some(*replica) != except;
        let mut any = false;
        for (_, slice) in self.slices.iter_mut().filter(|(key, _)| others(key)) {
            slice.recalled = true;
            any = true;
        }
        any
    }

    /// The replica's slices that are wanted back; asked once.
    pub(crate) fn recalled(&mut self, replica: u32, epoch: i64) -> Result<Vec<Scope>, Refused> {
        self.fence(replica, epoch)?;
        let own = self.slices.iter_mut().filter(|((of, _), _)| *of == replica);
        Ok(own
            .filter_map(|((_, scope), slice)| std::mem::take(&mut slice.recalled).then_some(*scope))
            .collect())
    }

    // Replicas

    fn fence(&self, replica: u32, epoch: i64) -> Result<(), Refused> {
        let row = self.replicas.get(&replica).copied().unwrap_or_default();
        let current = row.epoch == epoch && row.released.is_none();
        if current { Ok(()) } else { Err(Refused::Fenced) }
    }

    pub(crate) fn begin_epoch(
        &mut self,
        replica: u32,
        known: i64,
        now: i64,
    ) -> Result<i64, Refused> {
        let row = self.replicas.entry(replica).or_default();
        if row.epoch != known {
            return Err(Refused::Fenced);
        }
        *row = ReplicaRow { epoch: known + 1, heartbeat: now, released: None, ..*row };
        Ok(row.epoch)
    }

    pub(crate) fn heartbeat(&mut self, replica: u32, epoch: i64, now: i64) -> Result<(), Refused> {
        self.fence(replica, epoch)?;
        if let Some(row) = self.replicas.get_mut(&replica) {
            row.heartbeat = row.heartbeat.max(now);
        }
        Ok(())
    }

    /// Closes the replica's slices of the epochs before `epoch`: what is not spent is available again.
    pub(crate) fn close_slices(&mut self, replica: u32, epoch: i64) -> Result<(), Refused> {
        self.fence(replica, epoch)?;
        Ok(self.close(replica, epoch)?)
    }

    fn close(&mut self, replica: u32, before: i64) -> Result<(), Fault> {
        let of = |((owner, _), slice): &(&(u32, Scope), &SliceRow)| {
            *owner == replica && slice.epoch < before
        };
        let closing: Vec<_> =
            self.slices.iter().filter(of).map(|(key, slice)| (*key, *slice)).collect();
        for (key, slice) in closing {
            self.lease(key.1, slice.spent - slice.granted)?;
            self.slices.remove(&key);
        }
        Ok(())
    }

    pub(crate) fn release(&mut self, replica: u32, why: Released) -> Result<(), Fault> {
        if let Some(row) = self.replicas.get_mut(&replica) {
            row.released = Some(why);
        }
        self.close(replica, i64::MAX)
    }

    // Slices

    /// Raises what is leased of a scope; negative lowers it.
    fn lease(&mut self, scope: Scope, amount: i64) -> Result<(), Fault> {
        let leased = match scope.kind {
            ScopeKind::Account => &mut self.account_mut(scope.id)?.leased,
            ScopeKind::Budget => &mut self.periods.entry(scope).or_default().leased,
        };
        *leased += amount;
        if *leased < 0 { Err(Fault::new("CHECK", "leased >= 0")) } else { Ok(()) }
    }

    /// What a slice of `scope` may take now.
    fn headroom(&mut self, scope: Scope) -> i64 {
        match scope.kind {
            ScopeKind::Account => {
                let account = self.account(scope.id);
                if account.prepaid { account.available() } else { 0 }
            }
            ScopeKind::Budget => {
                let limit = self.budgets.get(&scope.id).map_or(0, |budget| budget.limit);
                let new = PeriodRow { ceiling: limit, ..PeriodRow::default() };
                let row = self.periods.entry(scope).or_insert(new);
                // Not the ceiling: it stays high for a while after the limit was lowered.
                limit.min(row.ceiling) - row.used - row.leased
            }
        }
    }

    /// Nothing where less than `least` is available; else something between `least` and `want`.
    pub(crate) fn grant(
        &mut self,
        (replica, epoch): (u32, i64),
        scope: Scope,
        (least, want): (i64, i64),
        live: i64,
    ) -> Result<i64, Refused> {
        self.fence(replica, epoch)?;
        let available = self.headroom(scope);
        if available < least || available <= 0 {
            return Ok(0);
        }
        let amount = least.max(want.min(available / (2 * live.max(1))));
        if amount == 0 {
            return Ok(0);
        }
        self.lease(scope, amount)?;
        let new = SliceRow { epoch, ..SliceRow::default() };
        let slice = self.slices.entry((replica, scope)).or_insert(new);
        if slice.epoch != epoch {
            return Err(Fault::new("SQL", "a slice of an earlier epoch is still open").into());
        }
        slice.granted += amount;
        Ok(amount)
    }

    pub(crate) fn give_back(
        &mut self,
        (replica, epoch): (u32, i64),
        scope: Scope,
        amount: i64,
    ) -> Result<(), Refused> {
        self.fence(replica, epoch)?;
        let slice = self.slices.get_mut(&(replica, scope));
        let slice = slice.ok_or_else(|| Fault::new("SQL", "given back without a slice"))?;
        slice.granted -= amount;
        if slice.granted < slice.spent {
            return Err(Fault::new("CHECK", "spent <= granted, after a give-back").into());
        }
        Ok(self.lease(scope, -amount)?)
    }

    // Receipts

    /// Applies a batch: what the cursor has not passed, all or nothing. `batch` is (sequence number, receipt if any).
    pub(crate) fn apply(
        &mut self,
        (replica, epoch): (u32, i64),
        batch: &[(usize, Option<Receipt>)],
    ) -> Result<(), Refused> {
        let row = self.replicas.get(&replica).copied().unwrap_or_default();
        // A released replica may still say what it has spent. One of an earlier epoch has a successor that counts anew
        // from the same number, so its cursor is not this one.
        if row.epoch != epoch {
            return Err(Refused::Fenced);
        }
        let new: Vec<_> = batch.iter().filter(|(seq, _)| *seq > row.cursor).collect();
        let (Some((first, _)), Some((last, _))) = (new.first(), new.last()) else { return Ok(()) };
        if *first != row.cursor + 1 {
            return Err(Fault::new("SQL", "a gap between the cursor and the batch").into());
        }
        for receipt in new.iter().filter_map(|(_, receipt)| receipt.as_ref()) {
            self.insert(Some(replica), receipt)?;
        }
        if let Some(row) = self.replicas.get_mut(&replica) {
            row.cursor = *last;
        }
        Ok(())
    }

    /// Inserts and posts a receipt once. Without a replica it has no slices.
    pub(crate) fn insert(
        &mut self,
        replica: Option<u32>,
        receipt: &Receipt,
    ) -> Result<(), Refused> {
        match self.receipt(receipt.request) {
            Some(there) if there == receipt => return Ok(()),
            Some(_) => return Err(Refused::Conflict(receipt.request)),
            None => {}
        }
        let charge = receipt.charge;
        self.by_request.insert(receipt.request, self.receipts.len());
        self.receipts.push(receipt.clone());
        let customer = Book::Customer(receipt.account);
        self.transaction(
            Kind::Usage,
            &[
                (customer, -charge),
                (Book::Cost, receipt.cost),
                (Book::Commission, receipt.commission),
                (Book::Absorbed, -receipt.absorbed),
            ],
        );
        let mut direct = charge;
        for scope in receipt.scopes.iter() {
            let slice = replica.and_then(|replica| self.slices.get_mut(&(replica, *scope)));
            // Less than all only where there is no slice any more, or a copy of the folder has given some of it back.
            let covered = slice.map_or(0, |slice| {
                let covered = charge.min(slice.granted - slice.spent);
                slice.spent += covered;
                covered
            });
            self.lease(*scope, -covered)?;
            match scope.kind {
                ScopeKind::Account => direct = charge - covered,
                ScopeKind::Budget => {
                    let row = self.periods.entry(*scope).or_default();
                    row.used += charge;
                    // Late, and past the limit: the row says what is true.
                    row.ceiling = row.ceiling.max(row.used + row.leased);
                }
            }
        }
        let account = self.account_mut(receipt.account)?;
        account.posted -= charge - direct;
        let absorbed =
            if account.prepaid { direct - direct.min(account.available().max(0)) } else { 0 };
        account.posted += absorbed - direct;
        self.transaction(Kind::Absorb, &[(customer, absorbed), (Book::Absorbed, -absorbed)]);
        Ok(())
    }
}
