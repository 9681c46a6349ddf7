//! What may happen, one thing at a time.

use std::rc::Rc;

use ledger::{Scope, ScopeKind, Usd};

use super::Fault;
use super::books::{Kind, Receipt, Refused, Released};
use super::replica::{Folder, Hold, Price, Process, Record, Request, receipt};
use super::state::{Answer, HOUR, Message, SECOND, World};

fn usd(pico: i64) -> Usd {
    Usd::from_pico(pico)
}

impl World {
    pub(crate) fn step(&mut self) -> Result<(), Fault> {
        if let Some(process) = self.some_process() {
            match self.dice.below(100) {
                0..22 => return self.request(process),
                22..48 => return self.go_on(process),
                48..60 => return self.finish(process),
                60..72 => return self.apply_some(process),
                72..78 => {
                    self.sync(process);
                    return Ok(());
                }
                78..82 => return self.poll(process),
                82..85 => return self.refill(process),
                85..88 => return self.idle(process),
                88..90 => {
                    self.crash(process);
                    return Ok(());
                }
                _ => {}
            }
        }
        match self.dice.below(20) {
            0..4 => self.start(),
            4..8 => self.money(),
            8..10 => {
                self.limits();
                Ok(())
            }
            10..13 => self.arrive(),
            13..16 => self.time(),
            16 => {
                self.copy();
                Ok(())
            }
            17 => self.release(),
            _ => self.heartbeats(80),
        }
    }

    fn some_process(&mut self) -> Option<usize> {
        let count = self.processes.len();
        (count > 0).then(|| self.dice.below(count))
    }

    fn hear(&mut self, process: usize, answer: Answer) {
        if answer == Answer::Fenced {
            self.processes[process].fenced = true;
        }
    }

    fn write(&mut self, process: usize, record: Record) {
        let folder = self.processes[process].folder;
        self.say(|_| format!("  folder {folder} + {record:?}"));
        self.folders[folder].journal.push(record);
    }

    // Requests

    fn scopes(&mut self, account: uuid::Uuid) -> Rc<[Scope]> {
        let now = self.now;
        // Sometimes the replica has not yet heard that the account is prepaid by now.
        let prepaid = self.ledger.account(account).prepaid && !self.dice.percent(5);
        let credit = Scope { kind: ScopeKind::Account, id: account, period_start: 0 };
        let budgets = self.ledger.budgets.iter().filter(|(_, budget)| budget.account == account);
        let budgets = budgets.map(|(id, budget)| Scope {
            kind: ScopeKind::Budget,
            id: *id,
            period_start: budget.period.start(now),
        });
        prepaid.then_some(credit).into_iter().chain(budgets).collect()
    }

    fn request(&mut self, place: usize) -> Result<(), Fault> {
        let account = self.accounts[self.dice.below(self.accounts.len())];
        let scopes = self.scopes(account);
        let price = Price {
            input: self.dice.amount(0, 4),
            output: self.dice.amount(1, 6),
            bps: u32::try_from(self.dice.amount(0, 2_000)).unwrap_or_default(),
        };
        let input = self.dice.amount(0, 40).unsigned_abs();
        let output = self.dice.amount(0, 40).unsigned_abs();
        let bound = price.bound(input, output)?;
        self.say(|world| {
            format!("replica {} asks for {bound} of {scopes:?}", world.processes[place].replica)
        });
        self.tally.requests += 1;
        if !self.hold(place, &scopes, bound)? {
            self.tally.refused += 1;
            return Ok(());
        }
        let bound = (!scopes.is_empty()).then_some(bound);
        self.requests += 1;
        let hold = Hold { request: self.requests, account, scopes, bound, price, input };
        self.write(place, Record::Hold(hold.clone()));
        self.processes[place].open.push(Request { hold, dispatched: false, delivered: 0 });
        Ok(())
    }

    /// Takes a hold, or more of one, with a grant where the slices do not suffice.
    fn hold(&mut self, place: usize, scopes: &[Scope], amount: i64) -> Result<bool, Fault> {
        for _ in 0..4 {
            let process = &mut self.processes[place];
            // Nor is a stream's hold extended by a process that may be taken for dead.
            if !process.may_spend(self.now) {
                break;
            }
            let Err(short) = process.purse.hold(scopes, usd(amount)) else {
                self.entitled(place)?;
                return Ok(true);
            };
            let least = amount - short.free.pico();
            let (of, scope, want) = (process.id(), short.scope, least.max(amount * 4));
            let answer = self.send(Message::Grant { of, scope, least, want })?;
            self.hear(place, answer);
            match answer {
                Answer::Granted(0) => {
                    self.ledger.recall(scope, Some(of.0));
                    break;
                }
                Answer::Granted(amount) => self.granted(place, scope, amount)?,
                _ => break,
            }
        }
        Ok(false)
    }

