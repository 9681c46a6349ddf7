//! Refused sign-ins, for the audit log: the first of each minute at once, those that follow as a number once the minute is
//! over. However many guess, there are so many entries in a minute and no more.
//!
//! What was typed is never written down: it may be a password in the wrong field. Somebody is named whose name it is; all
//! others are nobody known here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use store::{Actor, Store};

use super::attempts::network;

/// Names and networks of a minute that are told apart; the rest are one number.
const TOLD_APART: usize = 20;
/// Microseconds.
const MINUTE: i64 = 60_000_000;
/// The target where the name is nobody's.
pub(super) const NOBODY: &str = "nobody known here";

/// What was refused in this minute.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: i64,
    /// How many there are of each that are not written yet: all but the first.
    followers: HashMap<Refused, u64>,
    others: u64,
}

/// What is refused, and whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Refused {
    target: String,
    from: IpAddr,
    by: &'static str,
}

/// An entry to be written.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: i64,
    target: String,
    from: Option<IpAddr>,
    by: &'static str,
    tries: u64,
}

impl Refusals {
    /// Counts one, and writes what is to be written now. A log that cannot be written is no reason to answer otherwise.
    pub(crate) async fn note(
        &self,
        store: &Store,
        target: &str,
        (by, from): (&'static str, IpAddr),
        now: i64,
    ) {
        let refused = Refused { target: target.to_owned(), from: network(from), by };
        let entries = self.lock().count(refused, now);
        write(store, entries).await;
    }

    /// Writes what is left of minutes that are over.
    pub(crate) async fn settle(&self, store: &Store, now: i64) {
        let entries = self.lock().end(now);
        write(store, entries).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Minute> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(store: &Store, entries: Vec<Entry>) {
    for Entry { at, target, from, by, tries } in entries {
        let actor = Actor { id: None, name: "somebody".to_owned(), via: "console", at };
        let mut detail = json!({ "by": by, "tries": tries });
        if let Some(from) = from {
            detail["from"] = from.to_string().into();
        }
        let noted = store.by(actor).note_refusal("session.fail", &target, &detail).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "a refused sign-in is not in the audit log");
        }
    }
}

impl Minute {
    fn count(&mut self, refused: Refused, now: i64) -> Vec<Entry> {
        let mut entries = self.end(now);
        if let Some(followers) = self.followers.get_mut(&refused) {
            *followers += 1;
        } else if self.followers.len() < TOLD_APART {
            let Refused { target, from, by } = refused.clone();
            entries.push(Entry { at: now, target, from: Some(from), by, tries: 1 });
            self.followers.insert(refused, 0);
        } else {
            self.others += 1;
        }
        entries
    }

    /// Begins another minute, where that of before is over, and returns what was left of it.
    fn end(&mut self, now: i64) -> Vec<Entry> {
        let number = now / MINUTE;
        if number == self.number {
            return Vec::new();
        }
        let at = self.number.saturating_add(1).saturating_mul(MINUTE).saturating_sub(1);
        let Self { followers, others, .. } = std::mem::take(self);
        self.number = number;
        let more = followers.into_iter().filter(|(_, tries)| *tries > 0);
        let mut entries: Vec<Entry> = more
            .map(|(Refused { target, from, by }, tries)| Entry {
                at,
                target,
                from: Some(from),
                by,
                tries,
            })
            .collect();
        entries.sort_by(|a, b| (&a.target, a.from).cmp(&(&b.target, b.from)));
        if others > 0 {
            let target = "many others".to_owned();
            entries.push(Entry { at, target, from: None, by: "any way", tries: others });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, MINUTE, Minute, Refused, TOLD_APART};

    const NOW: i64 = 1_800_000_000_000_000;

    fn refused(target: &str, from: &str) -> Refused {
        let from = from.parse().expect("an address");
        Refused { target: target.to_owned(), from, by: "password" }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_as_a_number() {
        let mut minute = Minute::default();
        let ada = || refused("person ada", "192.0.2.1");
        let tries = |entries: &[Entry]| entries.iter().map(|entry| entry.tries).collect::<Vec<_>>();
        assert_eq!(tries(&minute.count(ada(), NOW)), [1]);
        for _ in 0..5 {
            assert_eq!(minute.count(ada(), NOW + 1), []);
        }
        assert_eq!(tries(&minute.count(refused("person ada", "192.0.2.2"), NOW + 2)), [1]);
        assert_eq!(minute.end(NOW + 3), [], "the minute is not over");
        let rest = minute.end(NOW + MINUTE);
        assert_eq!(tries(&rest), [5]);
        assert!(rest[0].at >= NOW && rest[0].at < NOW + MINUTE, "in its own minute: {rest:?}");
        assert_eq!(minute.end(NOW + 2 * MINUTE), [], "once");
        assert_eq!(tries(&minute.count(ada(), NOW + 2 * MINUTE)), [1]);
    }

    #[test]
    fn a_flood_is_a_few_entries() {
        let mut minute = Minute::default();
        let mut written = 0;
        for number in 0..10_000_u32 {
            let from = std::net::Ipv4Addr::from_bits(number << 8).to_string();
            written += minute.count(refused("nobody known here", &from), NOW).len();
            written += minute.count(refused("nobody known here", &from), NOW).len();
        }
        assert_eq!(written, TOLD_APART);
        let rest = minute.end(NOW + MINUTE);
        assert_eq!(rest.len(), TOLD_APART + 1);
        let all: u64 = rest.iter().map(|entry| entry.tries).sum();
        assert_eq!(all + 20, 20_000, "none is forgotten");
    }
}
