//! Seals: what a replica signs of every batch that it applies, and whether all of it is still there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ledger::merkle::{self, Hash};
use ledger::{Seal, Signer};
use uuid::Uuid;

use crate::covered::{self, Covered};
use crate::engine::{Conn, Sql};
use crate::proof::{self, Digest};
use crate::{Store, StoreError};

/// What is hashed of a seal, its receipts and the books: whoever changes any of that counts it up. 0 is what was written before
/// this number was.
const FORM: i64 = 1;

/// The columns of a seal.
macro_rules! seal_columns {
    () => {
        "batch_id, replica_id, number, previous, leaves, hash, signature, public_key, acts, acts_hash, absorbed, form"
    };
}

const LAST: Sql = sql!(
    "SELECT number, hash FROM tollgate.seals WHERE replica_id = $1 ORDER BY number DESC LIMIT 1"
);
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.seals (",
    seal_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
);
/// Seals, each with the transaction that posts its receipts.
macro_rules! seals {
    ($rest:literal) => {
        sql!(
            "SELECT ",
            seal_columns!(),
            ", id, kind, corrects, actor, reason, content_hash, created_at ",
            "FROM tollgate.seals JOIN tollgate.ledger_transactions ON id = batch_id ",
            $rest
        )
    };
}
const OF_BATCHES: Sql = seals!("WHERE batch_id IN ($1, $2, $3, $4, $5, $6, $7, $8)");
const ALL_AFTER: Sql =
    seals!("WHERE (replica_id, number) > ($1, $2) ORDER BY replica_id, number LIMIT $3");
const RECEIPTS: Sql = sql!(
    "SELECT request_id, attempt, batch_id, leaf, content_hash FROM tollgate.receipts ",
    "WHERE (request_id, attempt) > ($1, $2) ORDER BY request_id, attempt LIMIT $3"
);

/// How many batches [`OF_BATCHES`] asks for.
const AT_A_TIME: usize = 8;
/// How many seals are read at a time: each may have some thousand leaves.
const SEALS: i64 = 64;
/// How many receipts are read at a time.
const RECEIPTS_AT_A_TIME: i64 = 4_096;

/// A seal, and what it seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The batch that the receipts came in.
    pub batch: Uuid,
    /// The seal.
    pub seal: Seal,
    /// The content hashes of its receipts, in their order.
    pub leaves: Vec<Hash>,
}

/// What was found of seals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealAudit {
    /// How many seals there are.
    pub seals: u64,
    /// How many receipts are where their seal says.
    pub sealed: u64,
    /// How many seals have a newer form than this program knows: neither they nor their receipts were judged.
    pub newer: u64,
    /// How many have no seal: none that this program has written.
    pub unsealed: u64,
    /// By replica, the keys that have signed, in the order in which they were first used.
    pub keys: BTreeMap<Uuid, Vec<[u8; 32]>>,
    /// By replica, the number and the hash of its newest seal.
    pub heads: BTreeMap<Uuid, (u64, Hash)>,
    /// By number, the links of the chain of acts that are vouched for, each with the hashes that it is said to have, and by whom.
    pub acts: BTreeMap<i64, BTreeMap<Hash, String>>,
}

/// A seal as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
struct SealRow {
    #[sqlx(flatten)]
    transaction: covered::Transaction,
    batch_id: Uuid,
    replica_id: Uuid,
    number: i64,
    previous: Vec<u8>,
    leaves: Vec<u8>,
    hash: Vec<u8>,
    signature: Vec<u8>,
    public_key: Vec<u8>,
    acts: Option<i64>,
    acts_hash: Option<Vec<u8>>,
    absorbed: Option<Vec<u8>>,
    form: i64,
}

/// What is hashed of the books: the newest act, what the house has paid of the batch, and the transaction that posts it. Seals
/// of before that was named have none.
fn books(acts: i64, acts_hash: &[u8], absorbed: &[u8], transaction: Option<Hash>) -> Hash {
    let domain: &[u8] = match transaction {
        None => b"tollgate seal books v1\0",
        Some(_) => b"tollgate seal books v2\0",
    };
    let digest = Digest::of(domain).number(acts).bytes(acts_hash).bytes(absorbed);
    transaction.iter().fold(digest, |digest, hash| digest.bytes(hash)).finish()
}

/// The length of a transaction among what the house has paid: its id and a hash.
const ABSORBED: usize = 48;

