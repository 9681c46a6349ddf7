//! What has been used of limits lately, in the memory of this replica. Everything here happens under one lock and is a few
//! additions long, so that all limits of a request are looked at together: a request that one of them refuses is counted in
//! none.

use std::collections::HashMap;
use std::sync::Arc;

use store::Limits;
use uuid::Uuid;

use crate::pace::{MINUTE, Rate};

/// How long whoever has too much under way is told to wait.
pub(super) const WAIT_FOR_A_PLACE: i64 = 1_000_000;
/// Tokens of one request hold nobody back for longer than a day.
const LONGEST: i64 = 24 * 60 * MINUTE;

/// Whose limits they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Key(Uuid),
    User(Uuid),
    Account(Uuid),
    /// What an account asks of a model: `provider/model`.
    Model(Uuid, Arc<str>),
}

impl Owner {
    /// Which kind of owner it is.
    pub(crate) const fn kind(&self) -> usize {
        match self {
            Self::Key(_) => 0,
            Self::User(_) => 1,
            Self::Account(_) => 2,
            Self::Model(..) => 3,
        }
    }
}

/// Limits that apply to a request, and in whose name.
#[derive(Clone, Debug)]
pub(crate) struct Limited {
    pub(crate) owner: Owner,
    pub(crate) limits: Limits,
}

/// What is limited.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meter {
    Requests,
    Tokens,
    Concurrent,
}

/// A limit that refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) owner: Owner,
    pub(crate) meter: Meter,
    pub(crate) limit: i64,
    /// Microseconds until it may be tried again.
    pub(crate) wait: i64,
    /// Microseconds until all of it is there again.
    pub(crate) reset: i64,
}

/// How a limit stands after a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) limit: i64,
    pub(crate) remaining: i64,
    /// Microseconds until all of it is there again.
    pub(crate) reset: i64,
}

/// The limits that are nearest.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) requests: Option<Quota>,
    pub(crate) tokens: Option<Quota>,
}

impl Standing {
    /// Notes how a limit of requests stands: `debt` is the time until all of it is there again. `own` is what of the limit is
    /// counted here.
    pub(super) fn requests(&mut self, limit: i64, own: i64, debt: i64) {
        let rate = Rate::per_minute(own);
        let remaining = ((rate.full - debt) / rate.each).max(0);
        nearer(&mut self.requests, Quota { limit, remaining, reset: debt });
    }

    /// The same for tokens.
    pub(super) fn tokens(&mut self, limit: i64, own: i64, debt: i64) {
        let left = i128::from(own) * i128::from((MINUTE - debt).max(0)) / i128::from(MINUTE);
        let remaining = i64::try_from(left).unwrap_or(0);
        nearer(&mut self.tokens, Quota { limit, remaining, reset: debt });
    }
}

fn nearer(known: &mut Option<Quota>, quota: Quota) {
    if known.is_none_or(|known| quota.remaining < known.remaining) {
        *known = Some(quota);
    }
}

/// Of two limits that refuse a request, the one that does so for longer.
pub(super) fn longer(known: Option<Over>, over: Over) -> Over {
    match known {
        Some(known) if known.wait >= over.wait => known,
        _ => over,
    }
}

/// What of a limit one of so many replicas may give by itself: an equal share, and at least one.
pub(super) fn share(limit: i64, replicas: i64) -> i64 {
    (limit / replicas.max(1)).max(1)
}

/// How long so many tokens keep the place of the next, where so many a minute may be used.
pub(super) fn tokens_take(tokens: u64, limit: i64) -> i64 {
    let time = i128::from(tokens) * i128::from(MINUTE);
    let time = time.div_euclid(i128::from(limit.max(1)));
    i64::try_from(time).unwrap_or(LONGEST).min(LONGEST)
}

/// What an owner has used lately.
#[derive(Copy, Clone, Debug, Default)]
struct Counter {
    /// When all requests would have come if they had come evenly.
    requests: i64,
    /// The same for tokens.
    tokens: i64,
    /// Requests under way.
    running: i64,
}

impl Counter {
    fn rests(&self, now: i64) -> bool {
        self.running == 0 && self.requests.max(self.tokens) <= now
    }

