//! Time and chance: the only place that asks for either.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

/// Microseconds since 1970 (UTC).
pub(crate) fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    let elapsed =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

/// Seconds of a clock that nobody sets, and that goes on while the machine sleeps.
pub(crate) fn seconds_since_boot() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec
}

/// A new id: ids made later sort later.
pub(crate) fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// A moment as people write it: `2026-11-24T13:45:00Z`.
pub(crate) fn rfc3339(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(
        |_| micros.to_string(),
        |moment| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// The moment of a text such as `2026-11-24`, `2026-11-24T13:45:00Z` or `2026-11-24T13:45:00+01:00`.
pub(crate) fn parse_moment(text: &str) -> Option<i64> {
    ledger::parse_date(text)
        .or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.as_microsecond()))
}

/// The moment of a date as HTTP writes it: `Tue, 24 Nov 2026 13:45:00 GMT`.
pub(crate) fn parse_http_date(text: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    Some(parser.parse_timestamp(text.trim()).ok()?.as_microsecond())
}

/// The first microsecond of a month written `2026-11`, and that of the month after.
pub(crate) fn month(text: &str) -> Option<(i64, i64)> {
    let (year, month) = text.split_once('-')?;
    let first = ledger::parse_date(&format!("{year}-{month}-01"))?;
    let (year, month): (u16, u8) = (year.parse().ok()?, month.parse().ok()?);
    let (year, month) =
        if month == 12 { (year.checked_add(1)?, 1) } else { (year, month.checked_add(1)?) };
    Some((first, ledger::parse_date(&format!("{year:04}-{month:02}-01"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_months() {
        assert_eq!(parse_moment("1970-01-02"), Some(86_400_000_000));
        assert_eq!(parse_moment("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_moment("tomorrow"), None);
        assert_eq!(parse_http_date("Fri, 02 Jan 1970 00:00:00 GMT"), Some(86_400_000_000));
        assert_eq!(parse_http_date("Friday"), None);
        assert_eq!(rfc3339(86_400_000_000), "1970-01-02T00:00:00Z");
        let (from, to) = month("2026-12").expect("December");
        assert_eq!(
            (rfc3339(from), rfc3339(to)),
            ("2026-12-01T00:00:00Z".into(), "2027-01-01T00:00:00Z".into())
        );
        assert_eq!((month("2026-13"), month("2026"), month("2026-1")), (None, None, None));
    }
}
