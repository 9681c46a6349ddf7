//! Proof of what people do to the books: each act is a link of a chain that names the rows that it wrote, and is signed.

use std::fmt::Write as _;

use ledger::merkle::Hash;
use ledger::{Signer, to_hex};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::covered::{self, Covered};
use crate::engine::{Conn, Sql};
use crate::{Act, StoreError};

const DOMAIN: &[u8] = b"tollgate act v1\0";
/// What the first link of a chain is called where there was something before it.
pub(crate) const OPENED: &str = "books.sealed";

const LAST: Sql = sql!("SELECT number, hash FROM tollgate.act_proofs ORDER BY number DESC LIMIT 1");
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.act_proofs (number, wrote, previous, hash, signature, public_key) ",
    "VALUES ($1, $2, $3, $4, $5, $6)"
);
// In the order in which they are sorted below.
const HEADS: Sql = sql!(
    "SELECT s.replica_id, s.number, s.hash FROM tollgate.replicas r JOIN tollgate.seals s ON s.replica_id = r.id ",
    "AND s.number = (SELECT MAX(k.number) FROM tollgate.seals k WHERE k.replica_id = r.id) ORDER BY s.replica_id"
);
pub(crate) const ENTRIES: Sql = sql!(
    "SELECT number, at, actor_id, actor, via, action, target, detail FROM tollgate.audit_log ",
    "WHERE number > $1 AND number <= $2 ORDER BY number"
);

/// Bytes to hash of which no two contents have the same.
#[derive(Default)]
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn of(domain: &[u8]) -> Self {
        Self(Sha256::new().chain_update(domain))
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn number(mut self, number: i64) -> Self {
        self.0.update(number.to_be_bytes());
        self
    }

    pub(crate) fn id(mut self, id: Uuid) -> Self {
        self.0.update(id);
        self
    }

    /// A value that may be missing.
    pub(crate) fn maybe<T>(mut self, value: Option<T>, add: impl FnOnce(Self, T) -> Self) -> Self {
        self.0.update([u8::from(value.is_some())]);
        match value {
            Some(value) => add(self, value),
            None => self,
        }
    }

    pub(crate) fn finish(self) -> Hash {
        self.0.finalize().into()
    }

    /// An id of what has these contents, and of nothing else.
    pub(crate) fn finish_id(self) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.finish()[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// A link as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Proof {
    pub(crate) number: i64,
    pub(crate) wrote: String,
    pub(crate) previous: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    pub(crate) signature: Option<Vec<u8>>,
    pub(crate) public_key: Option<Vec<u8>>,
}

/// The hash of an entry of the audit log by itself.
pub(crate) fn entry_hash(act: &Act) -> Hash {
    entry(Digest::of(b"tollgate entry v1\0"), act).finish()
}

fn entry(digest: Digest, act: &Act) -> Digest {
    let digest = digest.number(act.number).number(act.at);
    let digest = digest.maybe(act.actor_id, Digest::id);
    [&act.actor, &act.via, &act.action, &act.target, &act.detail]
        .into_iter()
        .fold(digest, |digest, text| digest.text(text))
}

/// The hash of a link.
pub(crate) fn link(act: &Act, wrote: &str, previous: &[u8]) -> Hash {
    entry(Digest::of(DOMAIN), act).text(wrote).bytes(previous).finish()
}

/// The newest link: its number and hash, zeros where there is none.
pub(crate) async fn head(conn: &mut Conn) -> Result<(i64, Hash), StoreError> {
    let last: Option<(i64, Vec<u8>)> = on!(*conn, LAST => _, (q, c) => q.fetch_optional(c).await)?;
    let Some((number, hash)) = last else { return Ok((0, Hash::default())) };
    let hash = hash.as_slice().try_into();
    Ok((number, hash.map_err(|_| StoreError::corrupt(format!("act_proofs {number}")))?))
}

/// Adds the link of an act, behind the lock that all acts take. What is named of the books is read back: it is what stands
/// there.
pub(crate) async fn add(
    conn: &mut Conn,
    signer: Option<&Signer>,
    act: &Act,
    covered: &[Covered],
) -> Result<(), StoreError> {
    let mut wrote = String::new();
    for row in covered {
        let hash = covered::read(conn, row).await?;
        line(&mut wrote, row.table(), &row.name(), &hash);
    }
    if !covered.is_empty() {
        // Whoever moves money has seen what was used until then.
        heads(conn, &mut wrote).await?;
    }
    write(conn, signer, act, &wrote).await
}

/// The first link, which names everything that was there before: what was done until then is not proved, but whatever is
/// changed of it from now on is found out.
pub(crate) async fn open(
    conn: &mut Conn,
    signer: Option<&Signer>,
    act: &Act,
) -> Result<(), StoreError> {
    let mut wrote = String::new();
    covered::each(conn, &mut |table, row, hash| line(&mut wrote, table, &row, &hash)).await?;
    let mut after = 0;
    while after < act.number - 1 {
        let to = (act.number - 1).min(after + 1_000);
        let page: Vec<Act> =
            on!(*conn, ENTRIES => _, (q, c) => q.bind(after).bind(to).fetch_all(c).await)?;
        for old in page {
            line(&mut wrote, "audit_log", &old.number.to_string(), &entry_hash(&old));
        }
        after = to;
    }
    heads(conn, &mut wrote).await?;
    write(conn, signer, act, &wrote).await
}

/// Names the newest seal of each replica.
async fn heads(conn: &mut Conn, wrote: &mut String) -> Result<(), StoreError> {
    let heads: Vec<(Uuid, i64, Vec<u8>)> = on!(*conn, HEADS => _, (q, c) => q.fetch_all(c).await)?;
    for (replica, number, hash) in heads {
        let hash = hash.as_slice().try_into();
        let hash = hash.map_err(|_| StoreError::corrupt(format!("seal of replica {replica}")))?;
        line(wrote, "seals", &format!("{replica}/{number}"), &hash);
    }
    Ok(())
}

/// A row that was written, as the links have it.
fn line(wrote: &mut String, table: &str, row: &str, hash: &Hash) {
    // Writing to a text cannot fail.
    let _ = writeln!(wrote, "{table} {row} {}", to_hex(hash));
}

async fn write(
    conn: &mut Conn,
    signer: Option<&Signer>,
    act: &Act,
    wrote: &str,
) -> Result<(), StoreError> {
    let (_, previous) = head(conn).await?;
    let hash = link(act, wrote, &previous);
    let signature = signer.map(|signer| signer.sign(&hash).to_vec());
    let public_key = signer.map(|signer| signer.public_key().to_vec());
    on!(*conn, INSERT, (q, c) => {
        let q = q.bind(act.number).bind(wrote).bind(previous.to_vec()).bind(hash.to_vec());
        q.bind(signature).bind(public_key).execute(c).await.map(drop)
    })?;
    Ok(())
}
