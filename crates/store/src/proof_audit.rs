//! Whether the books are those that people have written: the chain of acts holds, and each row is what the last act that names
//! it has left.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use ledger::merkle::Hash;
use ledger::{from_hex, is_signed, to_hex};
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::proof::{self, ENTRIES, Proof};
use crate::{Act, AuditFault, SealAudit, Store, StoreError, covered};

/// Links read at a time.
const PAGE: i64 = 1_000;

const PROOFS: Sql = sql!(
    "SELECT number, wrote, previous, hash, signature, public_key FROM tollgate.act_proofs ",
    "WHERE number > $1 AND number <= $2 ORDER BY number"
);
const LENGTH: Sql = sql!(
    "SELECT COALESCE((SELECT MAX(number) FROM tollgate.act_proofs), 0), ",
    "COALESCE((SELECT MAX(number) FROM tollgate.audit_log), 0)"
);
const SEAL: Sql = sql!("SELECT hash FROM tollgate.seals WHERE replica_id = $1 AND number = $2");
const ABSORBED: Sql = sql!("SELECT absorbed FROM tollgate.seals WHERE length(absorbed) > 0");

/// Of which chain something is the head.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeadOf {
    /// The acts'.
    Acts,
    /// That of a replica's seals.
    Seals(Uuid),
}

/// A place in a chain that somebody has written down elsewhere: as long as it stands there, nothing before it was changed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of which chain.
    pub of: HeadOf,
    /// The place.
    pub number: u64,
    /// What is there.
    pub hash: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            HeadOf::Acts => f.write_str("acts")?,
            HeadOf::Seals(replica) => write!(f, "{replica}")?,
        }
        write!(f, ":{}:{}", self.number, to_hex(&self.hash))
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split(':');
            let of = match parts.next()? {
                "acts" => HeadOf::Acts,
                replica => HeadOf::Seals(replica.parse().ok()?),
            };
            let (number, hash) = (parts.next()?.parse().ok()?, from_hex(parts.next()?)?);
            parts.next().is_none().then_some(Self { of, number, hash })
        };
        read().ok_or("expected a head as `tollgate verify` prints it, such as acts:12:0f3a…")
    }
}

/// What was found of acts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActAudit {
    /// How many links the chain has.
    pub acts: u64,
    /// How many rows of the books they name.
    pub rows: u64,
    /// The newest.
    pub head: Option<Head>,
    /// The keys that have signed, each with the first act that it has.
    pub keys: BTreeMap<[u8; 32], i64>,
}

/// A row, and which act has left what there.
type Rows = HashMap<(String, String), (Hash, i64)>;

#[derive(Default)]
struct Chain {
    told: ActAudit,
    previous: Hash,
    /// The first link, which stands for all before it.
    first: Option<i64>,
    /// Entries without a link, before the chain begins.
    old: BTreeMap<i64, Hash>,
    rows: Rows,
    seals: HashSet<(Uuid, i64, Hash, i64)>,
    hashes: BTreeMap<i64, Hash>,
}

impl Store {
    /// Checks the chain of acts, all at one moment: that no entry of the audit log was changed, added or taken away, that each
    /// link is signed, and by a key that `trusts` if that says so; and then that each transaction, grant, budget, price version
    /// and way of paying is there, once, and says what the last act that names it has left. What is wrong is told to `look`.
    ///
    /// `seals` are those of before, whose word on the chain is taken: what they name has to be there, and so has what
    /// `expected` names.
    pub async fn verify_acts(
        &self,
        seals: &SealAudit,
        expected: &[Head],
        trusts: impl Fn(&[u8; 32]) -> bool + Send,
        mut look: impl FnMut(AuditFault) + Send,
    ) -> Result<ActAudit, StoreError> {
        let mut conn = self.snapshot().await?;
        let (proofs, entries): (i64, i64) = on!(conn, LENGTH => _, (q, c) => q.fetch_one(c).await)?;
        // What the chain is asked for: nothing else of it is kept.
        let mut wanted: BTreeSet<i64> = seals.acts.keys().copied().collect();
        let acts = |head: &&Head| head.of == HeadOf::Acts;
        wanted.extend(expected.iter().filter(acts).filter_map(|h| i64::try_from(h.number).ok()));
        let (mut chain, mut after) = (Chain::default(), 0);
        while after < proofs.max(entries) {
            let to = after.saturating_add(PAGE);
            let acts: Vec<Act> =
                on!(conn, ENTRIES => _, (q, c) => q.bind(after).bind(to).fetch_all(c).await)?;
            let links: Vec<Proof> =
                on!(conn, PROOFS => _, (q, c) => q.bind(after).bind(to).fetch_all(c).await)?;
            chain.page(
                (after, to.min(proofs.max(entries))),
                acts,
                links,
                &wanted,
                &trusts,
                &mut look,
            );
            after = to;
        }
        for number in std::mem::take(&mut chain.old).into_keys() {
            look(fault("audit_log", number, "it has no proof"));
        }
        chain.named(seals, expected, &mut look);
        for (replica, number, hash, act) in std::mem::take(&mut chain.seals) {
            let found: Option<(Vec<u8>,)> = on!(conn, SEAL => _, (q, c) => {
                q.bind(replica).bind(number).fetch_optional(c).await
            })?;
            if found.is_none_or(|(found,)| found != hash) {
                let what = format!("it is not there as act {act} has seen it");
                look(AuditFault { table: "seals", row: format!("{replica}/{number}"), what });
            }
        }
        absorbed(&mut conn, &mut chain.rows).await?;
        chain.told.rows = chain.rows.len() as u64;
        let mut rows = std::mem::take(&mut chain.rows);
        covered::each(&mut conn, &mut |table, row, hash| {
            compare(&mut rows, (table, row), hash, &mut look);
        })
        .await?;
        let mut missing: Vec<_> = rows.into_iter().collect();
        missing.sort_unstable();
        for ((table, row), (_, act)) in missing {
            let what = format!("it is missing: {} has written it", author(act));
            look(AuditFault { table: name(&table), row, what });
        }
        Ok(chain.told)
    }