/// What the house has paid, as a seal has it: the id of each transaction and the hash of what it says.
pub(crate) fn paid(absorbed: &[u8]) -> Vec<(Uuid, Hash)> {
    let (paid, _) = absorbed.as_chunks::<ABSORBED>();
    let read = |one: &[u8; ABSORBED]| {
        let (id, hash) = one.split_at(16);
        Some((Uuid::from_slice(id).ok()?, hash.try_into().ok()?))
    };
    paid.iter().filter_map(read).collect()
}

impl SealRow {
    /// Where it stands, for people.
    fn name(&self) -> String {
        format!("seals: seal {} of replica {}", self.number, self.replica_id)
    }

    /// The hash over what it vouches for beside its receipts.
    fn books(&self, transaction: Option<Hash>) -> Option<Hash> {
        let (hash, absorbed) = (self.acts_hash.as_deref()?, self.absorbed.as_deref()?);
        Some(books(self.acts?, hash, absorbed, transaction))
    }

    /// Whether a newer program has sealed, with what this one does not know.
    const fn is_newer(&self) -> bool {
        self.form > FORM
    }

    /// The seal of this row: count and root are worked out from the leaves. Nothing where that makes no seal.
    fn sealed(&self) -> Option<Sealed> {
        let (leaves, rest) = self.leaves.as_chunks::<32>();
        let mut seal = Seal {
            replica: self.replica_id,
            number: self.number.try_into().ok()?,
            previous: self.previous.as_slice().try_into().ok()?,
            count: leaves.len().try_into().ok()?,
            root: merkle::root(leaves),
            books: self.books(None),
            hash: self.hash.as_slice().try_into().ok()?,
            signature: self.signature.as_slice().try_into().ok()?,
            public_key: self.public_key.as_slice().try_into().ok()?,
        };
        if seal.check().is_err() {
            seal.books = self.books(Some(self.transaction.head()));
        }
        let leaves = leaves.to_vec();
        rest.is_empty().then_some(Sealed { batch: self.batch_id, seal, leaves })
    }
}

/// Seals a batch that was just written, as the next of its replica, whose row is locked.
pub(crate) async fn seal(
    conn: &mut Conn,
    signer: &Signer,
    (batch, replica): (Uuid, Uuid),
    (leaves, absorbed): (&[Hash], &[Uuid]),
) -> Result<(), StoreError> {
    let last: Option<(i64, Vec<u8>)> =
        on!(*conn, LAST => _, (q, c) => q.bind(replica).fetch_optional(c).await)?;
    let (number, previous) = match last {
        None => (0, Hash::default()),
        Some((number, hash)) => {
            let hash = hash.as_slice().try_into();
            (number, hash.map_err(|_| StoreError::corrupt(format!("seal of replica {replica}")))?)
        }
    };
    let number = number.checked_add(1).ok_or(StoreError::OutOfRange { what: "seal" })?;
    let (acts, acts_hash) = proof::head(conn).await?;
    let mut paid = Vec::with_capacity(absorbed.len() * ABSORBED);
    for id in absorbed {
        paid.extend_from_slice(id.as_bytes());
        paid.extend(covered::read(conn, &Covered::Transaction(*id)).await?);
    }
    let transaction = covered::head(conn, batch).await?;
    let books = Some(books(acts, &acts_hash, &paid, Some(transaction)));
    let seal = signer.seal(replica, number.unsigned_abs(), previous, leaves, books);
    on!(*conn, INSERT, (q, c) => {
        let q = q.bind(batch).bind(replica).bind(number).bind(seal.previous.to_vec());
        let q = q.bind(leaves.as_flattened().to_vec()).bind(seal.hash.to_vec());
        let q = q.bind(seal.signature.to_vec()).bind(seal.public_key.to_vec());
        let q = q.bind(acts).bind(acts_hash.to_vec()).bind(paid).bind(FORM);
        q.execute(c).await.map(drop)
    })?;
    Ok(())
}

impl Store {
    /// Gives the seals of these batches to `look`; a batch of before there were seals has none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a seal is not what was written: it would prove nothing; [`StoreError::NewerSeal`] where this
    /// program cannot know.
    pub async fn for_each_seal_of(
        &self,
        batches: &BTreeSet<Uuid>,
        mut look: impl FnMut(Sealed) + Send,
    ) -> Result<(), StoreError> {
        let batches: Vec<Uuid> = batches.iter().copied().collect();
        for batches in batches.chunks(AT_A_TIME) {
            for row in self.seals_of(batches).await? {
                if row.is_newer() {
                    let (found, known) = (row.form, FORM);
                    return Err(StoreError::NewerSeal { which: row.name(), found, known });
                }
                let sealed = row.sealed().filter(|sealed| sealed.seal.check().is_ok());
                look(sealed.ok_or_else(|| StoreError::corrupt(row.name()))?);
            }
        }
        Ok(())
    }

