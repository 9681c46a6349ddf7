//! How a statement is checked: everything in it is worked out again, and the first difference is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::Serialize;

use super::build::Totals;
use super::{Amount, CURRENCY, Document, FORMAT, Item, PriceList, Statement, Sums, VERSION};
use crate::catalogue::{Catalogue, Model, ModelInfo};
use crate::content::Content;
use crate::hex::to_hex;
use crate::merkle::{self, Hash};
use crate::receipt::{Fault, Outcome, Receipt};
use crate::seal::{Seal, SealFault};

/// What a statement comes to, all of it worked out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The sums.
    pub totals: Sums,
    /// How many receipts lead to a seal.
    pub sealed: u64,
    /// How many had no price and were not charged.
    pub unpriced: u64,
    /// The keys that have signed the seals.
    pub public_keys: Vec<[u8; 32]>,
}

/// Where a statement is not what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{place}: {field} is {stated}, but {recomputed} when worked out again")]
pub struct Difference {
    /// A receipt, a line, a seal, or the document.
    pub place: String,
    /// Its field.
    pub field: String,
    /// What the file says.
    pub stated: String,
    /// What comes out.
    pub recomputed: String,
}

/// A place, named when something is wrong there.
pub(super) struct At<'a>(pub(super) &'a dyn Fn() -> String);

impl At<'_> {
    pub(super) fn differs(
        &self,
        field: &str,
        stated: impl Display,
        recomputed: impl Display,
    ) -> Difference {
        Difference {
            place: self.0(),
            field: field.to_owned(),
            stated: stated.to_string(),
            recomputed: recomputed.to_string(),
        }
    }

    pub(super) fn same<T: PartialEq + Display>(&self, field: &str, stated: &T, found: &T) -> Found {
        if stated == found { Ok(()) } else { Err(self.differs(field, stated, found)) }
    }

    /// Text and number of an amount, against each other and, where it is known, against what it should be.
    fn amount(&self, field: &str, stated: &Amount, found: Option<&Amount>) -> Found {
        let found = found.cloned().unwrap_or_else(|| Amount::from(stated.pico));
        self.same(&format!("{field}.pico"), &stated.pico, &found.pico)?;
        self.same(&format!("{field}.usd"), &stated.usd, &found.usd)
    }

    fn sums(&self, stated: &Sums, found: &Sums) -> Found {
        self.same("receipts", &stated.receipts, &found.receipts)?;
        for (field, stated, found) in [
            ("input_tokens", stated.input_tokens, found.input_tokens),
            ("output_tokens", stated.output_tokens, found.output_tokens),
            ("cache_read_tokens", stated.cache_read_tokens, found.cache_read_tokens),
            ("reasoning_tokens", stated.reasoning_tokens, found.reasoning_tokens),
        ] {
            self.same(field, &stated, &found)?;
        }
        self.amount("cost", &stated.cost, Some(&found.cost))?;
        self.amount("commission", &stated.commission, Some(&found.commission))?;
        self.amount("charge", &stated.charge, Some(&found.charge))?;
        self.amount("absorbed", &stated.absorbed, Some(&found.absorbed))?;
        match (&stated.direct, &found.direct) {
            (Some(stated), Some(found)) => self.amount("direct", stated, Some(found)),
            (stated, found) => {
                let is_there =
                    |sum: &Option<Amount>| if sum.is_some() { "there" } else { "not there" };
                self.same("direct", &is_there(stated), &is_there(found))
            }
        }
    }
}

type Found = Result<(), Difference>;

const DOCUMENT: At<'static> = At(&|| "the document".to_owned());

impl Document {
    /// Works everything out again. Where `trusted` keys are given, every receipt must lead to a seal that one of them has
    /// signed; where none are, seals must be right in themselves, and whose keys they are is for the reader to ask.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(&self, trusted: &[[u8; 32]]) -> Result<Summary, Difference> {
        let summary = self.bill.verify(trusted)?;
        let (stated, found) = (to_hex(&self.sha256), to_hex(&self.bill.digest()));
        DOCUMENT.same("sha256", &stated, &found)?;
        Ok(summary)
    }
}