    /// What refuses one more request, if anything does.
    fn over(&self, one: &Limited, replicas: i64, now: i64) -> Option<Over> {
        let refused = |meter, limit, wait, reset| Over {
            owner: one.owner.clone(),
            meter,
            limit,
            wait,
            reset,
        };
        let limits = one.limits;
        let mut over = None;
        if let Some(limit) = limits.requests_per_minute {
            let wait = Rate::per_minute(share(limit, replicas)).next(self.requests, now).err();
            let reset = self.requests - now;
            over = wait.map(|wait| refused(Meter::Requests, limit, wait, reset));
        }
        if let Some(limit) = limits.tokens_per_minute {
            let debt = self.tokens - now;
            if debt >= MINUTE {
                let wait = debt - MINUTE + 1;
                over = Some(longer(over, refused(Meter::Tokens, limit, wait, debt)));
            }
        }
        if let Some(limit) = limits.concurrent_requests
            && self.running >= share(limit, replicas)
        {
            let wait = WAIT_FOR_A_PLACE;
            over = Some(longer(over, refused(Meter::Concurrent, limit, wait, wait)));
        }
        over
    }
}

/// The counters of everybody who has limits and was there lately.
#[derive(Debug, Default)]
pub(crate) struct Counters(HashMap<Owner, Counter>);

impl Counters {
    /// Counts a request in all of its limits, or in none where one refuses it.
    pub(super) fn begin(
        &mut self,
        limited: &[Limited],
        replicas: i64,
        now: i64,
    ) -> Result<Standing, Over> {
        let mut over = None;
        for one in limited {
            let counter = self.0.get(&one.owner).copied().unwrap_or_default();
            if let Some(another) = counter.over(one, replicas, now) {
                over = Some(longer(over, another));
            }
        }
        match over {
            Some(over) => Err(over),
            None => Ok(self.count(limited, replicas, now)),
        }
    }

    /// Counts a request that somebody else has let in; of whoever is over their share already, no more than that is known.
    pub(super) fn count(&mut self, limited: &[Limited], replicas: i64, now: i64) -> Standing {
        let mut standing = Standing::default();
        for Limited { owner, limits } in limited {
            let counter = self.0.entry(owner.clone()).or_default();
            if let Some(limit) = limits.requests_per_minute {
                let own = share(limit, replicas);
                let rate = Rate::per_minute(own);
                counter.requests = (counter.requests.max(now) + rate.each).min(now + rate.full);
                standing.requests(limit, own, counter.requests - now);
            }
            if let Some(limit) = limits.tokens_per_minute {
                standing.tokens(limit, share(limit, replicas), (counter.tokens - now).max(0));
            }
            if limits.concurrent_requests.is_some() {
                counter.running += 1;
            }
        }
        standing
    }

    /// A request that was counted has ended.
    pub(super) fn end(&mut self, limited: &[Limited]) {
        for one in limited.iter().filter(|one| one.limits.concurrent_requests.is_some()) {
            if let Some(counter) = self.0.get_mut(&one.owner) {
                counter.running -= 1;
            }
        }
    }

    /// Counts tokens. Where somebody else decides who goes on, no more is known than that a share is used up.
    pub(super) fn used(
        &mut self,
        one: &Limited,
        tokens: u64,
        (replicas, decides): (i64, bool),
        now: i64,
    ) {
        let Some(limit) = one.limits.tokens_per_minute else { return };
        let counter = self.0.entry(one.owner.clone()).or_default();
        let due = counter.tokens.max(now) + tokens_take(tokens, share(limit, replicas));
        counter.tokens = if decides { due } else { due.min(now + MINUTE) };
    }

    /// What is owed, in time: requests and tokens of each owner.
    pub(super) fn owed(&self, now: i64) -> impl Iterator<Item = (&Owner, i64, i64)> {
        self.0.iter().map(move |(owner, counter)| {
            (owner, (counter.requests - now).max(0), (counter.tokens - now).max(0))
        })
    }

    /// Forgets whoever owes nothing.
    pub(super) fn sweep(&mut self, now: i64) {
        self.0.retain(|_, counter| !counter.rests(now));
    }
}
