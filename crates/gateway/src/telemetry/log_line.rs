//! The one line of a request, at its end. Neither prompts nor answers are in it, nor any key but its last four characters.
//!
//! It is written by hand, in the form of all other lines: the general way takes four times as long for a line with so many
//! fields, and every request has one.

use std::fmt::{self, Write as _};
use std::time::Duration;

use uuid::Uuid;

use super::metrics::operation_name;
use super::outcome::Outcome;
use super::passage::{Noted, Passage};
use crate::config::LogFormat;

/// What operators filter by.
const TARGET: &str = "request";
/// Longer than most lines.
const LENGTH: usize = 1_024;

/// The line, where it is asked for.
pub(super) fn of(
    format: LogFormat,
    passage: &Passage,
    noted: &Noted,
    outcome: Outcome,
    took: Duration,
) -> Option<String> {
    if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
        return None;
    }
    let mut line = Line { text: String::with_capacity(LENGTH), format };
    let micros = i64::try_from(took.as_micros()).unwrap_or(0);
    // Writing into memory does not fail.
    let written = line.begin(passage.begun_at.saturating_add(micros));
    let _ = written.and_then(|()| line.fields(passage, noted, outcome, took));
    Some(line.text)
}

struct Line {
    text: String,
    format: LogFormat,
}

impl Line {
    fn begin(&mut self, at: i64) -> fmt::Result {
        let at = jiff::Timestamp::from_microsecond(at).unwrap_or_default();
        match self.format {
            LogFormat::Text => write!(self.text, "{at:.6}  INFO request"),
            LogFormat::Json => write!(
                self.text,
                r#"{{"timestamp":"{at:.6}","level":"INFO","message":"request","target":"{TARGET}""#
            ),
        }
    }

    fn fields(
        &mut self,
        passage: &Passage,
        noted: &Noted,
        outcome: Outcome,
        took: Duration,
    ) -> fmt::Result {
        self.id("request_id", passage.id)?;
        if let Some(key) = &noted.key {
            self.id("key_id", key.id)?;
            self.word("key_last4", &key.last4)?;
            self.id("user_id", key.user_id)?;
        }
        self.name("surface", passage.surface);
        self.name("operation", operation_name(passage.operation));
        self.plain("stream", noted.stream)?;
        if let Some(model) = &noted.model {
            if let Some(wanted) = &noted.wanted {
                self.word("model_wanted", wanted)?;
            }
            self.name("provider", model.provider);
            self.word("model", &model.name)?;
        }
        self.plain("attempts", noted.attempts)?;
        if let Some(status) = noted.status {
            self.plain("status", status)?;
        }
        self.name("outcome", outcome.name());
        if let Some(refused) = noted.refused {
            self.name("code", refused.code);
        }
        if let Some(finish) = noted.finish {
            self.name("finish", finish.name());
        }
        if let Some(first_byte) = passage.first_byte() {
            self.millis("ttfb_ms", first_byte)?;
        }
        self.millis("total_ms", took)?;
        if let Some(settled) = &noted.settled {
            if let Some(served) = &settled.model_served {
                self.word("model_served", served)?;
            }
            self.plain("input_tokens", settled.input_tokens)?;
            self.plain("output_tokens", settled.output_tokens)?;
            self.plain("cached_tokens", settled.cached_tokens)?;
            self.exact("cost_usd", settled.cost)?;
            self.exact("charge_usd", settled.charge)?;
            self.plain("price_version", settled.price_version)?;
        }
        self.plain("client_cancelled", outcome == Outcome::ClientGone)?;
        self.text.push_str(if self.format == LogFormat::Json { "}\n" } else { "\n" });
        Ok(())
    }

    fn label(&mut self, name: &str) {
        match self.format {
            LogFormat::Text => {
                self.text.push(' ');
                self.text.push_str(name);
                self.text.push('=');
            }
            LogFormat::Json => {
                self.text.push_str(",\"");
                self.text.push_str(name);
                self.text.push_str("\":");
            }
        }
    }

    /// A number, or a yes or no.
    fn plain(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        self.label(name);
        write!(self.text, "{value}")
    }

    /// An amount. In JSON it is a text, because numbers there are read as floats.
    fn exact(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        self.label(name);
        match self.format {
            LogFormat::Text => write!(self.text, "{value}"),
            LogFormat::Json => write!(self.text, "\"{value}\""),
        }
    }

    fn id(&mut self, name: &str, id: Uuid) -> fmt::Result {
        let mut text = Uuid::encode_buffer();
        let text: &str = id.hyphenated().encode_lower(&mut text);
        self.exact(name, text)
    }

    /// One of our own words.
    fn name(&mut self, name: &str, word: &str) {
        self.label(name);
        self.text.push('"');
        self.text.push_str(word);
        self.text.push('"');
    }

    /// Somebody else's.
    fn word(&mut self, name: &str, word: &str) -> fmt::Result {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if word.bytes().all(is_plain) {
            self.name(name, word);
            return Ok(());
        }
        self.label(name);
        match self.format {
            LogFormat::Text => write!(self.text, "{word:?}"),
            LogFormat::Json => write!(self.text, "{}", serde_json::Value::from(word)),
        }
    }

    /// To the microsecond.
    fn millis(&mut self, name: &str, took: Duration) -> fmt::Result {
        let micros = took.as_micros();
        self.plain(name, format_args!("{}.{:03}", micros / 1_000, micros % 1_000))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Line;
    use crate::config::LogFormat;

    fn line(format: LogFormat) -> String {
        let mut line = Line { text: String::new(), format };
        line.begin(1_795_691_663_614_500).expect("memory");
        line.word("model", "a \"b\"\n\u{1b}[2J").expect("memory");
        line.exact("cost_usd", "0.5").expect("memory");
        line.millis("total_ms", Duration::from_nanos(1_002_999)).expect("memory");
        line.text
    }

    #[test]
    fn what_others_say_does_not_break_a_line() {
        let text = line(LogFormat::Text);
        let expected = r#"2026-11-26T11:14:23.614500Z  INFO request model="a \"b\"\n\u{1b}[2J" cost_usd=0.5 total_ms=1.002"#;
        assert_eq!(text, expected);
        let json = line(LogFormat::Json) + "}";
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["model"], "a \"b\"\n\u{1b}[2J");
        assert_eq!((&read["cost_usd"], &read["total_ms"]), (&"0.5".into(), &1.002.into()));
        assert_eq!(read["timestamp"], "2026-11-26T11:14:23.614500Z");
    }
}
