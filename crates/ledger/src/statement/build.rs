//! How a statement is put together: receipts one by one, then seals, then prices.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Amount, CURRENCY, Correction, Document, FORMAT, Item, ModelLine, Party, PriceList, Priced,
    Proof, Span, Statement, Sums, VERSION,
};
use crate::catalogue::Catalogue;
use crate::merkle::{self, Hash};
use crate::receipt::Receipt;
use crate::seal::Seal;
use crate::usage::Meter;

/// Whose statement, of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who has used it.
    pub user: Party,
    /// Whose money.
    pub account_id: Uuid,
    /// Which receipts: an end of `i64::MAX` stands for the moment itself, or the last receipt where that is later.
    pub period: Span,
    /// When, microseconds since 1970.
    pub made_at: i64,
}

/// Whether a statement holds each receipt, or their sums alone.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Each: what can be verified.
    Receipts,
    /// Sums: what people read.
    Sums,
}

/// A price version to take prices from.
#[derive(Clone, Debug)]
pub struct PriceSource {
    /// Its number.
    pub version: i64,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Where it came from.
    pub source: String,
    /// Its prices.
    pub catalogue: Catalogue,
}

/// Sums as they grow.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    receipts: u64,
    input_tokens: i128,
    output_tokens: i128,
    cache_read_tokens: i128,
    reasoning_tokens: i128,
    cost: i128,
    commission: i128,
    charge: i128,
    absorbed: i128,
    /// None where no own key was called with.
    direct: Option<i128>,
}

impl Tally {
    /// No sum of counters or amounts of 64 bits comes near the end of 128.
    pub(super) fn add(&mut self, receipt: &Receipt) {
        let usage = receipt.report.total();
        self.receipts = self.receipts.saturating_add(1);
        for (sum, count) in [
            (&mut self.input_tokens, usage.input_tokens()),
            (&mut self.output_tokens, usage.output_tokens()),
            (&mut self.cache_read_tokens, usage.get(Meter::CacheRead)),
            (&mut self.reasoning_tokens, usage.get(Meter::Reasoning)),
        ] {
            *sum = sum.saturating_add(count.into());
        }
        for (sum, amount) in [
            (&mut self.cost, receipt.cost),
            (&mut self.commission, receipt.commission),
            (&mut self.charge, receipt.charge),
            (&mut self.absorbed, receipt.absorbed),
        ] {
            *sum = sum.saturating_add(amount.pico().into());
        }
        if let Some(direct) = receipt.report.direct() {
            let sum = self.direct.get_or_insert_default();
            *sum = sum.saturating_add(direct.pico().into());
        }
    }

    pub(super) fn sums(&self) -> Sums {
        Sums {
            receipts: self.receipts,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cache_read_tokens: self.cache_read_tokens,
            reasoning_tokens: self.reasoning_tokens,
            cost: Amount::from(self.cost),
            commission: Amount::from(self.commission),
            charge: Amount::from(self.charge),
            absorbed: Amount::from(self.absorbed),
            direct: self.direct.map(Amount::from),
        }
    }
}

/// The sums of a statement, from its receipts: for whoever writes one and for whoever checks it.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    lines: BTreeMap<String, BTreeMap<String, Tally>>,
    whole: Tally,
    commission_bps: BTreeSet<u32>,
}

impl Totals {
    pub(super) fn add(&mut self, receipt: &Receipt) {
        self.whole.add(receipt);
        self.commission_bps.insert(receipt.commission_bps);
        // Names are copied only where they are new.
        if !self.lines.contains_key(&receipt.provider) {
            self.lines.insert(receipt.provider.clone(), BTreeMap::new());
        }
        if let Some(models) = self.lines.get_mut(&receipt.provider) {
            match models.get_mut(&receipt.model) {
                Some(tally) => tally.add(receipt),
                None => models.entry(receipt.model.clone()).or_default().add(receipt),
            }
        }
    }

    pub(super) fn whole(&self) -> Sums {
        self.whole.sums()
    }

    pub(super) fn commission_bps(&self) -> Vec<u32> {
        self.commission_bps.iter().copied().collect()
    }

    pub(super) fn lines(&self) -> Vec<ModelLine> {
        let lines = self.lines.iter().flat_map(|(provider, models)| {
            models.iter().map(move |(model, tally)| ModelLine {
                provider: provider.clone(),
                model: model.clone(),
                sums: tally.sums(),
            })
        });
        lines.collect()
    }
}

/// The models that receipts were priced with, by version, provider and name.
type Used = BTreeMap<i64, BTreeSet<(String, String)>>;

/// A statement in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    head: Head,
    kept: Kept,
    totals: Totals,
    used: Used,
    /// The last receipt's model, whose successors are mostly the same.
    latest: Option<(i64, String, String)>,
    last_start: i64,
    /// Where the receipts without proof are, by content hash.
    unproved: HashMap<Hash, usize>,
    seals: Vec<Seal>,
    receipts: Vec<Item>,
    corrections: Vec<Correction>,
}

