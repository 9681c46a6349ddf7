//! What a request needs to know, in memory: keys, users, prices. An immutable value, swapped whole.
//!
//! Every change of the store raises its revision in the same transaction. A task looks at the revision four times a
//! second and builds the next snapshot when it has moved, so that a key revoked anywhere, by any process, is refused
//! within a second, and no request asks the database who its caller is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use foldhash::{HashMap, HashMapExt as _, HashSet};
use ipnet::IpNet;
use ledger::{BudgetPeriod, Catalogue, Model, Scope, ScopeKind};
use store::{
    Budget, BudgetOwner, LimitOwner, Limits, Member, ModelAlias, Role, Store, StoreError, User,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::keys::KeyHash;
use crate::providers::Providers;
use crate::proxies::{Proxies, network};
use crate::rates::{Limited, Owner};
use crate::routing::Plan;
use crate::scopes::Scopes;
use crate::{clock, credentials};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the moments of last use go to the store, in looks.
const LOOKS_PER_TOUCH: u32 = 8;

/// A key as a request meets it.
pub(crate) struct KeyEntry {
    pub(crate) id: Uuid,
    /// All that may be shown of it.
    pub(crate) last4: String,
    pub(crate) user_id: Uuid,
    pub(crate) user: String,
    pub(crate) account_id: Uuid,
    pub(crate) expires_at: Option<i64>,
    pub(crate) revoked: bool,
    /// Switched off, or its user is shut out.
    pub(crate) disabled: bool,
    pub(crate) scopes: Scopes,
    /// Where it may be used from; `None` is everywhere.
    pub(crate) allowed_ips: Option<Vec<IpNet>>,
    /// Its own limits, its user's and its account's.
    limits: Vec<Limited>,
    /// The models it may use; `None` is all.
    pub(crate) models: Option<Vec<String>>,
    /// Whether it has a budget of its own.
    pub(crate) has_budget: bool,
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

    /// The limits that are the key's own.
    pub(crate) fn own_limits(&self) -> Limits {
        let own = self.limits.iter().find(|one| one.owner == Owner::Key(self.id));
        own.map(|one| one.limits).unwrap_or_default()
    }

    /// Notes that the key was used.
    pub(crate) fn touch(&self, at: i64) {
        self.last_used.store(at, Ordering::Relaxed);
    }
}

/// A user or an organization, as a request meets it.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) account_id: Uuid,
    pub(crate) is_organization: bool,
    pub(crate) operator: bool,
    pub(crate) disabled: bool,
    /// The organizations that the person belongs to, with their accounts.
    pub(crate) memberships: Vec<Membership>,
}

/// Somebody in an organization.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) organization: Uuid,
    pub(crate) name: String,
    pub(crate) account_id: Uuid,
    pub(crate) role: Role,
}

/// All of it, at one revision. Its tables are hashed quickly, under a seed of this process: strangers choose few of the names in
/// them, and a request looks into several.
#[derive(Clone)]
pub(crate) struct Snapshot {
    revision: i64,
    pub(crate) keys: HashMap<KeyHash, Arc<KeyEntry>>,
    /// Ids of users and organizations by name.
    pub(crate) users: HashMap<String, Uuid>,
    /// Everybody who may sign in, and organizations.
    pub(crate) people: HashMap<Uuid, Arc<Person>>,
    pub(crate) proxies: Proxies,
    /// Budgets by their ids.
    pub(crate) budgets: HashMap<Uuid, Budget>,
    /// Of each key that another has taken the place of, the last that did: the budget is with that one, and all spend it.
    successors: HashMap<Uuid, Uuid>,
    pub(crate) price_version: i64,
    pub(crate) catalogue: Arc<Catalogue>,
    /// Other names for models, in their order.
    pub(crate) aliases: BTreeMap<String, Alias>,
    /// Limits of users and accounts.
    pub(crate) limits: HashMap<Uuid, Limits>,
    /// Those of models, by `provider/model`.
    pub(crate) model_limits: HashMap<Arc<str>, ModelLimits>,
    /// The models that clients do not see, by provider.
    hidden: HashMap<String, HashSet<String>>,
}

/// What accounts may ask of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelLimits {
    /// Each that has none of its own.
    pub(crate) each: Option<Limits>,
    pub(crate) own: HashMap<Uuid, Limits>,
}

impl Snapshot {
    /// All limits of a request. One that may go to several models counts in those of each.
    pub(crate) fn limited(&self, key: &KeyEntry, plan: &Plan) -> Vec<Limited> {
        let mut limited = key.limits.clone();
        if self.model_limits.is_empty() {
            return limited;
        }
        for target in &plan.targets {
            let model = format!("{}/{}", target.provider, target.model);
            let Some((model, known)) = self.model_limits.get_key_value(model.as_str()) else {
                continue;
            };
            let own = known.own.get(&key.account_id).copied().or(known.each);
            let owner = Owner::Model(key.account_id, Arc::clone(model));
            if let Some(limits) = own
                && !limited.iter().any(|one| one.owner == owner)
            {
                limited.push(Limited { owner, limits });
            }
        }
        limited
    }