    /// The seals of at most [`AT_A_TIME`] batches.
    async fn seals_of(&self, batches: &[Uuid]) -> Result<Vec<SealRow>, StoreError> {
        let mut conn = self.read().await?;
        // The places that are too many get the last one again.
        let last = batches.last().copied().unwrap_or_default();
        let all = batches.iter().copied().chain(std::iter::repeat(last)).take(AT_A_TIME);
        let rows = on!(conn, OF_BATCHES => _, (q, c) => {
            all.fold(q, sqlx::query::QueryAs::bind).fetch_all(c).await
        })?;
        Ok(rows)
    }

    /// Checks every seal: its hash, its signature, that it follows the one before, and that each receipt that it names is
    /// there and each receipt of its batch is named. What is wrong is told to `fault`. Whether the receipts say what was
    /// hashed is for [`Store::for_each_receipt`] to find.
    ///
    /// It reads by page, so that it holds nothing up, and needs little memory unless much is missing. Replicas may go on
    /// writing.
    pub async fn verify_seals(
        &self,
        mut fault: impl FnMut(String) + Send,
    ) -> Result<SealAudit, StoreError> {
        let mut audit = Audit::default();
        let mut after = FIRST;
        while let Some(page) = self.places(&mut after).await? {
            let mut batches: BTreeMap<Uuid, Vec<Place>> = BTreeMap::new();
            for place in page {
                let Some(batch) = place.batch_id else {
                    audit.told.unsealed += 1;
                    fault(format!("{}: it has no seal", place.name()));
                    continue;
                };
                batches.entry(batch).or_default().push(place);
            }
            let ids: Vec<Uuid> = batches.keys().copied().collect();
            for ids in ids.chunks(AT_A_TIME) {
                let seals = self.seals_of(ids).await?;
                for id in ids {
                    let seal = seals.iter().find(|seal| seal.batch_id == *id);
                    audit.places(seal, batches.get(id).map_or(&[], Vec::as_slice), &mut fault);
                }
            }
        }
        let (mut before, mut after) = (None, (Uuid::nil(), 0));
        loop {
            let mut conn = self.read().await?;
            let rows: Vec<SealRow> = on!(conn, ALL_AFTER => _, (q, c) => {
                q.bind(after.0).bind(after.1).bind(SEALS).fetch_all(c).await
            })?;
            drop(conn);
            let Some(last) = rows.last() else { break };
            after = (last.replica_id, last.number);
            for row in rows {
                audit.seal(&row, before.as_ref(), &mut fault);
                before = Some(row);
            }
        }
        self.look_for_missing(&mut audit).await?;
        for (name, leaf) in audit.missing.into_values() {
            fault(format!("{name}: the receipt of its leaf {leaf} is missing"));
        }
        Ok(audit.told)
    }

    /// Leaves in `audit.missing` what is nowhere at all. A receipt that was there before its batch stands in an older one;
    /// one that came since the audit began is there by now.
    async fn look_for_missing(&self, audit: &mut Audit) -> Result<(), StoreError> {
        let mut after = FIRST;
        while !audit.missing.is_empty() {
            let Some(page) = self.places(&mut after).await? else { return Ok(()) };
            for place in page {
                audit.missing.remove(&place.content_hash);
            }
        }
        Ok(())
    }

    /// The next receipts behind `after`.
    async fn places(&self, after: &mut (Uuid, i64)) -> Result<Option<Vec<Place>>, StoreError> {
        let mut conn = self.read().await?;
        let page: Vec<Place> = on!(conn, RECEIPTS => _, (q, c) => {
            q.bind(after.0).bind(after.1).bind(RECEIPTS_AT_A_TIME).fetch_all(c).await
        })?;
        let Some(last) = page.last() else { return Ok(None) };
        *after = (last.request_id, last.attempt);
        Ok(Some(page))
    }
}

/// Before every receipt: an id of zeros is no request's, and -1 no attempt.
const FIRST: (Uuid, i64) = (Uuid::nil(), -1);

/// A receipt, and where it says that it is sealed.
#[derive(Debug, sqlx::FromRow)]
struct Place {
    request_id: Uuid,
    attempt: i64,
    batch_id: Option<Uuid>,
    leaf: Option<i64>,
    content_hash: Vec<u8>,
}

