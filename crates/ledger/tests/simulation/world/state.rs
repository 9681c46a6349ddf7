//! The whole: a ledger, folders and processes, and between them a network that loses answers and delivers late.

use std::collections::BTreeSet;

use ledger::{BudgetPeriod, Purse, Scope};
use uuid::Uuid;

use super::Fault;
use super::books::{Account, Budget, Kind, Ledger, Receipt, Refused, Released};
use super::check::{Audit, covered};
use super::dice::Dice;
use super::replica::{Folder, Process, Record};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const HOUR: i64 = 3_600 * SECOND;

/// What a process asks of the ledger.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Grant { of: (u32, i64), scope: Scope, least: i64, want: i64 },
    GiveBack { of: (u32, i64), scope: Scope, amount: i64 },
    Apply { of: (u32, i64), batch: Vec<(usize, Option<Receipt>)> },
}

/// What it hears.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(i64),
    Done,
    Fenced,
    /// Nothing: it was done, or not, or will be.
    Unknown,
}

/// What has happened in a run, so that a test can see that everything does.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    pub(crate) receipts: u64,
    pub(crate) crashes: u64,
    pub(crate) absorbed: u64,
    pub(crate) zombies: u64,
    pub(crate) conflicts: u64,
    pub(crate) late: u64,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) now: i64,
    pub(crate) ledger: Ledger,
    pub(crate) audit: Audit,
    pub(crate) folders: Vec<Folder>,
    pub(crate) processes: Vec<Process>,
    pub(crate) network: Vec<Message>,
    pub(crate) accounts: Vec<Uuid>,
    pub(crate) requests: u32,
    /// Of which a client has read something.
    pub(crate) delivered: BTreeSet<u32>,
    /// Of which a power cut has taken something, or that two copies of a folder tell differently.
    pub(crate) lost: BTreeSet<u32>,
    pub(crate) tally: Tally,
    pub(crate) trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, traced: bool) -> Result<Self, Fault> {
        let mut world = Self {
            dice: Dice::new(seed),
            now: 1_795_564_800 * SECOND,
            ledger: Ledger::default(),
            audit: Audit::default(),
            folders: Vec::new(),
            processes: Vec::new(),
            network: Vec::new(),
            accounts: Vec::new(),
            requests: 0,
            delivered: BTreeSet::new(),
            lost: BTreeSet::new(),
            tally: Tally::default(),
            trace: traced.then(Vec::new),
        };
        for i in 0..=world.dice.below(3) {
            let id = Uuid::from_u128(i as u128 + 1);
            let prepaid = world.dice.percent(80);
            let floor = if world.dice.percent(15) { -world.dice.amount(1, 500) } else { 0 };
            world.ledger.accounts.insert(id, Account { prepaid, floor, ..Account::default() });
            world.accounts.push(id);
            let credit = world.dice.amount(0, 4_000);
            world.act(Kind::TopUp, id, credit)?;
            for j in 0..world.dice.below(3) {
                let budget = Uuid::from_u128((i * 10 + j + 100) as u128);
                let period = BudgetPeriod::ALL[world.dice.below(4)];
                let limit = world.dice.amount(0, 3_000);
                world.ledger.budgets.insert(budget, Budget { account: id, period, limit });
            }
        }
        for replica in 1..=1 + world.dice.below(3) {
            let replica = u32::try_from(replica).unwrap_or_default();
            world.folders.push(Folder { replica, ..Folder::default() });
        }
        Ok(world)
    }

    pub(crate) fn say(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let text = text(self);
            self.trace.get_or_insert_default().push(text);
        }
    }

    /// One business act, and what the books must say of it.
    pub(crate) fn act(&mut self, kind: Kind, account: Uuid, amount: i64) -> Result<(), Fault> {
        let done = self.ledger.act(kind, account, amount)?;
        if done {
            *self.audit.acts.entry(account).or_default() += amount;
        }
        self.say(|_| format!("{kind:?} {amount} of {account}: {done}"));
        Ok(())
    }

    pub(crate) fn check(&mut self) -> Result<(), Fault> {
        self.audit.look(&self.ledger)?;
        for (place, folder) in self.folders.iter().enumerate() {
            let process = self.processes.iter().find(|process| process.folder == place);
            covered(&self.ledger, folder, process)?;
        }
        for (place, process) in self.processes.iter().enumerate() {
            if self.processes.iter().skip(place + 1).any(|other| other.id() == process.id()) {
                return Err(Fault::new("I20", format!("two processes are {:?}", process.id())));
            }
        }
        Ok(())
    }

    // The network

    pub(crate) fn send(&mut self, message: Message) -> Result<Answer, Fault> {
        match self.dice.below(100) {
            0..5 => {
                self.say(|_| format!("  never arrives: {message:?}"));
                Ok(Answer::Unknown)
            }
            5..10 => {
                self.say(|_| "  the answer is lost".to_owned());
                self.execute(&message)?;
                Ok(Answer::Unknown)
            }
            10..14 => {
                self.say(|_| format!("  will arrive later: {message:?}"));
                self.network.push(message);
                Ok(Answer::Unknown)
            }
            14 => {
                self.say(|_| "  arrives twice".to_owned());
                let answer = self.execute(&message)?;
                // Only a batch may: its driver sends it again where it does not know.
                if matches!(message, Message::Apply { .. }) {
                    self.execute(&message)
                } else {
                    Ok(answer)
                }
            }
            _ => self.execute(&message),
        }
    }

    pub(crate) fn execute(&mut self, message: &Message) -> Result<Answer, Fault> {
        let live = i64::try_from(self.processes.len()).unwrap_or(1);
        let done = match message {
            Message::Grant { of, scope, least, want } => {
                let granted = self.ledger.grant(*of, *scope, (*least, *want), live);
                let limit = self.ledger.budgets.get(&scope.id).map(|budget| budget.limit);
                let row = self.ledger.periods.get(scope).copied().unwrap_or_default();
                if granted.as_ref().is_ok_and(|granted| *granted > 0)
                    && limit.is_some_and(|limit| row.used + row.leased > limit)
                {
                    return Err(Fault::new("I5", format!("granted past the limit: {row:?}")));
                }
                granted.map(Answer::Granted)
            }
            Message::GiveBack { of, scope, amount } => {
                self.ledger.give_back(*of, *scope, *amount).map(|()| Answer::Done)
            }
            Message::Apply { of, batch } => self.apply(*of, batch).map(|()| Answer::Done),
        };
        self.say(|_| format!("  {message:?}: {done:?}"));
        match done {
            Ok(answer) => Ok(answer),
            Err(Refused::Fenced) => Ok(Answer::Fenced),
            Err(Refused::Conflict(request)) => {
                Err(Fault::new("conflict", format!("two receipts of request {request}")))
            }
            Err(Refused::Fault(fault)) => Err(fault),
        }
    }

    fn apply(&mut self, of: (u32, i64), batch: &[(usize, Option<Receipt>)]) -> Result<(), Refused> {
        if !self.dice.percent(10) {
            return self.ledger.apply(of, batch);
        }
        // I14: in other cuts, and some of them twice.
        let mut other = self.ledger.clone();
        let mut rest = batch;
        while !rest.is_empty() {
            let cut = 1 + self.dice.below(rest.len());
            let again = batch.len() - rest.len() + cut;
            other.apply(of, &rest[..cut])?;
            if self.dice.percent(50) {
                other.apply(of, &batch[..again])?;
            }
            rest = &rest[cut..];
        }
        self.ledger.apply(of, batch)?;
        if other == self.ledger {
            return Ok(());
        }
        Err(Fault::new("I14", "the same journal in other cuts is another ledger").into())
    }

    // Starting and ending

    /// Starts a process on a folder; may be cut short anywhere, to be tried again.
    pub(crate) fn recover(&mut self, place: usize) -> Result<(), Fault> {
        let folder = &mut self.folders[place];
        let replica = folder.replica;
        let row = self.ledger.replicas.get(&replica).copied().unwrap_or_default();
        // An old copy: what has happened since is not in it, and its numbers would be given twice.
        if row.cursor > folder.journal.len() {
            folder.stuck = true;
            self.say(|_| format!("folder {place} is behind the ledger"));
            return Ok(());
        }
        let begun = self.ledger.begin_epoch(replica, folder.epoch, self.now);
        self.say(|_| format!("folder {place} of replica {replica} begins an epoch: {begun:?}"));
        let folder = &mut self.folders[place];
        let Ok(epoch) = begun else {
            folder.stuck = true;
            return Ok(());
        };
        if row.released.is_some() || std::mem::take(&mut folder.copy) {
            folder.end_open()?;
            folder.late = folder.journal.len();
        }
        if self.dice.percent(2) {
            return Ok(());
        }
        folder.epoch = epoch;
        folder.journal.push(Record::Boot);
        if self.dice.percent(5) {
            return Ok(());
        }
        folder.end_open()?;
        folder.synced = folder.journal.len();
        while !self.dice.percent(5) {
            let cursor = self.ledger.replicas.get(&replica).map_or(0, |row| row.cursor);
            let batch = self.batch(place, cursor);
            if batch.is_empty() {
                return self.open(place, (replica, epoch), cursor);
            }
            self.send(Message::Apply { of: (replica, epoch), batch })?;
        }
        self.say(|_| format!("folder {place} crashes while it recovers"));
        Ok(())
    }

    /// Everything is applied: what the epochs before have not spent goes back, and requests are taken.
    fn open(
        &mut self,
        folder: usize,
        (replica, epoch): (u32, i64),
        cursor: usize,
    ) -> Result<(), Fault> {
        match self.ledger.close_slices(replica, epoch) {
            Ok(()) => {}
            Err(Refused::Fault(fault)) => return Err(fault),
            Err(_) => return Ok(()),
        }
        if self.ledger.slices.keys().any(|(owner, _)| *owner == replica) {
            return Err(Fault::new("I3", format!("replica {replica} starts, and has slices")));
        }
        self.say(|_| format!("replica {replica} serves in epoch {epoch}"));
        self.processes.push(Process {
            folder,
            replica,
            epoch,
            purse: Purse::default(),
            open: Vec::new(),
            contact: self.now,
            fenced: false,
            confirmed: cursor,
        });
        Ok(())
    }

    /// What may be applied after `cursor`: synced records, and not all at once.
    pub(crate) fn batch(&mut self, folder: usize, cursor: usize) -> Vec<(usize, Option<Receipt>)> {
        let most = 1 + self.dice.below(12);
        let folder = &self.folders[folder];
        let synced = folder.behind(cursor).take_while(|(seq, _)| *seq <= folder.synced);
        synced.take(most).map(|(seq, receipt)| (seq, receipt.cloned())).collect()
    }

    // The end

    /// Lets everything come to rest, and looks that nothing is missing and nothing is left leased.
    pub(crate) fn rest(&mut self) -> Result<(), Fault> {
        self.say(|_| "everything comes to rest".to_owned());
        while let Some(message) = self.network.pop() {
            self.execute(&message)?;
        }
        self.processes.clear();
        for place in 0..self.folders.len() {
            let serves =
                |world: &Self| world.processes.iter().any(|process| process.folder == place);
            while !self.folders[place].stuck && !serves(self) {
                self.recover(place)?;
                self.check()?;
            }
            // It has recovered; the next one may be a copy of it.
            self.processes.retain(|process| process.folder != place);
        }
        while let Some(message) = self.network.pop() {
            self.execute(&message)?;
        }
        self.salvage()?;
        let replicas: Vec<u32> = self.ledger.replicas.keys().copied().collect();
        for replica in replicas {
            self.ledger.release(replica, Released::Operator)?;
        }
        self.check()?;
        let leased = self.ledger.accounts.values().map(|account| account.leased);
        let leased: i64 = leased.chain(self.ledger.periods.values().map(|row| row.leased)).sum();
        if leased != 0 {
            return Err(Fault::new("I3", format!("{leased} are still leased at the end")));
        }
        for request in self.delivered.difference(&self.lost) {
            let receipt = self.ledger.receipt(*request);
            let priced = receipt.is_some_and(|receipt| receipt.charge + receipt.absorbed > 0);
            if !priced {
                return Err(Fault::new(
                    "I9",
                    format!("request {request} was delivered: {receipt:?}"),
                ));
            }
        }
        self.tally.receipts += self.ledger.receipts.len() as u64;
        Ok(())
    }

    /// The operator posts what folders have that cannot start any more: first what they say, then what they left open.
    fn salvage(&mut self) -> Result<(), Fault> {
        for ended in [false, true] {
            for place in 0..self.folders.len() {
                if !self.folders[place].stuck {
                    continue;
                }
                let before = self.folders[place].journal.len();
                if ended {
                    self.folders[place].end_open()?;
                }
                let from = if ended { before } else { 0 };
                let receipts: Vec<Receipt> = self.folders[place]
                    .behind(from)
                    .filter_map(|(_, receipt)| receipt.cloned())
                    .collect();
                for receipt in receipts {
                    match self.ledger.insert(None, &receipt) {
                        Err(Refused::Fault(fault)) => return Err(fault),
                        Err(_) => {
                            // The copy of a folder has ended it already, without what came since.
                            self.tally.conflicts += 1;
                            self.lost.insert(receipt.request);
                        }
                        Ok(()) => {}
                    }
                }
            }
        }
        Ok(())
    }
}
