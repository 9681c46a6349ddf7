use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const CREDIT: Scope = Scope { kind: ScopeKind::Account, id: Uuid::from_u128(1), period_start: 0 };
const BUDGET: Scope = Scope { kind: ScopeKind::Budget, id: Uuid::from_u128(2), period_start: 7 };
const BOTH: [Scope; 2] = [CREDIT, BUDGET];

fn usd(pico: i64) -> Usd {
    Usd::from_pico(pico)
}

fn purse(credit: i64, budget: i64) -> Purse {
    let mut purse = Purse::default();
    purse.granted(CREDIT, usd(credit)).expect("granted");
    purse.granted(BUDGET, usd(budget)).expect("granted");
    purse
}

fn books(purse: &Purse, scope: Scope) -> (i64, i64, i64) {
    let slice = purse.slice(scope);
    (slice.granted.pico(), slice.spent.pico(), slice.held.pico())
}

#[test]
fn a_hold_is_taken_everywhere_or_nowhere() {
    let mut purse = purse(100, 50);
    assert_eq!(purse.hold(&BOTH, usd(30)), Ok(()));
    assert_eq!(
        purse.hold(&BOTH, usd(21)),
        Err(Short { scope: BUDGET, free: usd(20), held: usd(30) })
    );
    assert_eq!(purse.free(CREDIT), usd(70), "not held in the first either");
    assert_eq!(purse.hold(&BOTH, usd(20)), Ok(()), "to the last");
    assert_eq!(
        purse.extend(&BOTH, usd(1)),
        Err(Short { scope: BUDGET, free: usd(0), held: usd(50) })
    );
    assert_eq!(purse.total_held(), 50);
}

#[test]
fn what_is_not_granted_is_not_held() {
    let mut purse = Purse::default();
    assert_eq!(
        purse.hold(&[CREDIT], usd(1)),
        Err(Short { scope: CREDIT, free: usd(0), held: usd(0) })
    );
    assert_eq!(purse.hold(&[CREDIT], usd(0)), Ok(()), "what is free needs no credit");
    assert_eq!(purse.settle(&[CREDIT], usd(0), usd(5), 0), Ok(usd(0)));
    assert_eq!(purse.hold(&[], usd(9)), Ok(()), "post-paid");
    assert_eq!(purse.settle(&[], usd(9), usd(11), 0), Ok(usd(11)));
    assert_eq!(purse.slices().count(), 0);
}

#[test]
fn settling_charges_what_is_owed_as_far_as_it_goes() {
    let mut purse = purse(100, 50);
    purse.hold(&BOTH, usd(30)).expect("held");
    assert_eq!(purse.settle(&BOTH, usd(30), usd(10), 0), Ok(usd(10)), "less than was held");
    assert_eq!((books(&purse, CREDIT), books(&purse, BUDGET)), ((100, 10, 0), (50, 10, 0)));
    purse.hold(&BOTH, usd(10)).expect("held");
    purse.hold(&BOTH, usd(25)).expect("held");
    assert_eq!(
        purse.settle(&BOTH, usd(10), usd(40), 0),
        Ok(usd(15)),
        "the hold, and 5 of the budget"
    );
    assert_eq!((books(&purse, CREDIT), books(&purse, BUDGET)), ((100, 25, 25), (50, 25, 25)));
    assert_eq!(purse.void(&BOTH, usd(25), 0), Ok(()));
    assert_eq!((books(&purse, CREDIT), books(&purse, BUDGET)), ((100, 25, 0), (50, 25, 0)));
}

#[test]
fn only_what_is_free_goes_back() {
    let mut purse = purse(100, 50);
    purse.hold(&BOTH, usd(30)).expect("held");
    assert_eq!(purse.take_back(CREDIT, usd(50)), usd(20));
    assert_eq!(purse.take_back(CREDIT, usd(50)), usd(0), "once");
    assert_eq!(purse.take_back(CREDIT, usd(0)), usd(50));
    assert_eq!(books(&purse, CREDIT), (30, 0, 30));
    assert_eq!(purse.settle(&BOTH, usd(30), usd(35), 0), Ok(usd(30)), "what went back is not here");
    let other = Scope { id: Uuid::from_u128(9), ..CREDIT };
    assert_eq!(purse.take_back(other, usd(0)), usd(0));
}

