//! What clients are told of their limits, in the words that the SDKs of their dialect look for. Only the nearest limit of each
//! kind is told, and nothing where there is none. Gemini's clients have no such headers: they read `RetryInfo` in the error.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::counters::{Meter, Over, Quota, Standing};
use crate::clock;
use crate::face::Face;

/// Headers that pages from elsewhere may read.
pub(crate) const EXPOSED: [HeaderName; 7] = [
    name("retry-after-ms"),
    name("x-ratelimit-limit-requests"),
    name("x-ratelimit-remaining-requests"),
    name("x-ratelimit-reset-requests"),
    name("x-ratelimit-limit-tokens"),
    name("x-ratelimit-remaining-tokens"),
    name("x-ratelimit-reset-tokens"),
];

const fn name(text: &'static str) -> HeaderName {
    HeaderName::from_static(text)
}

/// How the limits of a request stand at some moment.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Told {
    standing: Standing,
    at: i64,
    /// How long it is refused, in microseconds.
    wait: Option<i64>,
}

impl Told {
    pub(super) const fn of(standing: Standing, at: i64) -> Self {
        Self { standing, at, wait: None }
    }

    /// Of a request that is refused: there is nothing left of what refuses it.
    pub(super) fn refused(over: &Over, at: i64) -> Self {
        let quota = Some(Quota { limit: over.limit, remaining: 0, reset: over.reset });
        let standing = match over.meter {
            Meter::Requests => Standing { requests: quota, tokens: None },
            Meter::Tokens => Standing { requests: None, tokens: quota },
            Meter::Concurrent => Standing::default(),
        };
        Self { standing, at, wait: Some(over.wait) }
    }

    /// Says it to a client with that face.
    pub(crate) fn write(&self, face: Face, headers: &mut HeaderMap) {
        let Standing { requests, tokens } = self.standing;
        if face.is(wire::gemini::NAME) {
            return;
        }
        if face.is(wire::anthropic::NAME) {
            let all = [
                ("anthropic-ratelimit-requests-limit", requests),
                ("anthropic-ratelimit-tokens-limit", tokens),
            ];
            for (limit, quota) in all {
                self.anthropic(limit, quota, headers);
            }
            return;
        }
        if let Some(wait) = self.wait {
            put(headers, name("retry-after-ms"), millis(wait));
        }
        if face.openrouter {
            if let Some(quota) = requests.or(tokens) {
                put(headers, name("x-ratelimit-limit"), quota.limit);
                put(headers, name("x-ratelimit-remaining"), quota.remaining);
                put(headers, name("x-ratelimit-reset"), millis(self.at + quota.reset));
            }
            return;
        }
        let [_, names @ ..] = EXPOSED;
        for (place, quota) in [(0, requests), (3, tokens)] {
            if let Some(Quota { limit, remaining, reset }) = quota {
                put(headers, names[place].clone(), limit);
                put(headers, names[place + 1].clone(), remaining);
                put(headers, names[place + 2].clone(), duration(reset));
            }
        }
    }

    fn anthropic(&self, limit: &'static str, quota: Option<Quota>, headers: &mut HeaderMap) {
        let Some(quota) = quota else { return };
        let (remaining, reset) = if limit.contains("tokens") {
            ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset")
        } else {
            ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset")
        };
        put(headers, name(limit), quota.limit);
        put(headers, name(remaining), quota.remaining);
        // To the second, and not before.
        put(headers, name(reset), clock::rfc3339(self.at + quota.reset + 999_999));
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: impl std::fmt::Display) {
    if let Ok(value) = HeaderValue::try_from(format!("{value}")) {
        headers.insert(name, value);
    }
}

const fn millis(micros: i64) -> i64 {
    (micros + 999) / 1_000
}

/// As OpenAI writes it: `20ms`, `8.64s`, `6m0s`.
fn duration(micros: i64) -> String {
    let millis = millis(micros.max(0));
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    if seconds == 0 {
        return format!("{rest}ms");
    }
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}") };
    let fraction = fraction.trim_end_matches('0');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_written_as_openai_does() {
        for (micros, text) in [
            (0, "0ms"),
            (1, "1ms"),
            (999_001, "1s"),
            (20_000, "20ms"),
            (1_000_000, "1s"),
            (8_640_000, "8.64s"),
            (360_000_000, "6m0s"),
            (61_005_000, "1m1.005s"),
            (3_600_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(micros), text);
        }
    }
}