impl Statement {
    fn verify(&self, trusted: &[[u8; 32]]) -> Result<Summary, Difference> {
        self.verify_head()?;
        let seals = self.verify_seals(trusted)?;
        let catalogues = self.catalogues()?;
        let mut totals = Totals::default();
        let (mut sealed, mut unpriced) = (0_u64, 0_u64);
        let mut before = None;
        for item in &self.receipts {
            let place = || format!("receipt {}/{}", item.request_id, item.attempt);
            let at = At(&place);
            // In order, so that none is there twice.
            if before.replace(item).is_some_and(|before| key(before) >= key(item)) {
                return Err(at.differs("request_id", "here", "not to stand behind the one before"));
            }
            let receipt = self.verify_item(item, &catalogues, &at)?;
            if verify_proof(item, &seals, &at)? {
                sealed = sealed.saturating_add(1);
            } else if !trusted.is_empty() {
                return Err(at.differs("proof", "missing", "asked for by the key given"));
            }
            unpriced = unpriced.saturating_add(u64::from(receipt.outcome == Outcome::Unpriced));
            totals.add(&receipt);
        }
        self.verify_totals(&totals, sealed)?;
        self.verify_corrections()?;
        let keys: BTreeSet<[u8; 32]> = self.seals.iter().map(|seal| seal.public_key).collect();
        let public_keys = keys.into_iter().collect();
        Ok(Summary { totals: totals.whole(), sealed, unpriced, public_keys })
    }

    fn verify_head(&self) -> Found {
        DOCUMENT.same("format", &self.format.as_str(), &FORMAT)?;
        DOCUMENT.same("version", &self.version, &VERSION)?;
        DOCUMENT.same("currency", &self.currency.as_str(), &CURRENCY)
    }

    /// The seals by their hash, each right in itself and linked to its neighbours.
    fn verify_seals(&self, trusted: &[[u8; 32]]) -> Result<BTreeMap<Hash, &Seal>, Difference> {
        let mut before: Option<&Seal> = None;
        for seal in &self.seals {
            let place = || format!("seal {} of replica {}", seal.number, seal.replica);
            let at = At(&place);
            match seal.check() {
                Ok(()) => {}
                Err(SealFault::Hash) => {
                    return Err(at.differs(
                        "hash",
                        to_hex(&seal.hash),
                        to_hex(&seal.content_hash()),
                    ));
                }
                Err(SealFault::Signature) => {
                    return Err(at.differs("signature", "there", "not one of its public_key"));
                }
            }
            if !trusted.is_empty() && !trusted.contains(&seal.public_key) {
                return Err(at.differs(
                    "public_key",
                    to_hex(&seal.public_key),
                    "not the one given",
                ));
            }
            if let Some(before) = before.replace(seal).filter(|b| b.replica == seal.replica) {
                if before.number >= seal.number {
                    return Err(at.differs("number", seal.number, "to follow the one before"));
                }
                let next = before.number.checked_add(1) == Some(seal.number);
                if next && !seal.follows(before) {
                    let (stated, found) = (to_hex(&seal.previous), to_hex(&before.hash));
                    return Err(at.differs("previous", stated, found));
                }
            }
        }
        if let Some(pair) = self.seals.windows(2).find(|pair| match pair {
            [a, b] => a.replica > b.replica,
            _ => false,
        }) {
            let replicas = pair.iter().map(|seal| seal.replica.to_string()).collect::<Vec<_>>();
            return Err(DOCUMENT.differs(
                "seals",
                replicas.join(" before "),
                "the other way round",
            ));
        }
        Ok(self.seals.iter().map(|seal| (seal.hash, seal)).collect())
    }

    /// The prices in the file, by version.
    pub(super) fn catalogues(&self) -> Result<BTreeMap<i64, Catalogue>, Difference> {
        let mut catalogues = BTreeMap::new();
        for PriceList { version, models, .. } in &self.prices {
            let catalogue: Catalogue = models
                .iter()
                .map(|priced| Model {
                    provider: priced.provider.clone(),
                    name: priced.model.clone(),
                    info: ModelInfo::default(),
                    price: priced.price.clone(),
                })
                .collect();
            let place = || format!("price version {version}");
            At(&place).same("models", &models.len(), &catalogue.len())?;
            if catalogues.insert(*version, catalogue).is_some() {
                return Err(At(&place).differs("version", "there twice", "there once"));
            }
        }
        Ok(catalogues)
    }

