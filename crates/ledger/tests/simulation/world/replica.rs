//! One replica: its folder with the journal, and the process that works on it, with the real purse.

use std::collections::BTreeMap;
use std::rc::Rc;

use ledger::{
    Demand, Meter, ModelPrice, Purse, Rates, Scope, Tariff, Terms, UnitPrice, Usage, Usd,
};
use uuid::Uuid;

use super::Fault;
use super::books::Receipt;

/// What stands in a journal. A hold that is extended is written once more.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Boot,
    Hold(Hold),
    Dispatched(u32),
    Progress(u32, u64),
    Settled(Receipt),
    Void(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) request: u32,
    pub(crate) account: Uuid,
    pub(crate) scopes: Rc<[Scope]>,
    /// What is held; nothing for a request that needs no hold.
    pub(crate) bound: Option<i64>,
    pub(crate) price: Price,
    pub(crate) input: u64,
}

/// What a token costs, and the commission.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Price {
    pub(crate) input: i64,
    pub(crate) output: i64,
    pub(crate) bps: u32,
}

impl Price {
    fn model(self) -> Result<ModelPrice, Fault> {
        let mut rates = Rates::default();
        for (meter, pico) in [(Meter::Input, self.input), (Meter::Output, self.output)] {
            let price = UnitPrice::from_pico(pico);
            rates.set(meter, price.ok_or_else(|| Fault::new("price", "negative"))?);
        }
        let rates = vec![(ledger::Condition::default(), rates)];
        Ok(ModelPrice {
            tariffs: vec![Tariff { valid_from: None, rates }],
            ..ModelPrice::default()
        })
    }

    pub(crate) fn bound(self, input_tokens: u64, output_tokens: u64) -> Result<i64, Fault> {
        let demand = Demand { input_tokens, output_tokens, ..Demand::default() };
        let bound = ledger::bound(&self.model()?, &demand, 0, self.bps);
        bound.map(Usd::pico).map_err(|error| Fault::new("price", error))
    }

    /// Cost and commission.
    pub(crate) fn owed(self, input: u64, output: u64) -> Result<(i64, i64), Fault> {
        let usage = Usage::of(&[(Meter::Input, input), (Meter::Output, output)]);
        let cost = self.model()?.price(&usage, &Terms::default());
        let cost = cost.map_err(|error| Fault::new("price", error))?.total;
        let commission = cost.share(self.bps).map_err(|error| Fault::new("price", error))?;
        Ok((cost.pico(), commission.pico()))
    }
}

/// A data folder. It outlives the process, and somebody may copy it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folder {
    pub(crate) replica: u32,
    pub(crate) epoch: i64,
    pub(crate) journal: Vec<Record>,
    /// So many records survive a power cut. Only they are applied.
    pub(crate) synced: usize,
    /// Another has taken the epoch that this one knows of.
    pub(crate) stuck: bool,
    /// A copy that has not yet begun an epoch of its own.
    pub(crate) copy: bool,
    /// What was written before here came after a release, or before a copy was taken: perhaps no slice covers it.
    pub(crate) late: usize,
}

/// An open hold, as a journal tells it.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) hold: Hold,
    pub(crate) dispatched: bool,
    pub(crate) delivered: u64,
}

impl Folder {
    /// The holds without an end.
    ///
    /// # Errors
    /// I8: a second end, or one without a hold.
    pub(crate) fn open(&self) -> Result<BTreeMap<u32, Open>, Fault> {
        let mut open: BTreeMap<u32, Open> = BTreeMap::new();
        for record in &self.journal {
            match record {
                Record::Boot => {}
                Record::Hold(hold) => {
                    let new = Open { hold: hold.clone(), dispatched: false, delivered: 0 };
                    open.entry(hold.request).or_insert(new).hold.bound = hold.bound;
                }
                Record::Dispatched(request) => {
                    if let Some(known) = open.get_mut(request) {
                        known.dispatched = true;
                    }
                }
                Record::Progress(request, delivered) => {
                    if let Some(known) = open.get_mut(request) {
                        known.delivered = *delivered;
                    }
                }
                Record::Settled(Receipt { request, .. }) | Record::Void(request) => {
                    let known = open.remove(request);
                    known.ok_or_else(|| {
                        Fault::new("I8", format!("request {request} ends without a hold"))
                    })?;
                }
            }
        }
        Ok(open)
    }

    /// What the cursor has not passed: sequence numbers from 1, with the receipts.
    pub(crate) fn behind(
        &self,
        cursor: usize,
    ) -> impl Iterator<Item = (usize, Option<&Receipt>)> + '_ {
        self.journal.iter().enumerate().skip(cursor).map(|(place, record)| match record {
            Record::Settled(receipt) => (place + 1, Some(receipt)),
            _ => (place + 1, None),
        })
    }

    /// Ends what a crash has left open: nothing is billed that was not delivered.
    pub(crate) fn end_open(&mut self) -> Result<(), Fault> {
        for (request, open) in self.open()? {
            let record = if open.dispatched {
                Record::Settled(receipt(&open.hold, open.delivered, open.delivered, |owed| {
                    match open.hold.bound {
                        // Nothing came: the provider may charge for the prompt, the customer pays nothing.
                        _ if open.delivered == 0 => Ok(0),
                        Some(bound) if owed > bound => Err(Fault::new(
                            "I11",
                            format!("{request}: more was forwarded than was held for"),
                        )),
                        _ => Ok(owed),
                    }
                })?)
            } else {
                Record::Void(request)
            };
            self.journal.push(record);
        }
        Ok(())
    }
}

/// The receipt of a request of which `output` tokens are owed. `charge` says how much of it the customer pays.
pub(crate) fn receipt(
    hold: &Hold,
    delivered: u64,
    output: u64,
    charge: impl FnOnce(i64) -> Result<i64, Fault>,
) -> Result<Receipt, Fault> {
    let (cost, commission) = hold.price.owed(hold.input, output)?;
    // I13: a stream that is cut earlier costs no more.
    let (early, share) = hold.price.owed(hold.input, delivered.min(output))?;
    if early + share > cost + commission {
        return Err(Fault::new("I13", "less output costs more"));
    }
    let charge = charge(cost + commission)?;
    // What was found free beyond the hold was taken as an extension of it.
    let bound = hold.bound.map(|bound| bound.max(charge));
    Ok(Receipt {
        request: hold.request,
        account: hold.account,
        scopes: Rc::clone(&hold.scopes),
        bound,
        cost,
        commission,
        charge,
        absorbed: cost + commission - charge,
    })
}

/// A request that a process works on.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) hold: Hold,
    pub(crate) dispatched: bool,
    pub(crate) delivered: u64,
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) folder: usize,
    pub(crate) replica: u32,
    pub(crate) epoch: i64,
    pub(crate) purse: Purse,
    pub(crate) open: Vec<Request>,
    /// When it last reached the ledger.
    pub(crate) contact: i64,
    /// The ledger has told it that its epoch is over: it takes no more requests.
    pub(crate) fenced: bool,
    /// How far the ledger has told it that it has applied.
    pub(crate) confirmed: usize,
}

impl Process {
    pub(crate) fn id(&self) -> (u32, i64) {
        (self.replica, self.epoch)
    }

    /// Whether it may take requests: not fenced, and in touch within four hours.
    pub(crate) fn may_spend(&self, now: i64) -> bool {
        !self.fenced && now - self.contact <= 4 * super::state::HOUR
    }
}