    fn granted(&mut self, place: usize, scope: Scope, amount: i64) -> Result<(), Fault> {
        let purse = &mut self.processes[place].purse;
        purse.granted(scope, usd(amount)).map_err(|error| Fault::new("purse", error))
    }

    /// I20: what a fenced replica had is somebody else's by now. Only an operator's word, or a copy of the folder, may
    /// fence one that still spends, and it hears of it at its next call.
    fn entitled(&mut self, place: usize) -> Result<(), Fault> {
        let process = &self.processes[place];
        let row = self.ledger.replicas.get(&process.replica).copied().unwrap_or_default();
        let silent = row.epoch == process.epoch && row.released == Some(Released::Silent);
        if silent || process.fenced {
            return Err(Fault::new(
                "I20",
                format!("replica {} holds after its release", process.replica),
            ));
        }
        if row.epoch != process.epoch || row.released.is_some() {
            self.tally.zombies += 1;
        }
        Ok(())
    }

    fn some_request(&mut self, place: usize) -> Option<usize> {
        let count = self.processes[place].open.len();
        (count > 0).then(|| self.dice.below(count))
    }

    /// A request is sent, or given up, or some more of its answer comes.
    fn go_on(&mut self, place: usize) -> Result<(), Fault> {
        let Some(at) = self.some_request(place) else { return Ok(()) };
        let request = &mut self.processes[place].open[at];
        let id = request.hold.request;
        if !request.dispatched {
            if self.dice.percent(10) {
                let request = self.processes[place].open.swap_remove(at);
                return self.void(place, &request);
            }
            self.processes[place].open[at].dispatched = true;
            self.write(place, Record::Dispatched(id));
            return Ok(());
        }
        let delivered = request.delivered + self.dice.amount(1, 12).unsigned_abs();
        let hold = request.hold.clone();
        let (cost, commission) = hold.price.owed(hold.input, delivered)?;
        let more = cost + commission - hold.bound.unwrap_or(i64::MAX);
        if more > 0 && !self.extend(place, at, more)? {
            // No more is forwarded than what is held for.
            return self.settle(place, at, None);
        }
        // Written before it is forwarded.
        self.write(place, Record::Progress(id, delivered));
        self.processes[place].open[at].delivered = delivered;
        self.delivered.insert(id);
        Ok(())
    }

    fn extend(&mut self, place: usize, at: usize, more: i64) -> Result<bool, Fault> {
        let mut hold = self.processes[place].open[at].hold.clone();
        let extended = self.hold(place, &hold.scopes, more)?;
        if extended {
            hold.bound = hold.bound.map(|bound| bound + more);
            self.processes[place].open[at].hold = hold.clone();
            self.write(place, Record::Hold(hold));
        }
        Ok(extended)
    }

    fn void(&mut self, place: usize, request: &Request) -> Result<(), Fault> {
        let hold = &request.hold;
        let purse = &mut self.processes[place].purse;
        let done = purse.void(&hold.scopes, usd(hold.bound.unwrap_or(0)), 0);
        done.map_err(|error| Fault::new("purse", error))?;
        self.write(place, Record::Void(hold.request));
        Ok(())
    }

    fn finish(&mut self, place: usize) -> Result<(), Fault> {
        let Some(at) = self.some_request(place) else { return Ok(()) };
        let Request { dispatched, delivered, .. } = self.processes[place].open[at];
        if !dispatched || (delivered == 0 && self.dice.percent(50)) {
            let request = self.processes[place].open.swap_remove(at);
            return self.void(place, &request);
        }
        let output = match self.dice.below(10) {
            0..6 => delivered,
            6..9 => delivered + self.dice.amount(0, 40).unsigned_abs(),
            _ => delivered / 2 + 1,
        };
        self.settle(place, at, Some(output))
    }