impl Place {
    fn name(&self) -> String {
        format!("receipts: receipt {}/{}", self.request_id, self.attempt)
    }
}

#[derive(Default)]
struct Audit {
    told: SealAudit,
    /// By batch: how many of its receipts are where its seal says.
    found: HashMap<Uuid, usize>,
    /// Leaves whose receipts are there, but are other ones.
    changed: HashSet<(Uuid, i64)>,
    /// By content hash: the seal that names it, and as which leaf.
    missing: BTreeMap<Vec<u8>, (String, usize)>,
}

impl Audit {
    /// Compares receipts of one batch with its seal.
    fn places(&mut self, seal: Option<&SealRow>, places: &[Place], fault: &mut impl FnMut(String)) {
        for place in places {
            let (batch, leaf) = (place.batch_id.unwrap_or_default(), place.leaf.unwrap_or(-1));
            let Some(seal) = seal else {
                fault(format!("{}: the seal of its batch {batch} is missing", place.name()));
                continue;
            };
            if seal.is_newer() {
                continue;
            }
            let (leaves, _) = seal.leaves.as_chunks::<32>();
            let sealed = usize::try_from(leaf).ok().and_then(|leaf| leaves.get(leaf));
            if sealed.is_some_and(|sealed| sealed[..] == place.content_hash) {
                self.told.sealed += 1;
                *self.found.entry(batch).or_default() += 1;
            } else {
                let (number, replica) = (seal.number, seal.replica_id);
                let text = format!("is not leaf {leaf} of seal {number} of replica {replica}");
                fault(format!("{}: its content hash {text}", place.name()));
                self.changed.insert((batch, leaf));
            }
        }
    }

    /// Checks a seal in itself, against the one before, and whether all its receipts were found.
    fn seal(&mut self, row: &SealRow, before: Option<&SealRow>, fault: &mut impl FnMut(String)) {
        self.told.seals += 1;
        let before = before.filter(|before| before.replica_id == row.replica_id);
        let next = before.map_or(1, |before| before.number.saturating_add(1));
        let zeros = Hash::default();
        if row.number != next {
            let (last, replica) = (row.number.saturating_sub(1), row.replica_id);
            let text = format!("is missing, and all up to {last}");
            fault(format!("seals: seal {next} of replica {replica} {text}"));
        } else if row.previous != before.map_or(&zeros[..], |before| &before.hash) {
            fault(format!("{}: it does not name the one before", row.name()));
        }
        if row.is_newer() {
            return self.newer(row);
        }
        let Some(Sealed { batch, seal, leaves }) = row.sealed() else {
            return fault(format!("{}: it cannot be read", row.name()));
        };
        if let Err(what) = seal.check() {
            fault(format!("{}: {what}", row.name()));
        }
        self.told.heads.insert(seal.replica, (seal.number, seal.hash));
        self.vouched(row);
        self.signed(seal.replica, seal.public_key);
        if self.found.remove(&batch).unwrap_or_default() < leaves.len() {
            self.missing_of(row, &leaves);
        }
    }

    /// Of a seal that cannot be judged only its place in the chain is known.
    fn newer(&mut self, row: &SealRow) {
        self.told.newer += 1;
        if let Ok(hash) = row.hash.as_slice().try_into() {
            self.told.heads.insert(row.replica_id, (row.number.unsigned_abs(), hash));
        }
        if let Ok(key) = row.public_key.as_slice().try_into() {
            self.signed(row.replica_id, key);
        }
    }

    fn signed(&mut self, replica: Uuid, public_key: [u8; 32]) {
        let keys = self.told.keys.entry(replica).or_default();
        if !keys.contains(&public_key) {
            keys.push(public_key);
        }
    }

    /// Notes what a seal vouches for beside its receipts.
    fn vouched(&mut self, row: &SealRow) {
        let (Some(acts), Some(hash)) = (row.acts, row.acts_hash.as_deref()) else { return };
        if let Ok(hash) = hash.try_into() {
            let said = self.told.acts.entry(acts).or_default();
            said.entry(hash).or_insert_with(|| row.name());
        }
    }

    /// Of a seal some of whose receipts were not found, all leaves are looked for.
    fn missing_of(&mut self, row: &SealRow, leaves: &[Hash]) {
        for (leaf, hash) in leaves.iter().enumerate() {
            let known =
                i64::try_from(leaf).is_ok_and(|leaf| self.changed.contains(&(row.batch_id, leaf)));
            if !known {
                self.missing.entry(hash.to_vec()).or_insert_with(|| (row.name(), leaf));
            }
        }
    }
}