#[test]
fn a_slice_is_refilled_below_half_of_its_last_grant() {
    let mut purse = Purse::default();
    assert!(purse.wants(CREDIT), "there is none");
    purse.granted(CREDIT, usd(100)).expect("granted");
    purse.hold(&[CREDIT], usd(50)).expect("held");
    assert!(!purse.wants(CREDIT));
    purse.hold(&[CREDIT], usd(1)).expect("held");
    assert!(purse.wants(CREDIT));
    purse.granted(CREDIT, usd(10)).expect("granted");
    assert!(!purse.wants(CREDIT), "59 are free, and the last grant was 10");
}

#[test]
fn idle_is_what_nothing_touched_between_two_looks() {
    let mut purse = purse(100, 50);
    assert_eq!(purse.idle(), [], "just granted");
    assert_eq!(purse.idle(), BOTH);
    purse.hold(&[CREDIT], usd(10)).expect("held");
    assert_eq!(purse.idle(), [BUDGET]);
    assert_eq!(purse.idle(), BOTH, "a stream goes on; what it does not hold is idle");
    for scope in BOTH {
        purse.take_back(scope, usd(0));
    }
    assert_eq!(purse.idle(), []);
    assert_eq!(
        purse.slices().map(|(scope, _)| scope).collect::<Vec<_>>(),
        [CREDIT],
        "BUDGET is forgotten"
    );
    assert_eq!(purse.settle(&[CREDIT], usd(10), usd(10), 0), Ok(usd(10)));
    assert_eq!((purse.idle(), purse.idle()), (vec![], vec![]));
    assert_eq!(purse.slices().count(), 0);
}

// A mistake of the program stops a debug build; the one that is shipped gets an error and goes on.

#[test]
#[cfg_attr(debug_assertions, should_panic = "holds")]
fn a_hold_ends_once() {
    let mut purse = purse(100, 50);
    purse.hold(&BOTH, usd(30)).expect("held");
    purse.settle(&BOTH, usd(30), usd(10), 0).expect("settled");
    let again = purse.settle(&BOTH, usd(30), usd(10), 0);
    assert_eq!(again, Err(Broken::NotHeld { scope: CREDIT, hold: usd(30), held: usd(0) }));
    assert_eq!(books(&purse, CREDIT), (100, 10, 0));
}

#[test]
#[cfg_attr(debug_assertions, should_panic = "an amount of")]
fn a_negative_amount_is_refused() {
    assert_eq!(purse(100, 50).settle(&BOTH, usd(0), usd(-1), 0), Err(Broken::Negative(usd(-1))));
}

