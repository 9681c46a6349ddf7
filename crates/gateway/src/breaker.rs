//! Whether a provider is worth asking right now. Failures of late open a breaker: while it is open, other targets are
//! tried first. It never shuts the only way: where there is nothing else, a request goes out all the same, because the
//! provider's own word is worth more to a client than ours.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Microseconds.
const SECOND: i64 = 1_000_000;
/// How far back failures count.
const WINDOW: usize = 10;
const WINDOW_SECONDS: i64 = 10;
/// So many failures in the window open the breaker, if they are half of the attempts.
const FAILURES: u32 = 10;
/// How long it stays open at first, and at most: twice as long after every probe that fails.
const FIRST_REST: i64 = SECOND;
const LONGEST_REST: i64 = 60 * SECOND;
/// A probe that has said nothing for so long is no longer waited for.
const LONGEST_PROBE: i64 = 10 * SECOND;
/// How long a provider that has too much to do is left alone where it does not say.
const LIMITED_REST: i64 = SECOND;

/// How an attempt went, as far as it says how its provider does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Went {
    /// It answered, if only to say what is wrong with the request.
    Well,
    Failed,
    /// It has too much to do, for so many seconds where it says so.
    Limited(Option<u64>),
}

/// Whether an attempt may go out ahead of others.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    No,
    Yes,
    /// As the one that tries how it goes. Whoever does not send it [gives it back](Breaker::give_back).
    Probe,
}

/// How a breaker stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Closed,
    /// Until then.
    Open(i64),
    /// One attempt at a time, to see how it goes.
    HalfOpen,
}

/// The memory of one provider's last seconds.
#[derive(Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    seconds: [Second; WINDOW],
    open: Option<Open>,
    /// The models of which it has asked to be left alone: a rate limit is that of a model.
    limited: Vec<Limited>,
}

struct Limited {
    model: String,
    since: i64,
    until: i64,
}

#[derive(Copy, Clone, Default)]
struct Second {
    number: i64,
    well: u32,
    failed: u32,
}

struct Open {
    rest: i64,
    /// When it opened, or opened again. What began before says nothing new.
    since: i64,
    until: i64,
    /// Since when an attempt is under way that tries it.
    probing: Option<i64>,
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    pub(crate) fn standing(&self, now: i64) -> Standing {
        let state = self.state();
        match &state.open {
            Some(open) if open.until > now => Standing::Open(open.until),
            Some(_) => Standing::HalfOpen,
            None => Standing::Closed,
        }
    }

    /// Whether an attempt at that model may go out ahead of others now. In a half-open breaker, that takes the place of the
    /// one attempt that tries it.
    pub(crate) fn admits(&self, model: &str, now: i64) -> Admission {
        let mut state = self.state();
        if state.limited.iter().any(|limited| limited.model == model && limited.until > now) {
            return Admission::No;
        }
        let Some(open) = &mut state.open else { return Admission::Yes };
        let free = open.probing.is_none_or(|since| now.saturating_sub(since) > LONGEST_PROBE);
        if open.until > now || !free {
            return Admission::No;
        }
        open.probing = Some(now);
        Admission::Probe
    }

    /// Leaves the place of a probe to another: what was admitted at `since` was not sent, or says nothing.
    pub(crate) fn give_back(&self, since: i64) {
        if let Some(open) = &mut self.state().open {
            open.probing = open.probing.filter(|probing| *probing != since);
        }
    }

    /// Notes how an attempt at that model went, which has taken so long.
    pub(crate) fn note(&self, model: &str, went: Went, took: Duration, now: i64) {
        let began = now.saturating_sub(i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
        let mut state = self.state();
        match went {
            Went::Well => {
                state.second(now).well += 1;
                state.open = state.open.take().filter(|open| began < open.since);
                state.limited.retain(|limited| limited.model != model || began < limited.since);
            }
            // That it is there is no proof that it does well, and no failure: whatever is open stays so.
            Went::Limited(seconds) => {
                let rest = seconds.and_then(|s| i64::try_from(s).ok());
                let rest = rest.map_or(LIMITED_REST, |s| s.saturating_mul(SECOND));
                let until = now.saturating_add(rest.min(LONGEST_REST));
                state.limited.retain(|limited| limited.model != model && limited.until > now);
                state.limited.push(Limited { model: model.to_owned(), since: now, until });
            }
            Went::Failed => {
                state.second(now).failed += 1;
                state.fail(began, now);
            }
        }
    }
}

impl State {
    /// The counters of this second.
    fn second(&mut self, now: i64) -> &mut Second {
        let number = now.div_euclid(SECOND);
        let place = usize::try_from(number.rem_euclid(WINDOW_SECONDS)).unwrap_or(0) % WINDOW;
        let second = &mut self.seconds[place];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }

    fn fail(&mut self, began: i64, now: i64) {
        if let Some(open) = &mut self.open {
            if open.until <= now && began >= open.since {
                let rest = open.rest.saturating_mul(2).min(LONGEST_REST);
                *open = Open { rest, since: now, until: now.saturating_add(rest), probing: None };
            }
            return;
        }
        let oldest = now.div_euclid(SECOND) - WINDOW_SECONDS;
        let recent = self.seconds.iter().filter(|second| second.number > oldest);
        let (well, failed) = recent
            .fold((0, 0), |(well, failed), second| (well + second.well, failed + second.failed));
        if failed >= FAILURES && failed >= well {
            let until = now.saturating_add(FIRST_REST);
            self.open = Some(Open { rest: FIRST_REST, since: now, until, probing: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODEL: &str = "gpt-4o";
    const NOW: i64 = 1_800_000_000 * SECOND;

    fn admits(breaker: &Breaker, model: &str, now: i64) -> bool {
        breaker.admits(model, now) != Admission::No
    }

    /// Of an attempt that has taken no time.
    fn note(breaker: &Breaker, went: Went, now: i64) {
        breaker.note(MODEL, went, Duration::ZERO, now);
    }

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        (0..FAILURES).for_each(|_| note(&breaker, Went::Failed, NOW));
        breaker
    }

    #[test]
    fn failures_open_it_and_a_probe_closes_it() {
        let breaker = opened();
        assert_eq!(breaker.standing(NOW), Standing::Open(NOW + SECOND));
        assert!(!admits(&breaker, MODEL, NOW + SECOND - 1));
        // One probe at a time.
        assert_eq!(breaker.standing(NOW + SECOND), Standing::HalfOpen);
        assert!(admits(&breaker, MODEL, NOW + SECOND) && !admits(&breaker, MODEL, NOW + SECOND));
        note(&breaker, Went::Failed, NOW + SECOND);
        assert_eq!(breaker.standing(NOW + SECOND), Standing::Open(NOW + 3 * SECOND));
        assert!(admits(&breaker, MODEL, NOW + 3 * SECOND));
        note(&breaker, Went::Well, NOW + 3 * SECOND);
        assert_eq!(breaker.standing(NOW + 3 * SECOND), Standing::Closed);
        assert!(
            admits(&breaker, MODEL, NOW + 3 * SECOND) && admits(&breaker, MODEL, NOW + 3 * SECOND)
        );
    }

    #[test]
    fn what_began_before_it_opened_says_nothing() {
        let breaker = opened();
        let late = |went, now: i64| {
            let took = u64::try_from(now - NOW + 1).unwrap();
            breaker.note(MODEL, went, Duration::from_micros(took), now);
        };
        late(Went::Well, NOW + 7);
        assert_eq!(breaker.standing(NOW + 7), Standing::Open(NOW + SECOND));
        let half_open = NOW + SECOND;
        late(Went::Well, half_open);
        late(Went::Failed, half_open);
        assert_eq!(breaker.standing(half_open), Standing::HalfOpen);
        // Nor that the model is not limited any more.
        let limited = Breaker::default();
        note(&limited, Went::Limited(Some(7)), NOW);
        limited.note(MODEL, Went::Well, Duration::from_secs(9), NOW + SECOND);
        assert!(!admits(&limited, MODEL, NOW + SECOND));
        // What was sent all the same while it rested does.
        breaker.note(MODEL, Went::Well, Duration::from_micros(1), half_open);
        assert_eq!(breaker.standing(half_open), Standing::Closed);
    }

    #[test]
    fn a_429_leaves_it_half_open() {
        const OTHER: &str = "gpt-4o-mini";
        let (breaker, half_open) = (opened(), NOW + SECOND);
        assert_eq!(breaker.admits(MODEL, half_open), Admission::Probe);
        note(&breaker, Went::Limited(Some(7)), half_open);
        breaker.give_back(half_open);
        assert_eq!(breaker.standing(half_open), Standing::HalfOpen);
        // Another model is the next to try it.
        assert_eq!(breaker.admits(MODEL, half_open), Admission::No);
        assert_eq!(breaker.admits(OTHER, half_open), Admission::Probe);
        assert_eq!(breaker.admits(OTHER, half_open), Admission::No);
    }

    #[test]
    fn few_failures_and_old_ones_do_not() {
        let breaker = Breaker::default();
        (1..FAILURES).for_each(|_| note(&breaker, Went::Failed, NOW));
        assert_eq!(breaker.standing(NOW), Standing::Closed);
        // Ten seconds later those are forgotten.
        note(&breaker, Went::Failed, NOW + 10 * SECOND);
        assert_eq!(breaker.standing(NOW + 10 * SECOND), Standing::Closed);
        let busy = Breaker::default();
        (0..100).for_each(|_| note(&busy, Went::Well, NOW));
        (0..99).for_each(|_| note(&busy, Went::Failed, NOW));
        assert_eq!(busy.standing(NOW), Standing::Closed);
        note(&busy, Went::Failed, NOW);
        assert_eq!(busy.standing(NOW), Standing::Open(NOW + SECOND));
    }

    #[test]
    fn a_probe_that_says_nothing_is_followed_by_another() {
        let breaker = opened();
        assert!(admits(&breaker, MODEL, NOW + SECOND));
        assert!(!admits(&breaker, MODEL, NOW + SECOND + LONGEST_PROBE));
        assert!(admits(&breaker, MODEL, NOW + SECOND + LONGEST_PROBE + 1));
    }

    #[test]
    fn a_probe_that_is_not_sent_is_left_to_another() {
        let breaker = opened();
        let (half_open, later) = (NOW + SECOND, NOW + SECOND + 7);
        assert_eq!(breaker.admits(MODEL, half_open), Admission::Probe);
        // Not by anybody else.
        breaker.give_back(later);
        assert_eq!(breaker.admits(MODEL, later), Admission::No);
        breaker.give_back(half_open);
        assert_eq!(breaker.admits(MODEL, later), Admission::Probe);
        // What was sent and noted is none any more.
        note(&breaker, Went::Failed, later);
        breaker.give_back(later);
        assert_eq!(breaker.standing(later), Standing::Open(later + 2 * SECOND));
        note(&breaker, Went::Well, later);
        assert_eq!(breaker.admits(MODEL, later), Admission::Yes);
    }

    #[test]
    fn whoever_has_too_much_to_do_is_left_alone_as_long_as_it_says() {
        let breaker = Breaker::default();
        note(&breaker, Went::Limited(Some(7)), NOW);
        assert!(admits(&breaker, "gpt-4o-mini", NOW), "a limit of another model");
        assert!(
            !admits(&breaker, MODEL, NOW + 7 * SECOND - 1)
                && admits(&breaker, MODEL, NOW + 7 * SECOND)
        );
        note(&breaker, Went::Limited(Some(u64::MAX)), NOW);
        assert!(admits(&breaker, MODEL, NOW + LONGEST_REST));
        note(&breaker, Went::Limited(None), NOW);
        note(&breaker, Went::Well, NOW);
        assert!(admits(&breaker, MODEL, NOW));
    }

    proptest! {
        /// Whatever happens, it is never shut for longer than the longest rest and an unheard probe.
        #[test]
        fn it_always_opens_again(steps in prop::collection::vec((0..4_u8, 0..20_i64), 0..200)) {
            let breaker = Breaker::default();
            let mut now = NOW;
            for (what, seconds) in steps {
                now += seconds * SECOND / 2;
                match what {
                    0 => note(&breaker, Went::Well, now),
                    1 => note(&breaker, Went::Failed, now),
                    2 => note(&breaker, Went::Limited(Some(seconds.unsigned_abs())), now),
                    _ => { admits(&breaker, MODEL, now); }
                }
            }
            prop_assert!(admits(&breaker, MODEL, now + LONGEST_REST + LONGEST_PROBE + 1));
        }
    }
}