    /// Whose budget a key spends that is the key's own.
    pub(crate) fn budget_owner(&self, key: Uuid) -> BudgetOwner {
        BudgetOwner::Key(self.successors.get(&key).copied().unwrap_or(key))
    }

    /// Those that spend one budget with a key, itself among them.
    pub(crate) fn sharers(&self, key: Uuid) -> Vec<BudgetOwner> {
        let last = self.budget_owner(key);
        let before = self.successors.iter().filter(|(_, next)| BudgetOwner::Key(**next) == last);
        before.map(|(key, _)| BudgetOwner::Key(*key)).chain([last]).collect()
    }

    /// A model of the price list that clients see.
    pub(crate) fn model(&self, provider: &str, name: &str) -> Option<&Model> {
        self.catalogue.get(provider, name).filter(|model| !self.hides(model))
    }

    /// Whether clients do not see a model.
    pub(crate) fn hides(&self, model: &Model) -> bool {
        self.hidden.get(&model.provider).is_some_and(|models| models.contains(&model.name))
    }
}

/// What another name for a model stands for.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) provider: String,
    pub(crate) model: String,
    /// Whether it is in no list of models.
    pub(crate) hidden: bool,
}

/// The current snapshot, and the way to the next.
pub(crate) struct Snapshots {
    store: Store,
    proxies: ArcSwap<Proxies>,
    /// Who are told of the credentials that are stored for them.
    providers: Arc<Providers>,
    current: ArcSwap<Snapshot>,
    /// When the store was last seen to have nothing newer.
    fresh: Mutex<Instant>,
    /// One load at a time, so that an older load never replaces a newer one.
    loading: tokio::sync::Mutex<()>,
}

impl Snapshots {
    /// Loads the first.
    pub(crate) async fn load(
        store: Store,
        proxies: Proxies,
        providers: Arc<Providers>,
    ) -> Result<Self, StoreError> {
        let first = read(&store, &proxies, None).await?;
        take_up(&providers, &store).await?;
        Ok(Self {
            store,
            proxies: ArcSwap::from_pointee(proxies),
            providers,
            current: ArcSwap::from_pointee(first),
            fresh: Mutex::new(Instant::now()),
            loading: tokio::sync::Mutex::new(()),
        })
    }

    /// The current one.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Trusts those proxies from now on.
    pub(crate) async fn trust(&self, proxies: Proxies) {
        let _one = self.loading.lock().await;
        self.proxies.store(Arc::new(proxies.clone()));
        let current = self.current();
        self.current.store(Arc::new(Snapshot { proxies, ..Snapshot::clone(&current) }));
    }

