//! What can go wrong at a provider, on demand.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

/// A way for a provider to misbehave.
///
/// Written as text: `delay:<milliseconds>`, `cut`, `hang`, `status:<400..599>`, `429:<seconds>`,
/// `echo:<200|400..599>`, `garbage`, `empty`, `no_usage`, `slow:<milliseconds>`, `cut:<events>`, `tear:<events>`,
/// `hang:<events>`, `error:<events>`, `garbage:<events>`, `unterminated`, `pieces:<bytes>` or `keep_alive:<times>`.
///
/// What counts events is meant for streams. An answer that is not a stream is one event, so that it
/// suffers before its first byte or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Waits before it answers as usual.
    Delay(Duration),
    /// Closes the connection after the headers, which promise the whole body, and half of the body.
    Cut,
    /// Never answers.
    Hang,
    /// Answers with this status, in the provider's own error shape.
    Status(u16),
    /// Answers 429 and says how long to wait, as the provider says it.
    RateLimited { retry_after_seconds: u64 },
    /// Answers with this status and repeats the credential it was called with, which a careless
    /// provider might do; with 200 as a JSON text in place of an answer.
    Echo(u16),
    /// Answers 200 with a body that is not JSON.
    Garbage,
    /// Answers 200 with no body.
    Empty,
    /// Answers as usual, but for the usage, which is left out.
    NoUsage,
    /// Waits between events.
    Slow(Duration),
    /// Closes the connection after so many events.
    CutAfter(usize),
    /// Closes the connection in the midst of the event that follows so many others.
    TearAfter(usize),
    /// Falls silent after so many events.
    HangAfter(usize),
    /// Says after so many events that something failed, in the provider's own way, and ends.
    ErrorAfter(usize),
    /// Sends an event that is not JSON after so many events, and then the others.
    GarbageAfter(usize),
    /// Ends the body properly, but without the event that ends the answer.
    Unterminated,
    /// Sends the body in pieces of so many bytes.
    Pieces(usize),
    /// Sends what keeps a connection open so many times before the answer.
    KeepAlive(usize),
}

/// The text does not name a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such fault: '{0}' (known: delay:MS, cut, hang, status:CODE, 429:SECONDS, echo:CODE, garbage, empty, no_usage, slow:MS, \
     cut:N, tear:N, hang:N, error:N, garbage:N, unterminated, pieces:BYTES, keep_alive:N)"
)]
pub struct FaultError(String);

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        Self::parse(text).ok_or_else(|| FaultError(text.to_owned()))
    }
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        let Some((name, argument)) = text.split_once(':') else {
            return match text {
                "cut" => Some(Self::Cut),
                "hang" => Some(Self::Hang),
                "429" => Some(Self::RateLimited { retry_after_seconds: 1 }),
                "garbage" => Some(Self::Garbage),
                "empty" => Some(Self::Empty),
                "no_usage" => Some(Self::NoUsage),
                "unterminated" => Some(Self::Unterminated),
                _ => None,
            };
        };
        let time = || Some(Duration::from_millis(argument.parse().ok()?));
        let count = || argument.parse::<usize>().ok();
        Some(match name {
            "delay" => Self::Delay(time()?),
            "slow" => Self::Slow(time()?),
            "status" => {
                let status = argument.parse().ok().filter(|status| (400..600).contains(status))?;
                StatusCode::from_u16(status).ok()?;
                Self::Status(status)
            }
            "echo" => {
                let status = argument.parse().ok()?;
                let known = status == 200 || (400..600).contains(&status);
                known.then_some(Self::Echo(status))?
            }
            "429" => Self::RateLimited { retry_after_seconds: argument.parse().ok()? },
            "cut" => Self::CutAfter(count()?),
            "tear" => Self::TearAfter(count()?),
            "hang" => Self::HangAfter(count()?),
            "error" => Self::ErrorAfter(count()?),
            "garbage" => Self::GarbageAfter(count()?),
            "pieces" => Self::Pieces(count().filter(|bytes| *bytes > 0)?),
            "keep_alive" => Self::KeepAlive(count()?),
            _ => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(time) => write!(out, "delay:{}", time.as_millis()),
            Self::Cut => out.write_str("cut"),
            Self::Hang => out.write_str("hang"),
            Self::Status(status) => write!(out, "status:{status}"),
            Self::RateLimited { retry_after_seconds } => write!(out, "429:{retry_after_seconds}"),
            Self::Echo(status) => write!(out, "echo:{status}"),
            Self::Garbage => out.write_str("garbage"),
            Self::Empty => out.write_str("empty"),
            Self::NoUsage => out.write_str("no_usage"),
            Self::Slow(time) => write!(out, "slow:{}", time.as_millis()),
            Self::CutAfter(events) => write!(out, "cut:{events}"),
            Self::TearAfter(events) => write!(out, "tear:{events}"),
            Self::HangAfter(events) => write!(out, "hang:{events}"),
            Self::ErrorAfter(events) => write!(out, "error:{events}"),
            Self::GarbageAfter(events) => write!(out, "garbage:{events}"),
            Self::Unterminated => out.write_str("unterminated"),
            Self::Pieces(bytes) => write!(out, "pieces:{bytes}"),
            Self::KeepAlive(times) => write!(out, "keep_alive:{times}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_as_it_writes() {
        for text in [
            "delay:250",
            "cut",
            "hang",
            "status:529",
            "429:7",
            "echo:200",
            "echo:400",
            "garbage",
            "empty",
            "no_usage",
            "slow:5",
            "cut:0",
            "tear:4",
            "hang:3",
            "error:2",
            "garbage:1",
            "unterminated",
            "pieces:1",
            "keep_alive:2",
        ] {
            let fault = text.parse::<Fault>().expect(text);
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_fault_is_refused() {
        for text in [
            "",
            "delay",
            "delay:soon",
            "cut:x",
            "status:200",
            "status:6000",
            "429:x",
            "slow",
            "echo:300",
            "pieces:0",
            "unterminated:1",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
