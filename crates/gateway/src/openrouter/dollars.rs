//! Amounts as JSON has them: numbers of dollars, to the last digit.

use std::borrow::Cow;

use ledger::Usd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

/// An amount. It is read from a number or from its text.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dollars(pub(crate) Usd);

impl Dollars {
    pub(crate) const fn pico(pico: i64) -> Self {
        Self(Usd::from_pico(pico))
    }
}

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.to_string()).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let bad = || de::Error::custom("expected dollars, such as 5 or \"0.50\"");
        let amount = match serde_json::from_str::<serde_json::Value>(raw.get()) {
            // JavaScript writes a small number as 1e-7, and 0.1 + 0.2 as 0.30000000000000004.
            Ok(serde_json::Value::Number(_)) => {
                let number = plain(raw.get());
                let some =
                    number.as_deref().is_some_and(|n| n.contains(|c| ('1'..='9').contains(&c)));
                let amount = number.and_then(|number| Usd::parse_rounded(short(&number)).ok());
                // What is something must not become nothing.
                amount.filter(|amount| !some || *amount != Usd::ZERO)
            }
            Ok(serde_json::Value::String(text)) => Usd::parse(&text).ok(),
            _ => None,
        };
        amount.map(Self).ok_or_else(bad)
    }
}

/// Without the digits that are far behind what counts.
fn short(number: &str) -> &str {
    const DIGITS: usize = 18;
    let end = number.find('.').map_or(number.len(), |point| point.saturating_add(1 + DIGITS));
    number.get(..end).unwrap_or(number)
}

/// A number of JSON without its exponent.
fn plain(number: &str) -> Option<Cow<'_, str>> {
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else {
        return Some(number.into());
    };
    let exponent: i32 = exponent.parse().ok().filter(|exponent| (-30..=30).contains(exponent))?;
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let Ok(point) = usize::try_from(point) else {
        let zeros = "0".repeat(usize::try_from(point.unsigned_abs()).ok()?);
        return Some(format!("{sign}0.{zeros}{digits}").into());
    };
    let digits = format!("{digits:0<point$}");
    let (whole, fraction) = digits.split_at_checked(point)?;
    let whole = if whole.is_empty() { "0" } else { whole };
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{dot}{fraction}").into())
}

impl JsonSchema for Dollars {
    fn schema_name() -> Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "format": "double", "description": "US dollars" })
    }
}

#[cfg(test)]
mod tests {
    use super::Dollars;

    #[test]
    fn amounts_keep_every_digit() {
        for (json, written) in [
            ("5", "5"),
            ("0.50", "0.5"),
            ("\"0.000000000001\"", "0.000000000001"),
            ("1234567.123456789012", "1234567.123456789012"),
            ("1e-7", "0.0000001"),
            ("1.5E-3", "0.0015"),
            ("12.5e1", "125"),
            ("1.25e1", "12.5"),
            ("25e-1", "2.5"),
            ("-2", "-2"),
            ("0.30000000000000004", "0.3"),
            ("2.9999999999999996", "3"),
            ("1.2345678901234567e-7", "0.000000123457"),
            ("0e-13", "0"),
        ] {
            let read: Dollars = serde_json::from_str(json).expect(json);
            assert_eq!(serde_json::to_string(&read).expect("JSON"), written, "{json}");
        }
        for json in [
            "null",
            "true",
            "[]",
            "\"\"",
            "\"1e-7\"",
            "\"0.30000000000000004\"",
            // Less than can be counted, and more than nothing.
            "1e-13",
            "1e300",
            "1e99999999999",
        ] {
            assert!(serde_json::from_str::<Dollars>(json).is_err(), "{json}");
        }
    }
}
