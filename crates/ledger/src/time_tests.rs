use super::*;

const DAY: i64 = 86_400_000_000;

#[test]
fn dates_are_days_since_1970() {
    for (text, day) in [
        ("1970-01-01", Some(0)),
        ("1972-03-01", Some(790)),
        ("2000-02-29", Some(11_016)),
        ("2026-11-24", Some(20_781)),
        ("2100-02-29", None),
        ("2026-13-01", None),
        ("2026-1-01", None),
        ("1969-12-31", None),
        ("2026-11-24T00", None),
        ("", None),
    ] {
        assert_eq!(parse_date(text), day.map(|day: i64| day * DAY), "{text}");
    }
}

#[test]
fn the_week_starts_on_monday() {
    assert_eq!(minute_of_week(0), 3 * 1_440, "1970-01-01 was a Thursday");
    assert_eq!(minute_of_week(4 * DAY), 0, "1970-01-05 was a Monday");
    assert_eq!(minute_of_week(4 * DAY - 1), 10_079);
    assert_eq!(minute_of_week(-1), 3 * 1_440 - 1);
}

#[test]
fn windows_are_hours_at_weekdays() {
    let windows = Windows::parse("00:00-01:00+04:00-06:00+10:00-00:00@12345;00:00-00:00@67")
        .expect("windows");
    for (minute, inside) in [
        (0, true),
        (59, true),
        (60, false),
        (239, false),
        (240, true),
        (600, true),
        (1_439, true),
        (1_440, true),
        (1_500, false),
        (5 * 1_440 + 90, true),
        (10_079, true),
    ] {
        assert_eq!(windows.contains(minute), inside, "minute {minute}");
    }
    assert!(Windows::parse("").is_some_and(|none| none.is_empty()));
    for bad in
        ["00:00-01:00", "25:00-26:00@1", "00:00-01:00@8", "02:00-01:00@1", "a@1", "00:60-01:00@1"]
    {
        assert_eq!(Windows::parse(bad), None, "{bad}");
    }
}