#[test]
fn a_sum_past_the_range_is_refused() {
    let mut purse = purse(i64::MAX, 50);
    assert_eq!(purse.granted(CREDIT, usd(1)), Err(Broken::OutOfRange(CREDIT)));
    assert_eq!(books(&purse, CREDIT), (i64::MAX, 0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Grant(usize, i64),
    TakeBack(usize, i64),
    Hold(usize, i64),
    Extend(usize, i64),
    Settle(usize, i64),
    Void(usize),
    Idle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..2_usize, 0..100_i64).prop_map(|(scope, n)| Step::Grant(scope, n)),
        (0..2_usize, 0..100_i64).prop_map(|(scope, n)| Step::TakeBack(scope, n)),
        (0..4_usize, 0..60_i64).prop_map(|(scopes, n)| Step::Hold(scopes, n)),
        (0..8_usize, 0..30_i64).prop_map(|(hold, n)| Step::Extend(hold, n)),
        (0..8_usize, 0..120_i64).prop_map(|(hold, n)| Step::Settle(hold, n)),
        (0..8_usize).prop_map(Step::Void),
        Just(Step::Idle),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// Beside the purse, the books of each scope are kept from what its methods answer.
    #[test]
    fn nothing_is_spent_that_was_not_granted(steps in steps()) {
        let lists: [&[Scope]; 4] = [&[], &BOTH[..1], &BOTH[1..], &BOTH];
        let mut purse = Purse::default();
        let mut open: Vec<(&[Scope], i64)> = Vec::new();
        let (mut granted, mut spent) = ([0_i64; 2], [0_i64; 2]);
        for step in steps {
            match step {
                Step::Grant(scope, n) => {
                    purse.granted(BOTH[scope], usd(n)).expect("granted");
                    granted[scope] += n;
                }
                Step::TakeBack(scope, keep) => {
                    let back = purse.take_back(BOTH[scope], usd(keep)).pico();
                    prop_assert!(back >= 0);
                    granted[scope] -= back;
                }
                Step::Hold(scopes, n) => {
                    if purse.hold(lists[scopes], usd(n)).is_ok() {
                        open.push((lists[scopes], n));
                    }
                }
                Step::Extend(hold, n) if hold < open.len() => {
                    if purse.extend(open[hold].0, usd(n)).is_ok() {
                        open[hold].1 += n;
                    }
                }
                Step::Settle(hold, owed) if hold < open.len() => {
                    let (scopes, held) = open.swap_remove(hold);
                    let charge = purse.settle(scopes, usd(held), usd(owed), 0).expect("held").pico();
                    prop_assert!(charge <= owed && charge >= owed.min(held));
                    for (i, _) in BOTH.iter().enumerate().filter(|(_, scope)| scopes.contains(scope)) {
                        spent[i] += charge;
                    }
                }
                Step::Void(hold) if hold < open.len() => {
                    let (scopes, held) = open.swap_remove(hold);
                    purse.void(scopes, usd(held), 0).expect("held");
                }
                Step::Idle => drop(purse.idle()),
                Step::Extend(..) | Step::Settle(..) | Step::Void(_) => {}
            }
            for (i, scope) in BOTH.into_iter().enumerate() {
                let held: i64 =
                    open.iter().filter(|(scopes, _)| scopes.contains(&scope)).map(|(_, n)| n).sum();
                prop_assert!(spent[i] + held <= granted[i]);
                prop_assert_eq!(purse.free(scope).pico(), granted[i] - spent[i] - held);
                prop_assert_eq!(purse.slice(scope).held.pico(), held);
            }
        }
    }
}

/// At its moment credit is free no more, and what is held then is never free again: what of it is not spent goes back.
#[test]
fn credit_ends() {
    let mut purse = Purse::default();
    purse.granted(CREDIT, usd(100)).expect("granted");
    purse.set_end(CREDIT, Some(50));
    assert_eq!(purse.ends(), Some(50));
    purse.hold(&[CREDIT], usd(30)).expect("held");
    purse.hold(&[CREDIT], usd(10)).expect("held");
    purse.lapse(49);
    assert_eq!((purse.free(CREDIT), purse.has_lapsed()), (usd(60), false));
    purse.lapse(50);
    assert_eq!((purse.free(CREDIT), purse.ends(), purse.has_lapsed()), (usd(0), None, true));
    assert!(purse.hold(&[CREDIT], usd(1)).is_err());
    assert_eq!(purse.lapsed(), [(CREDIT, usd(60))]);
    assert_eq!((purse.lapsed(), purse.has_lapsed()), (vec![], false));
    // Other credit that comes after is not mixed up with what was held before, whoever settles first.
    purse.granted(CREDIT, usd(25)).expect("granted");
    purse.set_end(CREDIT, None);
    for begun in [50, 51] {
        purse.hold(&[CREDIT], usd(25)).expect("held");
        assert_eq!(purse.settle(&[CREDIT], usd(25), usd(5), begun), Ok(usd(5)));
        purse.hold(&[CREDIT], usd(15)).expect("held");
        purse.void(&[CREDIT], usd(15), begun).expect("given up");
        purse.granted(CREDIT, usd(5)).expect("granted");
        assert!(!purse.has_lapsed());
    }
    assert_eq!(purse.take_back(CREDIT, usd(5)), usd(20));
    assert_eq!(purse.settle(&[CREDIT], usd(30), usd(20), 0), Ok(usd(20)));
    assert_eq!((purse.free(CREDIT), purse.lapsed()), (usd(5), vec![(CREDIT, usd(10))]));
    purse.void(&[CREDIT], usd(10), 0).expect("given up");
    assert_eq!((purse.free(CREDIT), purse.lapsed()), (usd(5), vec![(CREDIT, usd(10))]));
    purse.hold(&[CREDIT], usd(5)).expect("held");
    purse.void(&[CREDIT], usd(5), 0).expect("given up");
    assert_eq!((purse.free(CREDIT), purse.has_lapsed()), (usd(5), false));
    let slice = purse.slice(CREDIT);
    assert_eq!((slice.granted, slice.spent, slice.held), (usd(35), usd(30), usd(0)));
}
