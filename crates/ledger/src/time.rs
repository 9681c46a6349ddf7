//! Calendar arithmetic on microseconds since 1970 (UTC), and the weekly windows of off-peak prices. No clock: the
//! moment is always an argument.

use serde::{Deserialize, Serialize};

pub(crate) const MICROS_PER_MINUTE: i64 = 60_000_000;
pub(crate) const MINUTES_PER_DAY: i64 = 1_440;
const MINUTES_PER_WEEK: i64 = 10_080;

/// The minute of the week of a moment: 0 is Monday 00:00 UTC.
pub fn minute_of_week(at: i64) -> u16 {
    // 1970-01-01 was a Thursday, three days after a Monday.
    let minutes =
        at.div_euclid(MICROS_PER_MINUTE).saturating_add(3_i64.saturating_mul(MINUTES_PER_DAY));
    u16::try_from(minutes.rem_euclid(MINUTES_PER_WEEK)).unwrap_or(0)
}

/// The first microsecond of a date written `2026-11-24`, or `None` where that is no date.
pub fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let number = |part: Option<&str>, digits: usize| -> Option<i64> {
        part.filter(|p| p.len() == digits && p.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
    };
    let (year, month, day) =
        (number(parts.next(), 4)?, number(parts.next(), 2)?, number(parts.next(), 2)?);
    if parts.next().is_some()
        || !(1..=12).contains(&month)
        || !(1..=days_in_month(year, month)).contains(&day)
    {
        return None;
    }
    days_from_civil(year, month, day)?.checked_mul(MINUTES_PER_DAY)?.checked_mul(MICROS_PER_MINUTE)
}

pub(crate) const fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

pub(crate) const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, `None` before that.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let mut days = day.checked_sub(1)?;
    for before in 1970..year {
        days = days.checked_add(if is_leap(before) { 366 } else { 365 })?;
    }
    for before in 1..month {
        days = days.checked_add(days_in_month(year, before))?;
    }
    (year >= 1970).then_some(days)
}

/// Minutes of the week, as ranges `[from, to)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Windows(Vec<(u16, u16)>);

impl Windows {
    /// Whether that minute of the week lies in a window.
    pub fn contains(&self, minute: u16) -> bool {
        self.0.iter().any(|&(from, to)| (from..to).contains(&minute))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads `00:00-01:00+04:00-06:00@12345;00:00-00:00@67`: hours at weekdays, 1 is Monday, an end of 00:00 is
    /// midnight at the end of the day.
    pub fn parse(text: &str) -> Option<Self> {
        let mut windows = Vec::new();
        for group in text.split(';').filter(|group| !group.is_empty()) {
            let (hours, days) = group.split_once('@')?;
            for day in days.bytes() {
                let start =
                    u16::from(day.checked_sub(b'1').filter(|day| *day < 7)?).checked_mul(1_440)?;
                for range in hours.split('+') {
                    let (from, to) = range.split_once('-')?;
                    let (from, to) = (parse_minute(from)?, parse_minute(to)?);
                    let to = if to == 0 { 1_440 } else { to };
                    if from >= to {
                        return None;
                    }
                    windows.push((start.checked_add(from)?, start.checked_add(to)?));
                }
            }
        }
        Some(Self(windows))
    }
}

/// The minute of the day of `HH:MM`.
fn parse_minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| hours.checked_mul(60)?.checked_add(minutes)).flatten()
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
