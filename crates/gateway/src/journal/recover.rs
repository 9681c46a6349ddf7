//! What a process left behind that is gone: its requests are settled, its receipts applied, its slices given back.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::path::Path;

use anyhow::{Context as _, bail};
use ledger::Catalogue;
use store::{Entry, Store};
use uuid::Uuid;

use super::folder::{self, Folder};
use super::record::Kind;
use super::running::{self, Requests, Unfinished};
use super::segments::{self, Tail, Writer};
use super::work;
use crate::clock;

/// Records read at a time.
const AT_A_TIME: usize = 4_096;

/// Applies what the journals below `root` have that the database has not, whoever writes them, but for our `own`; those
/// whose process is gone are settled first. Those of another database stay as they are.
pub(crate) async fn catch_up(root: &Path, store: &Store, own: Option<&Path>) -> anyhow::Result<()> {
    for (path, replica) in folder::all(root)? {
        if own == Some(&path) {
            continue;
        }
        let Some(state) = store.replica(replica).await? else { continue };
        if let Some(_lock) = folder::lock(&path)? {
            // Whoever had it may have died only just now.
            let Some(state) = store.replica(replica).await? else { continue };
            let left = left(&path, state.open)?;
            if state.holds || !left.is_empty() || has_more(&path, state.cursor)? {
                let epoch = folder::begin(&path, replica, store).await?;
                settle_and_apply(&path, (replica, epoch), store, state.cursor, left).await?;
            }
        } else {
            // Nothing is applied that a loss of power could take back.
            let end = segments::sync(&path)?;
            apply(&path, (replica, state.epoch), store, state.open, end).await?;
        }
    }
    Ok(())
}

/// Settles and applies what earlier runs have left in a folder of which this run has just begun, and returns how far the
/// database has come then.
pub(super) async fn take_over(folder: &Folder, store: &Store) -> anyhow::Result<u64> {
    let Folder { path, replica, epoch, .. } = folder;
    let state = store.replica(*replica).await?.context("a replica that the database has lost")?;
    let left = left(path, state.open)?;
    settle_and_apply(path, (*replica, *epoch), store, state.cursor, left).await
}

/// The folder is locked by us, so that nobody else writes its journal or spends its slices.
async fn settle_and_apply(
    path: &Path,
    (replica, epoch): (Uuid, i64),
    store: &Store,
    cursor: u64,
    left: Vec<Unfinished>,
) -> anyhow::Result<u64> {
    let mut writer = Writer::open(path, cursor)?;
    if !left.is_empty() {
        tracing::warn!(requests = left.len(), path = %path.display(), "requests were under way when their process died; they are settled now");
    }
    let mut catalogues = HashMap::new();
    for unfinished in left {
        settle(unfinished, &mut writer, store, &mut catalogues).await?;
    }
    writer.file()?.sync_data()?;
    let end = writer.last();
    drop(writer);
    let cursor = apply(path, (replica, epoch), store, end + 1, end).await?;
    store.close_slices(replica, epoch, clock::now()).await?;
    // Whoever asks again is told what has been charged, or runs anew: nobody works on these any more.
    store.release_claims(replica).await?;
    Ok(cursor)
}

async fn settle(
    left: Unfinished,
    writer: &mut Writer,
    store: &Store,
    catalogues: &mut HashMap<i64, Option<Catalogue>>,
) -> anyhow::Result<()> {
    let (id, attempt) = (left.admitted.request_id, left.dispatched.attempt);
    let known = store.receipts_of_request(id).await?;
    if known.iter().any(|receipt| receipt.attempt == attempt) {
        // The disk has lost what the database has.
        writer.append(Kind::Void, |bytes| running::encode_void(id, bytes))?;
        return Ok(());
    }
    let version = left.admitted.price_version;
    let catalogue = match catalogues.entry(version) {
        Slot::Occupied(slot) => slot.into_mut(),
        Slot::Vacant(slot) => {
            let known = store.price_versions().await?.iter().any(|known| known.id == version);
            slot.insert(if known { Some(store.catalogue(version).await?) } else { None })
        }
    };
    let mut entry = Vec::new();
    Entry::encode_receipt(&left.receipt(catalogue.as_ref(), clock::now()), &mut entry)?;
    writer.append(Kind::Settled, |bytes| bytes.extend_from_slice(&entry))?;
    Ok(())
}

/// Whether a journal has records behind one.
fn has_more(path: &Path, cursor: u64) -> anyhow::Result<bool> {
    Ok(Tail::behind(path, cursor).read(1, |_, _, _| {})? > 0)
}

/// The attempts that have no end in a journal, of which the records before `open` are not needed.
fn left(path: &Path, open: u64) -> anyhow::Result<Vec<Unfinished>> {
    let Some((oldest, _)) = segments::list(path)?.into_iter().next() else { return Ok(Vec::new()) };
    let mut tail = Tail::behind(path, open.max(oldest).saturating_sub(1));
    let mut requests = Requests::default();
    let mut unreadable = None;
    while tail.read(AT_A_TIME, |seq, kind, body| {
        if !requests.take(kind, body) {
            unreadable = unreadable.or(Some(seq));
        }
    })? > 0
    {}
    if let Some(seq) = unreadable {
        bail!(
            "{}: record {seq} of the journal cannot be read: use the newer program",
            path.display()
        );
    }
    Ok(requests.unfinished())
}

/// Applies what the database has not, up to record `end`, and returns how far it has come then. `open` is the first record
/// that will be needed.
async fn apply(
    path: &Path,
    (replica, epoch): (Uuid, i64),
    store: &Store,
    open: u64,
    end: u64,
) -> anyhow::Result<u64> {
    let state = store.replica(replica).await?.context("a replica that the database has lost")?;
    let mut tail = Tail::behind(path, state.cursor);
    let signer = &folder::signer(path)?;
    let mut books =
        work::Books { store, replica, epoch, signer, cursor: state.cursor, tally: None };
    books.apply_all(&mut tail, end, || open, |_, _| {}).await?;
    books.finish(tail.last(), open).await?;
    Ok(books.cursor)
}
