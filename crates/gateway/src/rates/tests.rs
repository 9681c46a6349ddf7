use std::sync::Arc;

use proptest::prelude::*;
use store::Limits;
use uuid::Uuid;

use super::counters::{Counters, Limited, Meter, Over, Owner, share, tokens_take};
use super::{Rates, Shared};
use crate::pace::MINUTE;

const NOW: i64 = 1_700_000_000_000_000;

fn limited(owner: Owner, limits: [i64; 3]) -> Limited {
    let [requests, tokens, concurrent] = limits.map(|limit| Some(limit).filter(|n| *n > 0));
    let limits = Limits {
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        concurrent_requests: concurrent,
    };
    Limited { owner, limits }
}

fn key(number: u128) -> Owner {
    Owner::Key(Uuid::from_u128(number))
}

fn user() -> Owner {
    Owner::User(Uuid::from_u128(99))
}

fn refused(outcome: Result<super::Standing, Over>) -> Option<(Meter, i64, i64)> {
    outcome.err().map(|over| (over.meter, over.limit, over.wait))
}

#[test]
fn what_one_limit_refuses_is_counted_in_none() {
    let mut counters = Counters::default();
    let one = [limited(key(1), [2, 0, 0]), limited(user(), [3, 0, 0])];
    let two = [limited(key(2), [2, 0, 0]), limited(user(), [3, 0, 0])];
    let mut let_in =
        |limited: &[Limited]| (0..9).filter(|_| counters.begin(limited, 1, NOW).is_ok()).count();
    assert_eq!((let_in(&one), let_in(&two), let_in(&one)), (2, 1, 0));
    // The user has one more after twenty seconds, which the first key has used up for longer.
    let later = NOW + 20_000_000;
    assert!(counters.begin(&one, 1, later).is_err());
    assert!(counters.begin(&two, 1, later).is_ok());
}

#[test]
fn of_several_the_one_is_named_that_lasts_longest() {
    let mut counters = Counters::default();
    let both = [limited(key(1), [1, 0, 0]), limited(user(), [2, 0, 1])];
    assert!(counters.begin(&both, 1, NOW).is_ok());
    assert_eq!(refused(counters.begin(&both, 1, NOW)), Some((Meter::Requests, 1, MINUTE)));
    counters.end(&both);
    assert!(counters.begin(&both[1..], 1, NOW).is_ok());
    let refusal = refused(counters.begin(&both[1..], 1, NOW));
    assert_eq!(refusal, Some((Meter::Requests, 2, MINUTE / 2)));
}

#[test]
fn places_are_free_again_when_requests_end() {
    let mut counters = Counters::default();
    let both = [limited(key(1), [0, 0, 2]), limited(user(), [0, 0, 3])];
    assert!(counters.begin(&both, 1, NOW).is_ok() && counters.begin(&both, 1, NOW).is_ok());
    assert_eq!(refused(counters.begin(&both, 1, NOW)), Some((Meter::Concurrent, 2, 1_000_000)));
    counters.end(&both);
    assert!(counters.begin(&both, 1, NOW).is_ok());
    counters.end(&both);
    counters.sweep(NOW);
    counters.end(&both);
    counters.sweep(NOW);
    assert_eq!(counters.owed(NOW).count(), 0, "whoever owes nothing is forgotten");
}

#[test]
fn tokens_that_were_used_hold_the_next_request_back() {
    let mut counters = Counters::default();
    let all = [limited(key(1), [0, 1_000, 0])];
    assert!(counters.begin(&all, 1, NOW).is_ok());
    counters.used(&all[0], 999, (1, true), NOW);
    let standing = counters.begin(&all, 1, NOW).unwrap().tokens.unwrap();
    assert_eq!((standing.limit, standing.remaining), (1_000, 1));
    counters.used(&all[0], 501, (1, true), NOW);
    let refusal = refused(counters.begin(&all, 1, NOW));
    assert_eq!(refusal, Some((Meter::Tokens, 1_000, MINUTE / 2 + 1)), "half a minute is owed");
    assert!(counters.begin(&all, 1, NOW + MINUTE / 2 + 1).is_ok());
    // Where another decides, no more is known than that a share is used up.
    counters.used(&all[0], 1_000_000, (4, false), NOW);
    assert!(counters.begin(&all, 4, NOW + 1).is_ok());
    assert_eq!(tokens_take(u64::MAX, 1), 24 * 60 * MINUTE);
}

