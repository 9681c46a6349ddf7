//! Decimal numbers as other programs write them: exact, with an exponent or without.

use crate::usd::{UsdError, divide_half_even};

/// Decimals that are kept. What a double of a fraction of a cent is written with fits; what is finer is rounded.
const PLACES: i32 = 30;
/// One, counted in units of the last place.
const ONE: i128 = 1_000_000_000_000_000_000_000_000_000_000;
/// A pico-dollar, counted in the same.
const PICO: i128 = 1_000_000_000_000_000_000;
/// More digits or a longer exponent than that are no amount of anything.
const LONGEST: usize = 400;

/// A decimal number, exact to thirty places: what a sum of many amounts is worked out in before it is rounded once.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(i128);

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads `12`, `-0.15`, `.5`, `1.5e-07` or `2E3`.
    ///
    /// # Errors
    /// [`UsdError::NotDecimal`] for anything else, [`UsdError::OutOfRange`] past 170 million.
    pub fn parse(text: &str) -> Result<Self, UsdError> {
        if text.len() > LONGEST {
            return Err(UsdError::NotDecimal);
        }
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, self::exponent(exponent)?),
            None => (text, 0),
        };
        let (negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !plain(whole) || !plain(fraction) {
            return Err(UsdError::NotDecimal);
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let places = i32::try_from(fraction.len()).map_err(|_| UsdError::NotDecimal)?;
        let shift = exponent
            .checked_sub(places)
            .and_then(|shift| shift.checked_add(PLACES))
            .ok_or(UsdError::OutOfRange)?;
        let units = shifted(digits, shift)?;
        Ok(Self(if negative { units.checked_neg().ok_or(UsdError::OutOfRange)? } else { units }))
    }

    /// The sum of both; `None` past the range.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Dollars in pico-dollars, halves to even.
    pub fn pico(self) -> i128 {
        divide_half_even(self.0, PICO).unwrap_or_default()
    }

    /// The number where it is whole.
    pub fn whole(self) -> Option<i128> {
        (self.0.checked_rem(ONE) == Some(0)).then(|| self.0.checked_div(ONE)).flatten()
    }

    /// Whether it is below 0.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

fn exponent(text: &str) -> Result<i32, UsdError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UsdError::NotDecimal);
    }
    text.parse().map_err(|_| UsdError::NotDecimal)
}

/// `digits` times 10^`shift`, halves to even.
fn shifted(digits: &str, shift: i32) -> Result<i128, UsdError> {
    if digits.is_empty() {
        return Ok(0);
    }
    let number = |digits: &str| digits.parse::<i128>().map_err(|_| UsdError::OutOfRange);
    if let Ok(places) = u32::try_from(shift) {
        let factor = 10_i128.checked_pow(places).ok_or(UsdError::OutOfRange)?;
        return number(digits)?.checked_mul(factor).ok_or(UsdError::OutOfRange);
    }
    let dropped = usize::try_from(shift.unsigned_abs()).map_err(|_| UsdError::OutOfRange)?;
    let Some(kept) = digits.len().checked_sub(dropped) else { return Ok(0) };
    let (kept, rest) = digits.split_at_checked(kept).unwrap_or((digits, ""));
    let units = if kept.is_empty() { 0 } else { number(kept)? };
    let half = rest.strip_prefix('5').map(|rest| rest.bytes().all(|digit| digit == b'0'));
    let up = match half {
        Some(true) => units.checked_rem(2) == Some(1),
        Some(false) => true,
        None => rest.as_bytes().first().is_some_and(|first| *first > b'5'),
    };
    if up { units.checked_add(1).ok_or(UsdError::OutOfRange) } else { Ok(units) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_databases_write_them() {
        let pico = |text: &str| Decimal::parse(text).map(Decimal::pico);
        for (text, expected) in [
            ("0", 0),
            ("1.5e-07", 150_000),
            ("1.5E-7", 150_000),
            ("0.00000015", 150_000),
            ("2e3", 2_000_000_000_000_000),
            ("-0.25", -250_000_000_000),
            ("+.5", 500_000_000_000),
            ("12.", 12_000_000_000_000),
            // A double's noise is below a pico-dollar.
            ("1.8449999999999998e-05", 18_450_000),
            ("0.0000000000005", 0),
            ("0.0000000000015", 2),
            ("0.00000000000050000000001", 1),
            ("4.9e-324", 0),
            ("000000000000000000000000000000000000000001", 1_000_000_000_000),
        ] {
            assert_eq!(pico(text), Ok(expected), "{text}");
        }
        for text in ["", "-", ".", "NaN", "Infinity", "1e", "e5", "1,5", "0x10", "1e+", " 1", "--1"]
        {
            assert_eq!(pico(text), Err(UsdError::NotDecimal), "{text:?}");
        }
        for text in ["1e9", "1e300", "1e999999", "999999999999999999999999999999999999999999"] {
            assert_eq!(pico(text), Err(UsdError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn sums_are_exact_below_the_pico_dollar() {
        let third = Decimal::parse("0.0000000000004").unwrap();
        let sum = (0..5).try_fold(Decimal::ZERO, |sum, _| sum.checked_add(third)).unwrap();
        assert_eq!((third.pico(), sum.pico()), (0, 2));
        let most = Decimal::parse("170000000").unwrap();
        assert_eq!(most.checked_add(most), None);
    }

    #[test]
    fn whole_numbers() {
        let whole = |text: &str| Decimal::parse(text).unwrap().whole();
        assert_eq!((whole("12.0"), whole("1.2e1"), whole("-3")), (Some(12), Some(12), Some(-3)));
        assert_eq!((whole("0.5"), whole("1e-30")), (None, None));
        assert!(Decimal::parse("-1").unwrap().is_negative());
    }
}
