//! What the running program is made of.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capture::Capture;
use crate::config::Settings;
use crate::console::Exports;
use crate::ending::Ending;
use crate::funds::{self, Funds};
use crate::health::{self, Health};
use crate::idempotency::Keys;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::people::People;
use crate::providers::Providers;
use crate::proxies::Proxies;
use crate::rates::{self, Rates, Shared};
use crate::snapshot::Snapshots;
use crate::sticky::Homes;
use crate::telemetry::{Lines, Telemetry};
use crate::upstream::Upstream;

/// How long the database may take over one statement.
const STATEMENT: Duration = Duration::from_secs(30);

/// The components, built once and handed on by reference.
pub(crate) struct App {
    /// As they were at the start: for all that does not change while it runs.
    pub(crate) settings: Settings,
    /// As they are now, for all that may change while it runs.
    pub(crate) live: ArcSwap<Settings>,
    pub(crate) store: Store,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) providers: Arc<Providers>,
    pub(crate) upstream: Upstream,
    pub(crate) journal: Arc<Journal>,
    pub(crate) funds: Arc<Funds>,
    pub(crate) idempotency: Arc<Keys>,
    pub(crate) people: People,
    pub(crate) health: Arc<Health>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) limits: Limits,
    pub(crate) exports: Exports,
    /// Where requests and answers are recorded, if anywhere.
    pub(crate) capture: Option<Arc<Capture>>,
    pub(crate) rates: Arc<Rates>,
    /// Where answers are stored that requests go on from.
    pub(crate) homes: Homes,
    pub(crate) ending: Arc<Ending>,
    /// Upstream calls and what follows them: they outlive their client, and shutdown waits for them.
    pub(crate) tasks: TaskTracker,
    /// Work in the background, which ends after the last task.
    pub(crate) background: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl App {
    /// Opens the store, brings it up to date and starts the background work.
    pub(crate) async fn build(settings: Settings, lines: Lines) -> anyhow::Result<Arc<Self>> {
        let telemetry = Telemetry::new(&settings, lines)?;
        let capture = Capture::open(&settings.capture)?;
        let shared = settings.redis_url().map(Shared::new).transpose()?.map(Arc::new);
        let providers = Arc::new(Providers::from_settings(&settings)?);
        let people = People::from_settings(&settings)?;
        let store = crate::cli::open_to_serve(&settings).await?.bounded(STATEMENT);
        let proxies = Proxies::new(&settings.trusted_proxies);
        let snapshots =
            Arc::new(Snapshots::load(store.clone(), proxies, Arc::clone(&providers)).await?);
        let upstream = Upstream::new(providers.need_tls())?;
        let background = TaskTracker::new();
        let stop = CancellationToken::new();
        let (folder, durability) = (&settings.data_dir, settings.durability);
        let journal = Journal::open(folder, durability, &store, &background, &stop).await?;
        let funds =
            Arc::new(Funds::new(store.clone(), Arc::clone(&journal), settings.slice_seconds));
        background.spawn(funds::keep(Arc::clone(&funds), stop.clone()));
        background.spawn(Arc::clone(&snapshots).follow(stop.clone()));
        let health = Arc::new(Health::default());
        let kept =
            health::keep(Arc::clone(&health), store.clone(), journal.replica(), stop.clone());
        background.spawn(kept);
        let tasks = TaskTracker::new();
        let idempotency = Keys::new(&store, journal.replica(), &tasks);
        background.spawn(Arc::clone(&idempotency).follow(stop.clone()));
        let limits = Limits::new(&settings.network);
        let rates = Rates::new(shared.clone());
        rates.look(&store).await?;
        background.spawn(rates::count(Arc::clone(&rates), store.clone(), stop.clone()));
        if let Some(shared) = shared {
            background.spawn(rates::keep(Arc::clone(&rates), shared, stop.clone()));
        }
        Ok(Arc::new(Self {
            limits,
            exports: Exports::default(),
            capture,
            rates,
            homes: Homes::default(),
            ending: Arc::default(),
            live: ArcSwap::from_pointee(settings.clone()),
            settings,
            store,
            snapshots,
            providers,
            upstream,
            journal,
            funds,
            idempotency,
            people,
            health,
            telemetry,
            tasks,
            background,
            stop,
        }))
    }

    /// Waits until every upstream call is settled, those that go on after `until` by what has come of them; then ends the
    /// background work.
    pub(crate) async fn shut_down(self: Arc<Self>, until: impl Future<Output = ()>) {
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = until => {
                self.ending.cut();
                self.tasks.wait().await;
            }
        }
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
        // Whatever was not spent is the ledger's again.
        if self.journal.is_applied()
            && let Err(error) = self.funds.close().await
        {
            tracing::warn!(%error, "credit that was not spent goes back at the next start");
        }
        if let Some(capture) = self.capture.clone() {
            capture.close().await;
        }
        Arc::clone(&self.telemetry).close().await;
    }
}