/// Replicas that know nothing of each other.
#[test]
fn shares_are_no_more_than_the_limit() {
    for (limit, replicas) in [(60, 3), (10, 3), (7, 7), (2, 3), (1, 1)] {
        let let_in: usize = (0..replicas)
            .map(|_| {
                let mut counters = Counters::default();
                let all = [limited(key(1), [limit, 0, 0])];
                (0..2 * limit).filter(|_| counters.begin(&all, replicas, NOW).is_ok()).count()
            })
            .sum();
        let let_in = i64::try_from(let_in).unwrap();
        assert_eq!(let_in, share(limit, replicas) * replicas);
        assert!(let_in <= limit.max(replicas), "{limit} over {replicas}: {let_in}");
    }
}

#[test]
fn what_another_has_let_in_counts_up_to_the_share() {
    let mut counters = Counters::default();
    let all = [limited(key(1), [9, 0, 2])];
    for _ in 0..9 {
        counters.count(&all, 3, NOW);
    }
    let wait = refused(counters.begin(&all, 3, NOW)).map(|(.., wait)| wait);
    assert_eq!(wait, Some(MINUTE / 3), "the share is used up, and no more");
    let owed: Vec<_> = counters.owed(NOW).map(|(_, requests, tokens)| (requests, tokens)).collect();
    assert_eq!(owed, [(MINUTE, 0)]);
}

#[test]
fn an_address_that_makes_no_sense_is_not_repeated() {
    for url in ["", "http://canary@host", "redis://canary:secret@:x", "canary"] {
        let error = Shared::new(url).err().expect(url).to_string();
        assert!(error.starts_with("REDIS_URL: ") && !error.contains("canary"), "{error}");
    }
    assert!(Shared::new("rediss://user:secret@host:6380/3").is_ok());
}

#[tokio::test]
async fn a_request_holds_its_place_until_it_goes() {
    let rates = Rates::new(None);
    let model = Owner::Model(Uuid::from_u128(5), Arc::from("openai/gpt-4o"));
    let all = vec![limited(model, [0, 0, 1])];
    let first = rates.begin(all.clone(), Uuid::from_u128(1)).await.ok().unwrap();
    let refused = rates.begin(all.clone(), Uuid::from_u128(2)).await.err().unwrap();
    assert_eq!((refused.status.as_u16(), refused.retry_after), (429, Some(1)));
    assert!(refused.message.contains("1 requests of openai/gpt-4o under way"), "{refused:?}");
    drop(first);
    assert!(rates.begin(all, Uuid::from_u128(3)).await.is_ok());
    assert_eq!(rates.figures().refused, [(["model", "concurrency"], 1)]);
}

proptest! {
    /// Over any span, no more than the limit and what the pace gives; whoever asks, by however many limits they are bound.
    #[test]
    fn no_span_has_more_than_it_may(
        limits in prop::array::uniform3(1_i64..40),
        asks in prop::collection::vec((0_usize..2, 0_i64..4_000_000), 1..400),
    ) {
        let mut counters = Counters::default();
        let owners = [key(1), key(2), user()];
        let of = |one: usize| {
            [limited(owners[one].clone(), [limits[one], 0, 0]), limited(user(), [limits[2], 0, 0])]
        };
        let (mut now, mut seen) = (NOW, [const { Vec::<i64>::new() }; 3]);
        for (one, pause) in asks {
            now += pause;
            if counters.begin(&of(one), 1, now).is_ok() {
                seen[one].push(now);
                seen[2].push(now);
            }
        }
        for (moments, limit) in seen.iter().zip(limits) {
            for (first, from) in moments.iter().enumerate() {
                for (last, to) in moments.iter().enumerate().skip(first) {
                    let most = limit + limit * (to - from) / MINUTE;
                    let count = i64::try_from(last - first + 1).unwrap();
                    prop_assert!(count <= most, "{limit} in {} µs", to - from);
                }
            }
        }
    }
}