    /// Ends a request with what the provider says, or with what was delivered.
    fn settle(&mut self, place: usize, at: usize, output: Option<u64>) -> Result<(), Fault> {
        let hold = self.processes[place].open[at].hold.clone();
        let delivered = self.processes[place].open[at].delivered;
        let output = output.unwrap_or(delivered);
        let (cost, commission) = hold.price.owed(hold.input, output)?;
        let more = cost + commission - hold.bound.unwrap_or(i64::MAX);
        if more > 0 && self.dice.percent(50) {
            self.extend(place, at, more)?;
        }
        let Request { hold, .. } = self.processes[place].open.swap_remove(at);
        let purse = &mut self.processes[place].purse;
        let settled = receipt(&hold, delivered, output, |owed| {
            let held = usd(hold.bound.unwrap_or(0));
            let charge = purse.settle(&hold.scopes, held, usd(owed), 0);
            charge.map(Usd::pico).map_err(|error| Fault::new("purse", error))
        })?;
        self.tally.absorbed += u64::from(settled.absorbed > 0);
        self.write(place, Record::Settled(settled));
        Ok(())
    }

    // What a process does beside requests

    fn apply_some(&mut self, place: usize) -> Result<(), Fault> {
        let Process { folder, confirmed, .. } = self.processes[place];
        let of = self.processes[place].id();
        let batch = self.batch(folder, confirmed);
        let Some((last, _)) = batch.last() else { return Ok(()) };
        let last = *last;
        if self.ledger.replicas.get(&of.0).is_some_and(|row| row.released.is_some()) {
            self.tally.late += 1;
        }
        let answer = self.send(Message::Apply { of, batch })?;
        self.hear(place, answer);
        if answer == Answer::Done {
            self.processes[place].confirmed = last;
        }
        Ok(())
    }

    fn sync(&mut self, place: usize) {
        let folder = &mut self.folders[self.processes[place].folder];
        folder.synced = folder.journal.len();
    }

    /// Asks for what is recalled, and gives it back.
    fn poll(&mut self, place: usize) -> Result<(), Fault> {
        let (replica, epoch) = self.processes[place].id();
        match self.ledger.recalled(replica, epoch) {
            Ok(scopes) => scopes.into_iter().try_for_each(|scope| self.give_back(place, scope, 0)),
            Err(Refused::Fault(fault)) => Err(fault),
            Err(_) => {
                self.hear(place, Answer::Fenced);
                Ok(())
            }
        }
    }

    fn idle(&mut self, place: usize) -> Result<(), Fault> {
        let keep = self.dice.amount(0, 50);
        let idle = self.processes[place].purse.idle();
        idle.into_iter().try_for_each(|scope| self.give_back(place, scope, keep))
    }

    /// First out of the purse, then into the ledger. Where the answer is lost, it is not sent again. Synced before: a
    /// power cut would open holds again whose credit is gone.
    fn give_back(&mut self, place: usize, scope: Scope, keep: i64) -> Result<(), Fault> {
        let process = &mut self.processes[place];
        let of = process.id();
        let amount = process.purse.take_back(scope, usd(keep)).pico();
        if amount > 0 {
            self.sync(place);
            let answer = self.send(Message::GiveBack { of, scope, amount })?;
            self.hear(place, answer);
        }
        Ok(())
    }

    fn refill(&mut self, place: usize) -> Result<(), Fault> {
        let process = &self.processes[place];
        let wanting = process
            .purse
            .slices()
            .map(|(scope, _)| scope)
            .find(|scope| process.purse.wants(*scope));
        let (Some(scope), false) = (wanting, process.fenced) else { return Ok(()) };
        let (of, want) = (process.id(), self.dice.amount(1, 400));
        let answer = self.send(Message::Grant { of, scope, least: 1, want })?;
        self.hear(place, answer);
        match answer {
            Answer::Granted(amount) if amount > 0 => self.granted(place, scope, amount),
            _ => Ok(()),
        }
    }

    fn crash(&mut self, place: usize) {
        let process = self.processes.swap_remove(place);
        self.tally.crashes += 1;
        let folder = &mut self.folders[process.folder];
        let power = self.dice.percent(30);
        if power {
            for record in folder.journal.drain(folder.synced..) {
                match record {
                    Record::Boot => {}
                    Record::Hold(Hold { request, .. })
                    | Record::Dispatched(request)
                    | Record::Progress(request, _)
                    | Record::Settled(Receipt { request, .. })
                    | Record::Void(request) => {
                        self.lost.insert(request);
                    }
                }
            }
        }
        self.say(|_| format!("replica {} crashes; power cut: {power}", process.replica));
    }

    // The world around