    /// Whether places of the replicas' chains that were written down elsewhere are what they were.
    pub async fn verify_heads(
        &self,
        expected: &[Head],
        mut look: impl FnMut(AuditFault) + Send,
    ) -> Result<(), StoreError> {
        let mut conn = self.read().await?;
        for head in expected {
            let HeadOf::Seals(replica) = head.of else { continue };
            let number = i64::try_from(head.number).unwrap_or(i64::MAX);
            let found: Option<(Vec<u8>,)> = on!(conn, SEAL => _, (q, c) => {
                q.bind(replica).bind(number).fetch_optional(c).await
            })?;
            if found.is_none_or(|(found,)| found != head.hash) {
                let what = "it is not the one that was expected".to_owned();
                look(AuditFault { table: "seals", row: format!("{replica}/{number}"), what });
            }
        }
        Ok(())
    }
}

/// Adds what the house has paid, which the seals name.
async fn absorbed(conn: &mut Conn, rows: &mut Rows) -> Result<(), StoreError> {
    let all: Vec<(Vec<u8>,)> = on!(*conn, ABSORBED => _, (q, c) => q.fetch_all(c).await)?;
    for (id, hash) in all.iter().flat_map(|(paid,)| crate::seals::paid(paid)) {
        rows.insert(("ledger_transactions".to_owned(), id.to_string()), (hash, SEALED));
    }
    Ok(())
}

/// In the place of an act: a seal.
const SEALED: i64 = 0;

fn author(act: i64) -> String {
    if act == SEALED { "a seal".to_owned() } else { format!("act {act}") }
}

/// The name of a table that may be covered.
fn name(table: &str) -> &'static str {
    let known =
        ["ledger_transactions", "credit_grants", "budgets", "ledger_accounts", "price_versions"];
    known.into_iter().find(|known| *known == table).unwrap_or("act_proofs")
}

