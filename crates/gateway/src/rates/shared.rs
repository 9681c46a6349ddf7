//! Limits that several replicas keep together, in Redis: one script for each request that has any, on the server's own clock.
//!
//! While the server cannot be reached nobody waits for it. When it is there again it is told first what is owed and what is
//! under way, which a server that has lost its memory does not know.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tokio::sync::Notify;
use uuid::Uuid;

use super::counters::{Limited, Meter, Over, Owner, Standing, longer};
use crate::pace::{MINUTE, Rate};

const SCRIPT: &str = include_str!("script.lua");
/// As the script calls it.
const FREE: &str = "free";
/// No request waits longer than this.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a new connection may take, and what it is told first.
const CONNECTING: Duration = Duration::from_secs(2);
/// Beyond so many, what waits to be noted is not: places are free again by themselves.
const MOST_WAITING: usize = 100_000;
/// So much is said at once.
const CHUNK: usize = 500;

/// Something that is done at the server. The script says what each means.
pub(super) struct Op {
    key: String,
    what: &'static str,
    one: String,
    two: String,
}

impl Op {
    fn new(owner: &Owner, meter: Meter, what: &'static str, one: String, two: String) -> Self {
        Self { key: key(owner, meter), what, one, two }
    }

    /// The place of a request is free again.
    pub(super) fn free(owner: &Owner, request: Uuid) -> Self {
        Self::new(owner, Meter::Concurrent, FREE, request.simple().to_string(), String::new())
    }

    /// Tokens were used that take so long.
    pub(super) fn used(owner: &Owner, time: i64) -> Self {
        Self::new(owner, Meter::Tokens, "used", time.to_string(), String::new())
    }

    /// So much is owed at least.
    pub(super) fn owed(owner: &Owner, meter: Meter, time: i64) -> Self {
        Self::new(owner, meter, "owed", time.min(MINUTE).to_string(), String::new())
    }

    /// A request is still under way.
    pub(super) fn keep(owner: &Owner, request: Uuid) -> Self {
        Self::new(owner, Meter::Concurrent, "keep", request.simple().to_string(), String::new())
    }

    /// A request is under way, which the server may not know.
    pub(super) fn hold(owner: &Owner, request: Uuid) -> Self {
        Self { what: "hold", ..Self::keep(owner, request) }
    }
}

/// The hash tag keeps all of them at one server of a cluster, as a script asks for.
fn key(owner: &Owner, meter: Meter) -> String {
    let mut key = String::from(match meter {
        Meter::Requests => "tollgate:{limits}:requests:",
        Meter::Tokens => "tollgate:{limits}:tokens:",
        Meter::Concurrent => "tollgate:{limits}:concurrent:",
    });
    // A text can always be written to.
    let _ = match owner {
        Owner::Key(id) => write!(key, "key:{id}"),
        Owner::User(id) => write!(key, "user:{id}"),
        Owner::Account(id) => write!(key, "account:{id}"),
        Owner::Model(id, model) => write!(key, "model:{id}:{model}"),
    };
    key
}

/// A limit of a request, in the order in which the script is asked about it.
type Asked<'a> = (&'a Owner, Meter, i64);

/// What is to be noted soon.
#[derive(Default)]
struct Waiting {
    /// Places that are free again: with the next call, so that the request behind another finds its place.
    free: Vec<Op>,
    /// Tokens: not with a call whose client may hang up before it is sent.
    used: Vec<Op>,
}

/// The server, whether it is there or not.
pub(crate) struct Shared {
    client: Client,
    script: Script,
    link: ArcSwapOption<MultiplexedConnection>,
    waiting: Mutex<Waiting>,
    pub(super) wake: Notify,
    /// Whether it was said that the server is away.
    told: AtomicBool,
}