    /// Starts a folder without a process. A process that knows that it is fenced is started anew.
    fn start(&mut self) -> Result<(), Fault> {
        self.processes.retain(|process| !process.fenced || !process.open.is_empty());
        let running =
            |world: &Self, place| world.processes.iter().any(|process| process.folder == place);
        let stopped: Vec<usize> = (0..self.folders.len())
            .filter(|place| !self.folders[*place].stuck && !running(self, *place))
            .collect();
        match stopped.get(self.dice.below(stopped.len())) {
            Some(place) => self.recover(*place),
            None => Ok(()),
        }
    }

    fn money(&mut self) -> Result<(), Fault> {
        let account = self.accounts[self.dice.below(self.accounts.len())];
        let amount = self.dice.amount(1, 1_000);
        match self.dice.below(8) {
            0..3 => self.act(Kind::TopUp, account, amount),
            3 => self.act(Kind::Promo, account, amount),
            4 => self.act(Kind::Refund, account, -amount),
            5 => {
                let amount = if self.dice.percent(50) { amount } else { -amount };
                self.act(Kind::Adjust, account, amount)
            }
            6 => {
                // Expires as far as nobody holds it.
                let available = self.ledger.account(account).available();
                self.act(Kind::Expire, account, -amount.min(available.max(0)))
            }
            _ => {
                let (prepaid, floor) = (self.dice.percent(70), -self.dice.amount(0, 300));
                let floor = if prepaid && self.dice.percent(30) { floor } else { 0 };
                let done = self.ledger.set_prepaid(account, prepaid, floor)?;
                self.say(|_| format!("{account} prepaid: {prepaid} with floor {floor}: {done}"));
                Ok(())
            }
        }
    }

    fn limits(&mut self) {
        let budgets: Vec<_> = self.ledger.budgets.keys().copied().collect();
        if let Some(budget) = budgets.get(self.dice.below(budgets.len())) {
            let limit = self.dice.amount(0, 3_000);
            self.ledger.set_limit(*budget, limit);
            self.say(|_| format!("budget {budget} is {limit}"));
        }
    }

    fn arrive(&mut self) -> Result<(), Fault> {
        if self.network.is_empty() {
            return Ok(());
        }
        let message = self.network.swap_remove(self.dice.below(self.network.len()));
        self.say(|_| "late:".to_owned());
        self.execute(&message).map(drop)
    }

    fn time(&mut self) -> Result<(), Fault> {
        let (most, reached) = match self.dice.below(10) {
            0..6 => (SECOND, 100),
            6..8 => (HOUR, 70),
            8 => (8 * HOUR, 60),
            _ => (50 * HOUR, 60),
        };
        self.now += self.dice.amount(1, most);
        self.heartbeats(reached)
    }

    fn heartbeats(&mut self, reached: usize) -> Result<(), Fault> {
        for place in 0..self.processes.len() {
            if !self.dice.percent(reached) {
                continue;
            }
            let (replica, epoch) = self.processes[place].id();
            match self.ledger.heartbeat(replica, epoch, self.now) {
                // The answer may be lost.
                Ok(()) if self.dice.percent(90) => self.processes[place].contact = self.now,
                Ok(()) => {}
                Err(Refused::Fault(fault)) => return Err(fault),
                Err(_) => self.hear(place, Answer::Fenced),
            }
        }
        Ok(())
    }

    /// Somebody copies a folder, with or without a process on it.
    fn copy(&mut self) {
        if self.folders.len() < 6 && self.dice.percent(40) {
            let place = self.dice.below(self.folders.len());
            let folder = self.folders[place].clone();
            let synced = folder.journal.len();
            self.say(|world| format!("folder {place} is copied to {}", world.folders.len()));
            self.folders.push(Folder { synced, copy: true, ..folder });
        }
    }

    /// What was silent for a day is released; or what an operator takes for dead, and may be wrong.
    fn release(&mut self) -> Result<(), Fault> {
        let replicas: Vec<u32> = self.ledger.replicas.keys().copied().collect();
        for replica in replicas {
            let Some(row) = self.ledger.replicas.get(&replica) else { continue };
            let why = if self.now - row.heartbeat > 24 * HOUR {
                Released::Silent
            } else if self.dice.percent(5) {
                Released::Operator
            } else {
                continue;
            };
            if row.released.is_none() {
                self.say(|_| format!("replica {replica} is released: {why:?}"));
                self.ledger.release(replica, why)?;
            }
        }
        Ok(())
    }
}