impl Builder {
    /// A statement without receipts.
    pub fn new(head: Head, kept: Kept) -> Self {
        Self {
            last_start: head.period.from,
            head,
            kept,
            totals: Totals::default(),
            used: Used::new(),
            latest: None,
            unproved: HashMap::new(),
            seals: Vec::new(),
            receipts: Vec::new(),
            corrections: Vec::new(),
        }
    }

    /// Adds a correction of the period.
    pub fn correct(&mut self, correction: Correction) {
        self.corrections.push(correction);
    }

    /// Adds a receipt as it is stored; they come by ascending request and attempt.
    pub fn add(&mut self, receipt: &Receipt, report: String, content_hash: Hash) {
        self.totals.add(receipt);
        self.note_models(receipt);
        self.last_start = self.last_start.max(receipt.started_at);
        self.unproved.insert(content_hash, self.receipts.len());
        if self.kept == Kept::Receipts {
            self.receipts.push(Item::new(receipt, report, content_hash));
        }
    }

    fn note_models(&mut self, receipt: &Receipt) {
        let version = receipt.price_version;
        for pass in &receipt.report.passes {
            let model = pass.model.as_ref().unwrap_or(&receipt.model);
            let same = |(v, p, m): &(i64, String, String)| {
                *v == version && *p == receipt.provider && m == model
            };
            if !self.latest.as_ref().is_some_and(same) {
                let (provider, model) = (receipt.provider.clone(), model.clone());
                self.latest = Some((version, provider.clone(), model.clone()));
                self.used.entry(version).or_default().insert((provider, model));
            }
        }
    }

    /// Adds a seal and what it seals, and with it the proof of every receipt of the statement that is among them.
    pub fn prove(&mut self, seal: Seal, leaves: &[Hash]) {
        let ours = leaves
            .iter()
            .enumerate()
            .filter_map(|(leaf, hash)| Some((leaf, self.unproved.remove(hash)?)));
        let (places, items): (Vec<usize>, Vec<usize>) = ours.unzip();
        if places.is_empty() {
            return;
        }
        if self.kept == Kept::Receipts {
            let paths = merkle::paths(leaves, &places);
            for ((place, item), path) in places.into_iter().zip(items).zip(paths) {
                if let (Some(item), Ok(leaf)) = (self.receipts.get_mut(item), u32::try_from(place))
                {
                    item.proof = Some(Proof { seal: seal.hash, leaf, path });
                }
            }
        }
        self.seals.push(seal);
    }

    /// The versions whose prices [`Builder::finish`] needs.
    pub fn price_versions(&self) -> Vec<i64> {
        self.used.keys().copied().collect()
    }

    /// The statement, with the prices that its receipts name.
    pub fn finish(self, prices: &[PriceSource]) -> Statement {
        let Self { head, totals, used, mut seals, receipts, mut corrections, unproved, .. } = self;
        seals.sort_by_key(|seal| (seal.replica, seal.number));
        corrections.sort_by_key(|correction| (correction.at, correction.id));
        let period = match head.period {
            Span { from, to: i64::MAX } => {
                Span { from, to: head.made_at.max(self.last_start.saturating_add(1)) }
            }
            known => known,
        };
        let lists =
            prices.iter().filter_map(|list| Some(price_list(list, used.get(&list.version)?)));
        let mut prices: Vec<PriceList> = lists.collect();
        prices.sort_by_key(|list| list.version);
        Statement {
            format: FORMAT.to_owned(),
            version: VERSION,
            user: head.user,
            account_id: head.account_id,
            period,
            currency: CURRENCY.to_owned(),
            made_at: head.made_at,
            commission_bps: totals.commission_bps(),
            totals: totals.whole(),
            unproved: unproved.len() as u64,
            lines: totals.lines(),
            corrections,
            prices,
            seals,
            receipts,
        }
    }
}

/// A model that the list lacks is left out: it has no price here either.
fn price_list(list: &PriceSource, used: &BTreeSet<(String, String)>) -> PriceList {
    let models = used.iter().filter_map(|(provider, model)| {
        let price = list.catalogue.get(provider, model)?.price.clone();
        Some(Priced { provider: provider.clone(), model: model.clone(), price })
    });
    PriceList {
        version: list.version,
        sha256: list.sha256.clone(),
        source: list.source.clone(),
        models: models.collect(),
    }
}

impl From<Statement> for Document {
    /// The statement with its digest.
    fn from(bill: Statement) -> Self {
        let sha256 = bill.digest();
        Self { bill, sha256 }
    }
}

impl Statement {
    /// What is to be paid: the charges, less what was taken back.
    pub fn due(&self) -> Amount {
        let back: i128 = self.corrections.iter().map(|correction| correction.amount.pico).sum();
        Amount::from(self.totals.charge.pico.saturating_sub(back))
    }

    /// SHA-256 of the statement as JSON without white space.
    pub fn digest(&self) -> Hash {
        let mut hasher = Hashing(Sha256::new());
        // Neither a statement nor a hash function refuses anything.
        let _ = serde_json::to_writer(&mut hasher, self);
        hasher.0.finalize().into()
    }
}

/// Hashes what is written.
struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