fn compare(
    rows: &mut Rows,
    (table, row): (&'static str, String),
    hash: Hash,
    look: &mut (impl FnMut(AuditFault) + Send),
) {
    let what = match rows.remove(&(table.to_owned(), row.clone())) {
        Some((known, _)) if known == hash => return,
        Some((_, act)) => format!("it is not what {} has written", author(act)),
        None if is_unopened(table, &row, hash) => return,
        None => "no act has written it".to_owned(),
    };
    look(AuditFault { table, row, what });
}

/// Whether it is an account that usage has opened, and nobody else.
fn is_unopened(table: &str, row: &str, hash: Hash) -> bool {
    let id = row.parse().unwrap_or_default();
    table == "ledger_accounts" && hash == covered::unopened(id)
}

fn fault(table: &'static str, number: i64, what: impl Into<String>) -> AuditFault {
    AuditFault { table, row: number.to_string(), what: what.into() }
}

impl Chain {
    /// Looks at the entries and links with numbers in a range.
    fn page(
        &mut self,
        (after, to): (i64, i64),
        acts: Vec<Act>,
        links: Vec<Proof>,
        wanted: &BTreeSet<i64>,
        trusts: &(impl Fn(&[u8; 32]) -> bool + Send),
        look: &mut (impl FnMut(AuditFault) + Send),
    ) {
        let mut acts: HashMap<i64, Act> = acts.into_iter().map(|act| (act.number, act)).collect();
        let mut links: HashMap<i64, Proof> =
            links.into_iter().map(|link| (link.number, link)).collect();
        for number in after + 1..=to {
            match (acts.remove(&number), links.remove(&number)) {
                (Some(act), Some(link)) => {
                    self.link(&act, &link, trusts, look);
                    if wanted.contains(&number) {
                        self.hashes.insert(number, self.previous);
                    }
                }
                (Some(act), None) if self.first.is_none() => {
                    self.old.insert(number, proof::entry_hash(&act));
                }
                (Some(_), None) => look(fault("audit_log", number, "it has no proof")),
                (None, Some(link)) => {
                    look(fault("audit_log", number, "it is missing: its proof is there"));
                    // What follows has still seen it.
                    self.previous = link.hash.as_slice().try_into().unwrap_or_default();
                    self.first = self.first.or(Some(number));
                    self.wrote(&link, look);
                }
                (None, None) => {
                    look(fault("audit_log", number, "it is missing, and so is its proof"));
                }
            }
        }
    }

    fn link(
        &mut self,
        act: &Act,
        link: &Proof,
        trusts: &(impl Fn(&[u8; 32]) -> bool + Send),
        look: &mut (impl FnMut(AuditFault) + Send),
    ) {
        self.told.acts += 1;
        let number = act.number;
        if link.previous != self.previous {
            look(fault("act_proofs", number, "it does not name the one before"));
        }
        let hash = proof::link(act, &link.wrote, &link.previous);
        if link.hash != hash {
            look(fault("audit_log", number, "it is not what was written"));
        }
        self.signed(link, trusts, look);
        self.first = self.first.or(Some(number));
        self.previous = link.hash.as_slice().try_into().unwrap_or_default();
        let head = Head { of: HeadOf::Acts, number: number.unsigned_abs(), hash: self.previous };
        self.told.head = Some(head);
        self.wrote(link, look);
    }

    fn signed(
        &mut self,
        link: &Proof,
        trusts: &(impl Fn(&[u8; 32]) -> bool + Send),
        look: &mut (impl FnMut(AuditFault) + Send),
    ) {
        let signature = link.signature.as_deref().and_then(|bytes| bytes.try_into().ok());
        let key = link.public_key.as_deref().and_then(|bytes| bytes.try_into().ok());
        let hash: Option<Hash> = link.hash.as_slice().try_into().ok();
        match (signature, key, hash) {
            (Some(signature), Some(key), Some(hash)) => {
                if !is_signed(&key, &hash, &signature) {
                    look(fault("act_proofs", link.number, "its signature is not that of its key"));
                } else if !trusts(&key) {
                    let what =
                        format!("it is signed by a key that is not trusted: {}", to_hex(&key));
                    look(fault("act_proofs", link.number, what));
                }
                self.told.keys.entry(key).or_insert(link.number);
            }
            // The first may be of a step of the schema, before there is a key: whoever signs later vouches for it.
            (None, None, _) if self.first.is_none() => {}
            _ => look(fault("act_proofs", link.number, "it is not signed")),
        }
    }

    /// Takes up what an act says that it has written.
    fn wrote(&mut self, link: &Proof, look: &mut (impl FnMut(AuditFault) + Send)) {
        for line in link.wrote.lines() {
            let mut words = line.split(' ');
            let (table, row) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let Some(hash) = words.next().and_then(from_hex::<32>) else {
                look(fault("act_proofs", link.number, "it cannot be read"));
                continue;
            };
            match table {
                "seals" => {
                    let place = row.split_once('/');
                    let place = place.and_then(|(r, n)| Some((r.parse().ok()?, n.parse().ok()?)));
                    let seen = place.map(|(replica, seal)| (replica, seal, hash, link.number));
                    self.seals.extend(seen);
                }
                "audit_log" => {
                    let number = row.parse().unwrap_or_default();
                    if self.old.remove(&number) != Some(hash) {
                        look(fault("audit_log", number, "it is not what it was"));
                    }
                }
                _ => {
                    self.rows.insert((table.to_owned(), row.to_owned()), (hash, link.number));
                }
            }
        }
        for number in std::mem::take(&mut self.old).into_keys() {
            look(fault("audit_log", number, "it was not there when the chain began"));
        }
    }

    /// Whether the links that others name are there.
    fn named(
        &self,
        seals: &SealAudit,
        expected: &[Head],
        look: &mut (impl FnMut(AuditFault) + Send),
    ) {
        for (number, said) in &seals.acts {
            for (hash, by) in said {
                let is_there = self.hashes.get(number) == Some(hash)
                    || (*number == 0 && *hash == Hash::default());
                if !is_there {
                    let what = format!("it is not there as {by} has seen it");
                    look(fault("act_proofs", *number, what));
                }
            }
        }
        for head in expected.iter().filter(|head| head.of == HeadOf::Acts) {
            let number = i64::try_from(head.number).unwrap_or(i64::MAX);
            if self.hashes.get(&number) != Some(&head.hash) {
                look(fault("act_proofs", number, "it is not the one that was expected"));
            }
        }
    }
}