impl Shared {
    /// Nothing is asked yet. The error does not repeat the address, which may have a password in it.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let client = Client::open(url).map_err(|_| {
            anyhow::anyhow!("REDIS_URL: expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS")
        })?;
        let script = Script::new(SCRIPT);
        Ok(Self {
            client,
            script,
            link: ArcSwapOption::empty(),
            waiting: Mutex::default(),
            wake: Notify::new(),
            told: AtomicBool::new(false),
        })
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.load().is_some()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something soon.
    pub(super) fn note(&self, op: Op) {
        let mut waiting = self.waiting();
        let Waiting { free, used } = &mut *waiting;
        let list = if op.what == FREE { free } else { used };
        if list.len() < MOST_WAITING {
            list.push(op);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Counts a request in all of its limits, or in none. `None` where the server does not say.
    pub(super) async fn begin(
        &self,
        limited: &[Limited],
        request: Uuid,
    ) -> Option<Result<Standing, Over>> {
        let link = self.link.load_full()?;
        let mut ops = std::mem::take(&mut self.waiting().free);
        let asked = ask(limited, request, &mut ops);
        match self.run(&link, &ops).await {
            Ok(answer) => verdict(&asked, &answer),
            Err(error) => {
                // Whether they were heard or not: twice is as good as once.
                let free = ops.into_iter().filter(|op| op.what == FREE);
                self.waiting().free.extend(free);
                self.fell_away(&link, &error);
                None
            }
        }
    }

    async fn run(&self, link: &MultiplexedConnection, ops: &[Op]) -> Result<Vec<i64>, RedisError> {
        let mut call = self.script.prepare_invoke();
        for Op { key, what, one, two } in ops {
            call.key(key).arg(*what).arg(one).arg(two);
        }
        call.invoke_async(&mut link.clone()).await
    }

    fn fell_away(&self, link: &Arc<MultiplexedConnection>, error: &RedisError) {
        let seen = Some(Arc::clone(link));
        let before = self.link.compare_and_swap(&seen, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, link)) {
            self.tell(error);
            self.wake.notify_one();
        }
    }

    /// Says once that the server is away.
    fn tell(&self, error: &RedisError) {
        if !self.told.swap(true, Ordering::Relaxed) {
            // Its text may quote what was sent, and that a password.
            let kind = error.kind();
            tracing::warn!(
                ?kind,
                "Redis cannot be reached: each replica keeps limits with its share of them"
            );
        }
    }

    /// Connects, and tells the server what it may not know.
    pub(super) async fn connect(&self, owed: impl FnOnce() -> Vec<Op>) -> bool {
        match self.try_to_connect(owed).await {
            Ok(link) => {
                self.link.store(Some(Arc::new(link)));
                self.told.store(false, Ordering::Relaxed);
                tracing::info!("limits are kept in Redis");
                true
            }
            Err(error) => {
                self.tell(&error);
                false
            }
        }
    }

    async fn try_to_connect(
        &self,
        owed: impl FnOnce() -> Vec<Op>,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTING))
            .set_response_timeout(Some(CONNECTING));
        let mut link = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.script.prepare_invoke().load_async(&mut link).await?;
        for ops in owed().chunks(CHUNK) {
            self.run(&link, ops).await?;
        }
        link.set_response_timeout(PATIENCE);
        Ok(link)
    }

    /// Says what waits, and these, and something in any case where it is to be seen whether the server is there; false where
    /// it is not.
    pub(super) async fn flush(&self, more: Vec<Op>, ping: bool) -> bool {
        let Some(link) = self.link.load_full() else { return false };
        let Waiting { free: mut ops, used } = std::mem::take(&mut *self.waiting());
        ops.extend(used);
        ops.extend(more);
        let nothing: &[Op] = &[];
        let chunks = ops.chunks(CHUNK).chain(Some(nothing).filter(|_| ping && ops.is_empty()));
        for ops in chunks {
            if let Err(error) = self.run(&link, ops).await {
                self.fell_away(&link, &error);
                return false;
            }
        }
        true
    }

    /// Whether the server answers and runs the script, for whoever looks for mistakes.
    pub(crate) async fn check(&self) -> Result<(), String> {
        let link = self.try_to_connect(Vec::new).await;
        link.map(drop).map_err(|error| format!("{:?}", error.kind()))
    }
}

/// What the script is asked about a request.
fn ask<'a>(limited: &'a [Limited], request: Uuid, ops: &mut Vec<Op>) -> Vec<Asked<'a>> {
    let mut asked = Vec::new();
    for Limited { owner, limits } in limited {
        if let Some(limit) = limits.requests_per_minute {
            let Rate { each, full } = Rate::per_minute(limit);
            let (meter, each, full) = (Meter::Requests, each.to_string(), full.to_string());
            ops.push(Op::new(owner, meter, "requests", each, full));
            asked.push((owner, meter, limit));
        }
        if let Some(limit) = limits.tokens_per_minute {
            let meter = Meter::Tokens;
            ops.push(Op::new(owner, meter, "tokens", MINUTE.to_string(), String::new()));
            asked.push((owner, meter, limit));
        }
        if let Some(limit) = limits.concurrent_requests {
            let (meter, request) = (Meter::Concurrent, request.simple().to_string());
            ops.push(Op::new(owner, meter, "concurrent", limit.to_string(), request));
            asked.push((owner, meter, limit));
        }
    }
    asked
}

/// What the script has said: for each limit, how long it refuses the request and how it stands.
fn verdict(asked: &[Asked<'_>], answer: &[i64]) -> Option<Result<Standing, Over>> {
    if answer.len() != 2 * asked.len() {
        return None;
    }
    let (mut over, mut standing) = (None, Standing::default());
    for (&(owner, meter, limit), pair) in asked.iter().zip(answer.chunks_exact(2)) {
        let (wait, stands) = (pair[0], pair[1]);
        if wait > 0 {
            let reset = if meter == Meter::Concurrent { wait } else { stands };
            over = Some(longer(over, Over { owner: owner.clone(), meter, limit, wait, reset }));
        }
        match meter {
            Meter::Requests => standing.requests(limit, limit, stands),
            Meter::Tokens => standing.tokens(limit, limit, stands),
            Meter::Concurrent => {}
        }
    }
    Some(over.map_or(Ok(standing), Err))
}
