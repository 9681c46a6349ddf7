//! How much there may be at once: connections, requests, bytes of bodies. What is over is refused at once, so that what is
//! under way goes on as before.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZero;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use crate::network::Network;
use crate::problem::Problem;

/// Files for everything but clients: the database, the journal, logs.
const RESERVED_FILES: u64 = 256;
/// No more connections than that where nobody says how many.
const MOST_CONNECTIONS: u64 = 16_384;
/// So many connections beyond the limit are told so; whoever comes then finds the door shut.
const REFUSED: u64 = 128;

/// What there may be, and what there is of it.
pub(crate) struct Limits {
    connections: Arc<Gauge>,
    refused: Arc<Gauge>,
    by_address: Arc<Addresses>,
    requests: Arc<Gauge>,
    requests_by_address: Arc<Addresses>,
    pub(crate) bodies: Arc<Gauge>,
    /// Large bodies that may be read at once: others have half of the processors for themselves.
    pub(crate) turns: Semaphore,
}

impl Limits {
    pub(crate) fn new(network: &Network) -> Self {
        Self {
            connections: Gauge::new(connections(network)),
            refused: Gauge::new(REFUSED),
            by_address: Addresses::new(network.connections_per_address),
            requests: Gauge::new(network.requests.into()),
            requests_by_address: Addresses::new(network.requests_per_address),
            bodies: Gauge::new(network.body_memory_bytes),
            turns: Semaphore::new((processors() / 2).max(1)),
        }
    }

    /// From now on there may be so much. What there is more of goes on.
    pub(crate) fn renew(&self, network: &Network) {
        self.connections.most.store(connections(network), Ordering::Relaxed);
        self.requests.most.store(network.requests.into(), Ordering::Relaxed);
        self.bodies.most.store(network.body_memory_bytes, Ordering::Relaxed);
        self.by_address.most.store(network.connections_per_address, Ordering::Relaxed);
        self.requests_by_address.most.store(network.requests_per_address, Ordering::Relaxed);
    }

    /// A place for a connection, or for one that is told that there is none; nothing where there is not even that.
    pub(crate) fn connection(&self, peer: IpAddr, trusted: bool) -> Option<Entrance> {
        let address = if trusted { Some(None) } else { self.by_address.take(peer) };
        if let (Some(address), Some(place)) = (address, self.connections.take(1)) {
            return Some(Entrance { over: false, _place: place, _address: address });
        }
        let place = self.refused.take(1)?;
        Some(Entrance { over: true, _place: place, _address: None })
    }

    /// A place for a request of a client at that address, which is asked for only where it counts.
    pub(crate) fn request(&self, client: impl FnOnce() -> IpAddr) -> Result<Place, Problem> {
        let place = self.requests.take(1).ok_or_else(overloaded)?;
        let address = if self.requests_by_address.most.load(Ordering::Relaxed) == 0 {
            None
        } else {
            self.requests_by_address.take(client()).ok_or_else(too_many)?
        };
        Ok(Place { _place: place, _address: address })
    }
}

/// Of a connection that is open.
pub(crate) struct Entrance {
    /// It is one too many, and told so.
    pub(crate) over: bool,
    _place: Taken,
    _address: Option<OfAddress>,
}

/// Of a request that is under way.
pub(crate) struct Place {
    _place: Taken,
    _address: Option<OfAddress>,
}

/// 503: there is more to do than this can do.
pub(crate) fn overloaded() -> Problem {
    let message = "there are too many requests at once right now; try again";
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
    problem.retry_after = Some(1);
    problem
}

/// 429: one client has too much under way.
fn too_many() -> Problem {
    let message = "there are too many requests from this address at once";
    let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
    problem.retry_after = Some(1);
    problem
}

