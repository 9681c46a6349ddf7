use proptest::prelude::*;

use super::*;
use crate::time::parse_date;

fn day(text: &str) -> i64 {
    parse_date(text).expect(text)
}

#[test]
fn periods_begin_and_end_with_the_calendar() {
    // 2026-11-26 is a Thursday, 2028 a leap year; 2100 is none.
    for (period, within, start, end) in [
        (BudgetPeriod::Day, "2026-11-26", "2026-11-26", "2026-11-27"),
        (BudgetPeriod::Week, "2026-11-26", "2026-11-23", "2026-11-30"),
        (BudgetPeriod::Week, "2026-11-23", "2026-11-23", "2026-11-30"),
        (BudgetPeriod::Week, "2026-11-29", "2026-11-23", "2026-11-30"),
        (BudgetPeriod::Month, "2026-11-26", "2026-11-01", "2026-12-01"),
        (BudgetPeriod::Month, "2026-12-31", "2026-12-01", "2027-01-01"),
        (BudgetPeriod::Month, "2028-02-29", "2028-02-01", "2028-03-01"),
        (BudgetPeriod::Month, "2100-02-28", "2100-02-01", "2100-03-01"),
        (BudgetPeriod::Month, "2400-02-29", "2400-02-01", "2400-03-01"),
    ] {
        for at in [day(within), day(within) + MICROS_PER_DAY - 1] {
            assert_eq!(period.start(at), day(start), "{period:?} of {within}");
            assert_eq!(period.end(at), Some(day(end)), "{period:?} of {within}");
        }
    }
    assert_eq!(BudgetPeriod::Total.start(day("2026-11-26")), 0);
    assert_eq!(BudgetPeriod::Total.end(0), None);
}

#[test]
fn names_are_read_back() {
    for period in BudgetPeriod::ALL {
        assert_eq!(BudgetPeriod::from_name(period.name()), Some(period));
        assert_eq!(serde_json::to_string(&period).expect("json"), format!("\"{}\"", period.name()));
    }
    assert_eq!(BudgetPeriod::from_name("year"), None);
}

proptest! {
    #[test]
    fn every_moment_lies_in_its_period_and_periods_touch(at in any::<i64>().prop_map(|at| at / 4)) {
        for period in [BudgetPeriod::Day, BudgetPeriod::Week, BudgetPeriod::Month] {
            let (start, end) = (period.start(at), period.end(at).expect("it ends"));
            prop_assert!(start <= at && at < end);
            prop_assert_eq!(period.start(end), end);
            prop_assert_eq!(period.start(end - 1), start);
            prop_assert_eq!(period.end(start), Some(end));
        }
    }

    #[test]
    fn no_moment_is_too_far(at in any::<i64>()) {
        for period in BudgetPeriod::ALL {
            prop_assert!(period.end(at).is_none_or(|end| end >= period.start(at)));
        }
    }
}