    /// What the receipt says, worked out again from its counters and prices, and its hash.
    fn verify_item(
        &self,
        item: &Item,
        catalogues: &BTreeMap<i64, Catalogue>,
        at: &At<'_>,
    ) -> Result<Receipt, Difference> {
        let amounts = [
            ("cost", &item.cost),
            ("commission", &item.commission),
            ("charge", &item.charge),
            ("absorbed", &item.absorbed),
        ];
        let bound = item.bound.iter().map(|bound| ("bound", bound));
        for (field, amount) in amounts.into_iter().chain(bound) {
            at.amount(field, amount, None)?;
        }
        at.same("account_id", &item.account_id, &self.account_id)?;
        if item.started_at < self.period.from || item.started_at >= self.period.to {
            let period = format!("from {} to {}", self.period.from, self.period.to);
            return Err(at.differs("started_at", item.started_at, period));
        }
        let unreadable = || at.differs("report", &item.report, "a report of what was used");
        let receipt = item.receipt().ok_or_else(unreadable)?;
        let nothing = Catalogue::default();
        let catalogue = match catalogues.get(&item.price_version) {
            Some(catalogue) => catalogue,
            // A receipt that has no price needs no list.
            None if item.outcome == Outcome::Unpriced => &nothing,
            None => return Err(at.differs("price_version", item.price_version, "not in the file")),
        };
        receipt.check(catalogue).map_err(|fault| match fault {
            Fault::Differs { what, stored, recomputed } => at.differs(what, stored, recomputed),
            Fault::Unpriceable(error) => at.differs("cost", receipt.cost, error),
        })?;
        let content = Content::of(&receipt, &item.report).ok_or_else(unreadable)?;
        at.same("content_hash", &to_hex(&item.content_hash), &to_hex(&content.hash()))?;
        Ok(receipt)
    }

    fn verify_totals(&self, totals: &Totals, sealed: u64) -> Found {
        let lines = totals.lines();
        let name = |provider: &str, model: &str| format!("{provider}/{model}");
        for (stated, found) in self.lines.iter().zip(&lines) {
            let place = || format!("line {}", name(&stated.provider, &stated.model));
            let at = At(&place);
            let found_name = name(&found.provider, &found.model);
            at.same("model", &name(&stated.provider, &stated.model), &found_name)?;
            at.same("provider", &stated.provider, &found.provider)?;
            at.sums(&stated.sums, &found.sums)?;
        }
        DOCUMENT.same("lines", &self.lines.len(), &lines.len())?;
        let whole = totals.whole();
        At(&|| "the totals".to_owned()).sums(&self.totals, &whole)?;
        DOCUMENT.same("unproved", &self.unproved, &whole.receipts.saturating_sub(sealed))?;
        let list = |bps: &[u32]| format!("{bps:?}");
        DOCUMENT.same(
            "commission_bps",
            &list(&self.commission_bps),
            &list(&totals.commission_bps()),
        )
    }
}

impl Statement {
    /// Each in the period and in order, with an amount that says the same twice. That none is missing nobody can see.
    fn verify_corrections(&self) -> Found {
        let mut before = None;
        for correction in &self.corrections {
            let place = || format!("correction {}", correction.id);
            let at = At(&place);
            at.amount("amount", &correction.amount, None)?;
            if correction.at < self.period.from || correction.at >= self.period.to {
                let period = format!("from {} to {}", self.period.from, self.period.to);
                return Err(at.differs("at", correction.at, period));
            }
            let key = (correction.at, correction.id);
            if before.replace(key).is_some_and(|before| before >= key) {
                return Err(at.differs("id", "here", "not to stand behind the one before"));
            }
        }
        Ok(())
    }
}

fn key(item: &Item) -> (uuid::Uuid, i16) {
    (item.request_id, item.attempt)
}

/// Whether the receipt has a proof; one that leads elsewhere is a difference.
fn verify_proof(
    item: &Item,
    seals: &BTreeMap<Hash, &Seal>,
    at: &At<'_>,
) -> Result<bool, Difference> {
    let Some(proof) = &item.proof else { return Ok(false) };
    let Some(seal) = seals.get(&proof.seal) else {
        return Err(at.differs("proof.seal", to_hex(&proof.seal), "not among the seals"));
    };
    let root = merkle::verify_path(&item.content_hash, proof.leaf, seal.count, &proof.path);
    if root == Some(seal.root) {
        return Ok(true);
    }
    let found = root.map_or_else(|| "of another length".to_owned(), |root| to_hex(&root));
    Err(at.differs("proof.path", to_hex(&seal.root), found))
}
