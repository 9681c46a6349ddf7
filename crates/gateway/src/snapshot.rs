//! What a request needs to know, in memory: keys, users, prices. An immutable value, swapped whole.
//!
//! Every change of the store raises its revision in the same transaction. A task looks at the revision four times a
//! second and builds the next snapshot when it has moved, so that a key revoked anywhere, by any process, is refused
//! within a second, and no request asks the database who its caller is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ledger::{BudgetPeriod, Catalogue, Scope, ScopeKind};
use store::{Budget, BudgetOwner, Store, StoreError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::keys::KeyHash;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the moments of last use go to the store, in looks.
const LOOKS_PER_TOUCH: u32 = 8;

/// A key as a request meets it.
pub(crate) struct KeyEntry {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) user: String,
    pub(crate) account_id: Uuid,
    pub(crate) expires_at: Option<i64>,
    pub(crate) revoked: bool,
    /// The models it may use; `None` is all.
    pub(crate) models: Option<Vec<String>>,
    /// Whether the account has to have credit.
    prepaid: bool,
    /// Budgets that it spends from.
    budgets: Vec<(Uuid, BudgetPeriod)>,
    /// The moment of last use that the store does not know yet; 0 is none.
    last_used: AtomicI64,
}

impl KeyEntry {
    /// Whether the key may use that model.
    pub(crate) fn may_use(&self, provider: &str, model: &str) -> bool {
        let named =
            |id: &String| id.split_once('/').is_some_and(|(p, m)| p == provider && m == model);
        self.models.as_ref().is_none_or(|models| models.iter().any(named))
    }

    /// What a request of this moment spends from, in ascending order.
    pub(crate) fn scopes(&self, at: i64) -> Vec<Scope> {
        let (kind, id) = (ScopeKind::Account, self.account_id);
        let account = self.prepaid.then_some(Scope { kind, id, period_start: 0 });
        let budgets = self.budgets.iter().map(|(id, period)| Scope {
            kind: ScopeKind::Budget,
            id: *id,
            period_start: period.start(at),
        });
        let mut scopes: Vec<Scope> = account.into_iter().chain(budgets).collect();
        scopes.sort_unstable();
        scopes
    }

    /// Notes that the key was used.
    pub(crate) fn touch(&self, at: i64) {
        self.last_used.store(at, Ordering::Relaxed);
    }
}

/// All of it, at one revision.
pub(crate) struct Snapshot {
    revision: i64,
    pub(crate) keys: HashMap<KeyHash, Arc<KeyEntry>>,
    /// User ids by name.
    pub(crate) users: HashMap<String, Uuid>,
    /// Budgets by their ids.
    pub(crate) budgets: HashMap<Uuid, Budget>,
    pub(crate) price_version: i64,
    pub(crate) catalogue: Arc<Catalogue>,
}

/// The current snapshot, and the way to the next.
pub(crate) struct Snapshots {
    store: Store,
    current: ArcSwap<Snapshot>,
    /// One load at a time, so that an older load never replaces a newer one.
    loading: tokio::sync::Mutex<()>,
}

impl Snapshots {
    /// Loads the first.
    pub(crate) async fn load(store: Store) -> Result<Self, StoreError> {
        let first = read(&store, None).await?;
        Ok(Self {
            store,
            current: ArcSwap::from_pointee(first),
            loading: tokio::sync::Mutex::new(()),
        })
    }

    /// The current one.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Loads the next at once if the store has moved: after a change made here, before its caller is answered.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let _one = self.loading.lock().await;
        let current = self.current();
        if self.store.revision().await? != current.revision {
            self.touch(&current).await?;
            self.current.store(Arc::new(read(&self.store, Some(&current)).await?));
        }
        Ok(())
    }

    /// Follows the store until `stop`. While it cannot be reached, the last snapshot stays.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut failing = false;
        for look in 1_u32.. {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let mut result = self.refresh().await;
            if stopped || look % LOOKS_PER_TOUCH == 0 {
                let current = self.current();
                result = match result {
                    Ok(()) => self.touch(&current).await,
                    failed => failed,
                };
            }
            match result {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "the store cannot be read; keys and prices stay as they were");
                }
                Err(_) => {}
            }
            if stopped {
                return;
            }
        }
    }

    async fn touch(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let used: Vec<(Uuid, i64)> = snapshot
            .keys
            .values()
            .filter_map(|key| {
                Some((key.id, key.last_used.swap(0, Ordering::Relaxed))).filter(|(_, at)| *at != 0)
            })
            .collect();
        if used.is_empty() { Ok(()) } else { self.store.touch_keys(&used).await }
    }
}

async fn read(store: &Store, last: Option<&Snapshot>) -> Result<Snapshot, StoreError> {
    // The revision is read first: a change while the rest is read is seen at the next look.
    let revision = store.revision().await?;
    let price_version = store
        .latest_price_version()
        .await?
        .ok_or(StoreError::NotFound { what: "price version" })?
        .id;
    let catalogue = match last {
        Some(last) if last.price_version == price_version => Arc::clone(&last.catalogue),
        _ => Arc::new(store.catalogue(price_version).await?),
    };
    let users = store.users().await?;
    let prepaid: HashSet<Uuid> =
        users.iter().filter(|user| user.prepaid).map(|user| user.account_id).collect();
    let users = users.into_iter().map(|user| (user.name, user.id)).collect();
    let budgets: HashMap<Uuid, Budget> =
        store.budgets(clock::now()).await?.into_iter().map(|budget| (budget.id, budget)).collect();
    let mut by_owner: HashMap<BudgetOwner, Vec<(Uuid, BudgetPeriod)>> = HashMap::new();
    for budget in budgets.values() {
        by_owner.entry(budget.owner).or_default().push((budget.id, budget.period));
    }
    let mut keys = HashMap::new();
    for key in store.all_keys().await? {
        let Some(hash) = ledger::from_hex(&key.hash) else { continue };
        let own = [
            BudgetOwner::Key(key.id),
            BudgetOwner::User(key.user_id),
            BudgetOwner::Account(key.account_id),
        ];
        let entry = KeyEntry {
            id: key.id,
            user_id: key.user_id,
            user: key.user,
            account_id: key.account_id,
            expires_at: key.expires_at,
            revoked: key.revoked_at.is_some(),
            models: key.models,
            prepaid: prepaid.contains(&key.account_id),
            budgets: own
                .into_iter()
                .filter_map(|owner| by_owner.get(&owner))
                .flatten()
                .copied()
                .collect(),
            last_used: AtomicI64::new(0),
        };
        keys.insert(hash, Arc::new(entry));
    }
    Ok(Snapshot { revision, keys, users, budgets, price_version, catalogue })
}