    /// Loads the next at once if the store has moved: after a change made here, before its caller is answered.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let _one = self.loading.lock().await;
        let current = self.current();
        let looked = Instant::now();
        if self.store.revision().await? != current.revision {
            self.touch(&current).await?;
            let next = read(&self.store, &self.proxies.load_full(), Some(&current)).await?;
            take_up(&self.providers, &self.store).await?;
            self.current.store(Arc::new(next));
        }
        *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) = looked;
        Ok(())
    }

    /// The revision in memory, and for how long it was not compared with the store's, in microseconds.
    pub(crate) fn freshness(&self) -> (i64, u64) {
        let fresh = *self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        let age = u64::try_from(fresh.elapsed().as_micros()).unwrap_or(u64::MAX);
        (self.current().revision, age)
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

/// Puts in force what credentials are stored, and says which are others than before.
async fn take_up(providers: &Providers, store: &Store) -> Result<(), StoreError> {
    for provider in providers.take_up(store.provider_credentials().await?) {
        credentials::log(&provider);
    }
    for own in providers.take_up_own(store.own_keys().await?) {
        credentials::log(&own);
    }
    Ok(())
}

async fn read(
    store: &Store,
    proxies: &Proxies,
    last: Option<&Snapshot>,
) -> Result<Snapshot, StoreError> {
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
    let people = people(&users, store.all_members().await?);
    let users = users.into_iter().map(|user| (user.name, user.id)).collect();
    let budgets: HashMap<Uuid, Budget> =
        store.budgets(clock::now()).await?.into_iter().map(|budget| (budget.id, budget)).collect();
    let mut by_owner: HashMap<BudgetOwner, Vec<(Uuid, BudgetPeriod)>> = HashMap::new();
    for budget in budgets.values() {
        by_owner.entry(budget.owner).or_default().push((budget.id, budget.period));
    }
    let (limits, model_limits) = limits(store.limits().await?);
    let mut keys = HashMap::new();
    let all = store.all_keys().await?;
    let successors = crate::manage::keys::successors(&all);
    for key in all {
        let Some(hash) = ledger::from_hex(&key.hash) else { continue };
        let (key_own, next) = (BudgetOwner::Key(key.id), successors.get(&key.id));
        let shared = next.map(|next| BudgetOwner::Key(*next));
        let of_key = |owner: &BudgetOwner| by_owner.contains_key(owner);
        let has_budget = of_key(&key_own) || shared.as_ref().is_some_and(of_key);
        let own = [key_own, BudgetOwner::User(key.user_id), BudgetOwner::Account(key.account_id)];
        let budgets =
            own.into_iter().chain(shared).filter_map(|owner| by_owner.get(&owner)).flatten();
        let budgets = budgets.copied().collect();
        let prepaid = prepaid.contains(&key.account_id);
        let own = own_limits(&key, &limits);
        let entry = KeyEntry::of(key, prepaid, (has_budget, budgets), own);
        keys.insert(hash, Arc::new(entry));
    }
    let aliases = store.aliases().await?.into_iter().filter_map(alias).collect();
    let mut hidden: HashMap<String, HashSet<String>> = HashMap::new();
    for stored in store.hidden_models().await? {
        let Some((provider, model)) = stored.model_id.split_once('/') else { continue };
        hidden.entry(provider.to_owned()).or_default().insert(model.to_owned());
    }
    let proxies = proxies.clone();
    Ok(Snapshot {
        revision,
        keys,
        users,
        people,
        proxies,
        budgets,
        successors,
        price_version,
        catalogue,
        aliases,
        limits,
        model_limits,
        hidden,
    })
}

/// Limits of users and accounts, and those of models.
fn limits(all: Vec<store::Limit>) -> (HashMap<Uuid, Limits>, HashMap<Arc<str>, ModelLimits>) {
    let (mut limits, mut models) = (HashMap::new(), HashMap::<Arc<str>, ModelLimits>::new());
    for store::Limit { owner, limits: own, .. } in all {
        match owner {
            LimitOwner::Key(id) | LimitOwner::User(id) | LimitOwner::Account(id) => {
                limits.insert(id, own);
            }
            LimitOwner::Model(account, model) => {
                let known = models.entry(model.into()).or_default();
                match account {
                    None => known.each = Some(own),
                    Some(account) => drop(known.own.insert(account, own)),
                }
            }
        }
    }
    (limits, models)
}

/// The limits of a key, of its user and of its account.
fn own_limits(key: &store::Key, limits: &HashMap<Uuid, Limits>) -> Vec<Limited> {
    let own = Limits {
        requests_per_minute: key.requests_per_minute,
        tokens_per_minute: key.tokens_per_minute,
        concurrent_requests: key.concurrent_requests,
    };
    let own = Some(Limited { owner: Owner::Key(key.id), limits: own });
    let of = |owner: Owner, id| limits.get(id).map(|limits| Limited { owner, limits: *limits });
    let user = of(Owner::User(key.user_id), &key.user_id);
    let account = of(Owner::Account(key.account_id), &key.account_id);
    let all = own.into_iter().chain(user).chain(account);
    all.filter(|one| one.limits != Limits::default()).collect()
}

fn alias(stored: ModelAlias) -> Option<(String, Alias)> {
    let (provider, model) = stored.model_id.split_once('/')?;
    let (provider, model) = (provider.to_owned(), model.to_owned());
    Some((stored.alias, Alias { provider, model, hidden: stored.hidden }))
}

fn people(users: &[User], members: Vec<Member>) -> HashMap<Uuid, Arc<Person>> {
    let accounts: HashMap<Uuid, Uuid> =
        users.iter().map(|user| (user.id, user.account_id)).collect();
    let mut memberships: HashMap<Uuid, Vec<Membership>> = HashMap::new();
    for member in members {
        let Some(account_id) = accounts.get(&member.organization_id) else { continue };
        memberships.entry(member.user_id).or_default().push(Membership {
            organization: member.organization_id,
            name: member.organization,
            account_id: *account_id,
            role: member.role,
        });
    }
    let person = |user: &User| Person {
        id: user.id,
        name: user.name.clone(),
        account_id: user.account_id,
        is_organization: user.kind == "organization",
        operator: user.operator,
        disabled: user.disabled_at.is_some(),
        memberships: memberships.get(&user.id).cloned().unwrap_or_default(),
    };
    users.iter().map(|user| (user.id, Arc::new(person(user)))).collect()
}

impl KeyEntry {
    fn of(
        key: store::Key,
        prepaid: bool,
        (has_budget, budgets): (bool, Vec<(Uuid, BudgetPeriod)>),
        limits: Vec<Limited>,
    ) -> Self {
        // What cannot be read lets nobody in.
        let networks = |texts: Vec<String>| texts.iter().filter_map(|t| network(t)).collect();
        Self {
            id: key.id,
            last4: key.last4,
            user_id: key.user_id,
            user: key.user,
            account_id: key.account_id,
            expires_at: key.expires_at,
            revoked: key.revoked_at.is_some(),
            disabled: key.disabled_at.is_some() || key.user_disabled_at.is_some(),
            scopes: Scopes::stored(&key.scopes),
            allowed_ips: key.allowed_ips.map(networks),
            limits,
            models: key.models,
            has_budget,
            prepaid,
            budgets,
            last_used: AtomicI64::new(0),
        }
    }
}
