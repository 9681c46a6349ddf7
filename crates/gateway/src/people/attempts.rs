//! How often somebody may try a password: so often for a name from one network, so often for a name from all, so often from
//! an address, whichever comes first.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

use crate::pace::Pace;
use crate::problem::Problem;

/// Tries in a minute for one name from one network.
const OF_NAME: i64 = 10;
/// Tries in a minute for one name, from wherever: so many that who knows a name alone does not easily shut its owner out.
const FROM_ANYWHERE: i64 = 100;
/// Tries in a minute from one address, for whatever names: an office may share one.
const FROM_ADDRESS: i64 = 30;
/// Of so many names and addresses it is known how often they were tried. Beyond, those that rest are forgotten, and of the
/// others the half that will rest first.
const MOST_KNOWN: usize = 20_000;

/// What was tried lately.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<Known>);

#[derive(Default)]
struct Known {
    paces: HashMap<Tried, Pace>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Tried {
    Name(String, Option<IpAddr>),
    Address(IpAddr),
}

impl Attempts {
    /// Counts a try, unless there were too many.
    pub(crate) fn count(&self, name: &str, from: IpAddr, now: i64) -> Result<(), Problem> {
        self.count_from(from, now)?;
        // What is no name of anybody's takes no more room than one.
        let name: String = name.chars().take(100).collect();
        self.one(Tried::Name(name.clone(), Some(network(from))), OF_NAME, now)?;
        self.one(Tried::Name(name, None), FROM_ANYWHERE, now)
    }

    /// The same, where no name is given.
    pub(crate) fn count_from(&self, from: IpAddr, now: i64) -> Result<(), Problem> {
        self.one(Tried::Address(network(from)), FROM_ADDRESS, now)
    }

    fn one(&self, tried: Tried, limit: i64, now: i64) -> Result<(), Problem> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.paces.len() >= MOST_KNOWN && !known.paces.contains_key(&tried) {
            known.make_room(now);
        }
        known.paces.entry(tried).or_default().begin(limit, now).map_err(too_many)
    }
}

impl Known {
    /// A half at a time, so that it is seldom done.
    fn make_room(&mut self, now: i64) {
        self.paces.retain(|_, pace| !pace.rests(now));
        if self.paces.len() < MOST_KNOWN {
            return;
        }
        let mut due: Vec<i64> = self.paces.values().map(Pace::due).collect();
        let half = due.len() / 2;
        let (_, middle, _) = due.select_nth_unstable(half);
        let middle = *middle;
        let mut surplus = half;
        self.paces.retain(|_, pace| {
            let goes = surplus > 0 && pace.due() <= middle;
            surplus -= usize::from(goes);
            !goes
        });
    }
}

/// Whom an address stands for: of IPv6, everybody has a network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

fn too_many(wait: i64) -> Problem {
    let message = "too many tries; wait a little";
    let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message);
    problem.retry_after = u64::try_from(wait).ok().map(|wait| wait.div_ceil(1_000_000));
    problem
}

#[cfg(test)]
mod tests {
    use super::{Attempts, FROM_ADDRESS, FROM_ANYWHERE, MOST_KNOWN, OF_NAME};

    const NOW: i64 = 1_700_000_000_000_000;

    #[test]
    fn by_name_and_by_address() {
        let attempts = Attempts::default();
        let try_it = |name: &str, from: &str, at: i64| {
            let tried = attempts.count(name, from.parse().expect("an address"), at);
            tried.map_err(|problem| problem.retry_after)
        };
        for _ in 0..OF_NAME {
            assert_eq!(try_it("ada", "192.0.2.77", NOW), Ok(()));
        }
        assert_eq!(try_it("ada", "192.0.2.77", NOW), Err(Some(6)), "a name from one address");
        assert_eq!(try_it("bob", "192.0.2.77", NOW), Ok(()), "another name");
        assert_eq!(try_it("ada", "192.0.2.78", NOW), Ok(()), "its owner, from elsewhere");
        assert_eq!(try_it("ada", "192.0.2.77", NOW + 6_000_000), Ok(()));
        for n in 0..FROM_ANYWHERE {
            assert_eq!(try_it("cleo", &format!("198.51.100.{n}"), NOW), Ok(()));
        }
        assert_eq!(try_it("cleo", "192.0.2.99", NOW), Err(Some(1)), "a name from anywhere");
        for n in 0..FROM_ADDRESS {
            let from = format!("2001:db8:1:2:{n}::1");
            assert_eq!(try_it(&format!("user{n}"), &from, NOW), Ok(()));
        }
        assert_eq!(try_it("eve", "2001:db8:1:2:ffff::9", NOW), Err(Some(2)), "any name from there");
        assert_eq!(try_it("eve", "2001:db8:1:3::1", NOW), Ok(()), "the network beside");
    }

    #[test]
    fn it_remembers_no_more_than_it_has_room_for() {
        let attempts = Attempts::default();
        let many = u32::try_from(MOST_KNOWN).expect("a number");
        for n in 0..many {
            let from = std::net::Ipv4Addr::from_bits(n << 4).into();
            let _ = attempts.count(&n.to_string(), from, NOW);
        }
        let known = || attempts.0.lock().expect("a map").paces.len();
        assert!((MOST_KNOWN / 2..=MOST_KNOWN).contains(&known()), "{}", known());
        let from = "203.0.113.1".parse().expect("an address");
        for _ in 0..OF_NAME {
            assert!(attempts.count("new", from, NOW).is_ok(), "a full table shuts nobody out");
        }
        for n in 0..many {
            let from = std::net::Ipv4Addr::from_bits(n << 4).into();
            let _ = attempts.count(&n.to_string(), from, NOW);
        }
        assert!(attempts.count("new", from, NOW).is_err(), "what was tried often is kept");
        assert!(attempts.count("new", from, NOW + 60_000_000).is_ok());
    }
}