fn connections(network: &Network) -> u64 {
    let files = raise_files();
    match network.connections {
        // One file for the client, one for the provider.
        0 => (files.saturating_sub(RESERVED_FILES + REFUSED) / 2).clamp(1, MOST_CONNECTIONS),
        some => some.into(),
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Lets this process open as many files as it may, and says how many that are.
fn raise_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    (if raised { maximum } else { current }).unwrap_or(u64::MAX)
}

/// Something that there may be so much of.
pub(crate) struct Gauge {
    now: AtomicU64,
    most: AtomicU64,
}

impl Gauge {
    pub(crate) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { now: AtomicU64::new(0), most: most.into() })
    }

    /// Whether so much more would be too much now.
    pub(crate) fn has(&self, count: u64) -> bool {
        self.now.load(Ordering::Relaxed).saturating_add(count) <= self.most.load(Ordering::Relaxed)
    }

    /// Whether so much is ever to be had by what leaves a quarter to others.
    pub(crate) fn fits(&self, count: u64) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        count <= most - most / 4
    }

    /// Whether so much more leaves a quarter of all to others now.
    pub(crate) fn spares(&self, count: u64) -> bool {
        count == 0 || self.has(count.saturating_add(self.most.load(Ordering::Relaxed) / 4))
    }

    fn add(&self, count: u64) -> bool {
        let before = self.now.fetch_add(count, Ordering::Relaxed);
        let fits = before.saturating_add(count) <= self.most.load(Ordering::Relaxed);
        if !fits {
            self.now.fetch_sub(count, Ordering::Relaxed);
        }
        fits
    }

    pub(crate) fn take(self: &Arc<Self>, count: u64) -> Option<Taken> {
        self.add(count).then(|| Taken { gauge: Arc::clone(self), count })
    }
}

/// Goes back when it is dropped.
pub(crate) struct Taken {
    gauge: Arc<Gauge>,
    count: u64,
}

impl Taken {
    /// Takes more; false where there is not so much.
    pub(crate) fn more(&mut self, count: u64) -> bool {
        let fits = self.gauge.add(count);
        if fits {
            self.count += count;
        }
        fits
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.gauge.now.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// How many of something each address has.
struct Addresses {
    /// 0 is any number.
    most: AtomicU32,
    counts: Mutex<HashMap<IpAddr, u32>>,
}

impl Addresses {
    fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { most: most.into(), counts: Mutex::default() })
    }

    /// Counts one more. Nothing where it is one too many; none of it where nobody counts.
    #[expect(clippy::option_option, reason = "refused, not counted, counted")]
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Option<OfAddress>> {
        let most = self.most.load(Ordering::Relaxed);
        if most == 0 {
            return Some(None);
        }
        let address = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Some(OfAddress { addresses: Arc::clone(self), address }))
    }
}

struct OfAddress {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: of IPv6, 64 bits are anybody's.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Addresses, Gauge};

    #[test]
    fn a_gauge_takes_no_more_than_there_is() {
        let gauge = Gauge::new(10);
        let mut first = gauge.take(6).unwrap();
        assert!(gauge.take(5).is_none() && !first.more(5) && !gauge.has(5));
        assert!(gauge.has(4) && first.more(4) && !gauge.has(1));
        drop(first);
        assert!(gauge.take(10).is_some() && gauge.take(u64::MAX).is_none());
        assert!(gauge.has(10));
    }

    #[test]
    fn less_of_it_from_now_on() {
        let gauge = Gauge::new(10);
        let first = gauge.take(6).unwrap();
        gauge.most.store(4, super::Ordering::Relaxed);
        assert!(gauge.take(1).is_none());
        drop(first);
        assert!(gauge.take(5).is_none() && gauge.take(4).is_some());
    }

    #[test]
    fn one_address_is_one_network_of_ipv6() {
        let addresses = Addresses::new(2);
        let take = |text: &str| addresses.take(text.parse().unwrap());
        let kept = [take("2001:db8::1"), take("2001:db8::ffff:2")];
        assert!(kept.iter().all(Option::is_some));
        assert!(take("2001:db8:0:0:9::9").is_none());
        let other = (take("2001:db8:0:1::1"), take("192.0.2.1"), take("192.0.2.2"));
        assert!(other.0.is_some() && other.1.is_some() && other.2.is_some());
        let mapped = take("::ffff:192.0.2.1");
        assert!(mapped.is_some() && take("192.0.2.1").is_none());
        drop((kept, other, mapped));
        assert!(addresses.counts.lock().unwrap().is_empty());
        let any = Addresses::new(0);
        assert!(any.take("192.0.2.1".parse().unwrap()).is_some_and(|taken| taken.is_none()));
    }
}
