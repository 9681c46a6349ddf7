//! What can go wrong at a provider, on demand.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

/// A way for a provider to misbehave.
///
/// Written as text: `delay:<milliseconds>`, `cut`, `hang`, `status:<400..599>`, `429:<seconds>`,
/// `garbage`, `empty` or `no_usage`.
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
    /// Answers 200 with a body that is not JSON.
    Garbage,
    /// Answers 200 with no body.
    Empty,
    /// Answers as usual, but for the usage, which is left out.
    NoUsage,
}

/// The text does not name a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such fault: '{0}' (known: delay:MS, cut, hang, status:CODE, 429:SECONDS, garbage, empty, no_usage)"
)]
pub struct FaultError(String);

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let unknown = || FaultError(text.to_owned());
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let number = |argument: &str| argument.parse::<u64>().map_err(|_| unknown());
        Ok(match (name, argument) {
            ("delay", Some(argument)) => Self::Delay(Duration::from_millis(number(argument)?)),
            ("cut", None) => Self::Cut,
            ("hang", None) => Self::Hang,
            ("status", Some(argument)) => {
                let status = argument.parse().map_err(|_| unknown())?;
                let known = (400..600).contains(&status) && StatusCode::from_u16(status).is_ok();
                known.then_some(Self::Status(status)).ok_or_else(unknown)?
            }
            ("429", argument) => {
                Self::RateLimited { retry_after_seconds: number(argument.unwrap_or("1"))? }
            }
            ("garbage", None) => Self::Garbage,
            ("empty", None) => Self::Empty,
            ("no_usage", None) => Self::NoUsage,
            _ => return Err(unknown()),
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
            Self::Garbage => out.write_str("garbage"),
            Self::Empty => out.write_str("empty"),
            Self::NoUsage => out.write_str("no_usage"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_as_it_writes() {
        for text in
            ["delay:250", "cut", "hang", "status:529", "429:7", "garbage", "empty", "no_usage"]
        {
            let fault = text.parse::<Fault>().expect(text);
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_fault_is_refused() {
        for text in ["", "delay", "delay:soon", "cut:1", "status:200", "status:6000", "429:x"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
