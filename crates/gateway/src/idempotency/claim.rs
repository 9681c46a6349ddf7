//! A claim of this process, and its end: kept, given up, or too large, whatever becomes of the request.

use std::sync::Arc;
use std::time::Duration;

use store::{IdempotencyKey, Kept, StoreError};
use uuid::Uuid;

use super::Keys;

/// How long to wait before each try to tell the database; after the last the claim lapses by itself.
const BACKOFF_MS: [u64; 8] = [50, 200, 1_000, 2_000, 5_000, 10_000, 20_000, 20_000];

/// A claim. Dropped without an end, it is given up.
pub(crate) struct Claim {
    of: Option<Held>,
}

struct Held {
    keys: Arc<Keys>,
    key: IdempotencyKey,
    request_id: Uuid,
}

/// How a claim ends.
pub(super) enum End {
    Kept(Kept),
    TooLarge,
    GivenUp,
}

impl Claim {
    /// Before the database is asked for it: what may have been granted is given up too.
    pub(super) fn new(keys: Arc<Keys>, key: IdempotencyKey, request_id: Uuid) -> Self {
        keys.live().insert(request_id, key.clone());
        Self { of: Some(Held { keys, key, request_id }) }
    }

    /// Nothing was granted, so that there is nothing to end.
    pub(super) fn refused(mut self) {
        if let Some(held) = self.of.take() {
            held.is_over();
        }
    }

    pub(super) const fn request_id(&self) -> Option<Uuid> {
        match &self.of {
            Some(held) => Some(held.request_id),
            None => None,
        }
    }

    /// Gives it up, so that a key is free once the client hears that its request was refused.
    pub(crate) async fn give_up(self) {
        self.end(End::GivenUp).await;
    }

    /// Ends it: mostly at once, and behind the requests where the database does not take it at once.
    pub(super) async fn end(mut self, end: End) {
        let Some(held) = self.of.take() else { return };
        match held.tell(&end).await {
            Ok(()) => held.is_over(),
            Err(error) => {
                let tasks = held.keys.tasks.clone();
                tasks.spawn(held.insist(end, error));
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(held) = self.of.take() {
            let tasks = held.keys.tasks.clone();
            tasks.spawn(async move {
                match held.tell(&End::GivenUp).await {
                    Ok(()) => held.is_over(),
                    Err(error) => held.insist(End::GivenUp, error).await,
                }
            });
        }
    }
}

impl Held {
    async fn tell(&self, end: &End) -> Result<(), StoreError> {
        let Self { keys, key, request_id } = self;
        let is_ours = match end {
            End::Kept(kept) => keys.store.keep_result(key, kept).await?,
            End::TooLarge => keys.store.keep_no_result(key, *request_id).await?,
            End::GivenUp => {
                // Where it is another's by now, there is nothing to give up.
                keys.store.give_up_claim(key, *request_id).await?;
                true
            }
        };
        if !is_ours {
            tracing::error!(%request_id, "the claim of an idempotency key had lapsed: a retry may have run as well");
        }
        Ok(())
    }

    /// Tries again for a while, during which the claim is held.
    async fn insist(self, end: End, mut error: StoreError) {
        for wait in BACKOFF_MS.map(Duration::from_millis) {
            if !error.is_transient() {
                break;
            }
            tokio::time::sleep(wait).await;
            match self.tell(&end).await {
                Ok(()) => return self.is_over(),
                Err(again) => error = again,
            }
        }
        let request_id = self.request_id;
        tracing::error!(%request_id, %error, "what came of an idempotency key is not kept");
        self.is_over();
    }

    /// It is not held for longer any more.
    fn is_over(&self) {
        self.keys.live().remove(&self.request_id);
    }
}
