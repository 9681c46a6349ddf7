//! One task that writes all receipts, so that one commit serves many requests.

use std::time::Duration;

use ledger::Receipt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::{Store, StoreError};

/// The most receipts in one transaction.
const BATCH: usize = 256;
/// How many receipts may wait; who brings more waits as well.
const QUEUE: usize = 4 * BATCH;
/// How long to wait before each try after the first: about six seconds in all.
const BACKOFF_MS: [u64; 7] = [50, 100, 200, 400, 800, 1_600, 3_200];

struct Job {
    receipt: Receipt,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

/// Writes receipts in batches, in the order in which they come. Clones write through the same task, which ends when
/// the last of them is dropped and everything is written.
///
/// No time is spent waiting for a larger batch: the task takes what is there or about to be and commits it, and
/// meanwhile the next batch gathers.
#[derive(Clone, Debug)]
pub struct ReceiptWriter {
    jobs: mpsc::Sender<Job>,
}

impl ReceiptWriter {
    /// Starts the task on `tracker`, whose owner waits for it at shutdown.
    pub fn start(store: Store, tracker: &TaskTracker) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tracker.spawn(write(store, queue));
        Self { jobs }
    }

    /// Writes a receipt. When this returns `Ok`, it is durable. The receipt is also written when the caller does not
    /// wait for the answer, once it is in the queue.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another receipt has that id; [`StoreError::Database`] where the database did not
    /// come back in time. The receipt may be given again in either case: the same twice counts once.
    pub async fn commit(&self, receipt: Receipt) -> Result<(), StoreError> {
        let (answer, written) = oneshot::channel();
        self.jobs.send(Job { receipt, answer }).await.map_err(|_| StoreError::Stopped)?;
        written.await.map_err(|_| StoreError::Stopped)?
    }
}

async fn write(store: Store, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut jobs, BATCH).await > 0 {
        gather(&mut queue, &mut jobs).await;
        let (receipts, answers): (Vec<_>, Vec<_>) =
            jobs.drain(..).map(|job| (job.receipt, job.answer)).unzip();
        let results = write_batch(&store, &receipts).await;
        for (answer, result) in answers.into_iter().zip(results) {
            // Whoever asked may be gone; the receipt is written all the same.
            let _ = answer.send(result);
        }
    }
}

/// Lets the tasks that can go on at this very moment go on, and takes their receipts along.
async fn gather(queue: &mut mpsc::Receiver<Job>, jobs: &mut Vec<Job>) {
    loop {
        let before = jobs.len();
        tokio::task::yield_now().await;
        while jobs.len() < BATCH {
            let Ok(job) = queue.try_recv() else { break };
            jobs.push(job);
        }
        if jobs.len() == before || jobs.len() == BATCH {
            return;
        }
    }
}

/// Writes receipts together, or, where one of them is refused, each by itself, so that only that one fails.
async fn write_batch(store: &Store, receipts: &[Receipt]) -> Vec<Result<(), StoreError>> {
    match write_patiently(store, receipts).await {
        Err(error) if receipts.len() > 1 && error.is_of_one_row() => {
            let mut results = Vec::with_capacity(receipts.len());
            for receipt in receipts {
                results.push(write_patiently(store, std::slice::from_ref(receipt)).await);
            }
            results
        }
        result => vec![result; receipts.len()],
    }
}

async fn write_patiently(store: &Store, receipts: &[Receipt]) -> Result<(), StoreError> {
    for wait_ms in BACKOFF_MS {
        match store.insert_receipts(receipts).await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, receipts = receipts.len(), wait_ms, "receipts not written yet");
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            result => return result.map(drop),
        }
    }
    store.insert_receipts(receipts).await.map(drop)
}
