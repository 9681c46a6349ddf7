//! Money: whole pico-dollars, exact text, checked arithmetic.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Pico-dollars in one dollar.
const PICO_PER_DOLLAR: i64 = 1_000_000_000_000;
/// Decimals of a pico-dollar.
const DECIMALS: usize = 12;
/// Digits of the largest amount.
const DIGITS: usize = 19;
/// Bytes of the longest text of an amount: its digits, a sign and a point.
const TEXT_BYTES: usize = DIGITS + 2;
/// Basis points in the whole.
const BASIS_POINTS: i128 = 10_000;

/// An amount of US dollars, counted in pico-dollars (10⁻¹² USD).
///
/// One pico-dollar a token is one dollar per million million tokens, so that every published price with up to six
/// decimals per million tokens is a whole number. The range is ±$9,223,372.036854775807; what does not fit is an
/// error, never a wrap.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Usd(i64);

/// Why an amount could not be made.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsdError {
    /// The result lies outside ±$9.22 million.
    #[error("amount is outside the range of ±9223372.036854775807 USD")]
    OutOfRange,
    /// The text is not a plain decimal number.
    #[error("not a plain decimal number such as 0.15")]
    NotDecimal,
    /// The text has more than twelve decimals, which an amount cannot hold exactly.
    #[error("more than 12 decimals")]
    TooPrecise,
}

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One dollar.
    pub const DOLLAR: Self = Self(PICO_PER_DOLLAR);

    /// The amount of `pico` pico-dollars.
    pub const fn from_pico(pico: i64) -> Self {
        Self(pico)
    }

    /// This amount in pico-dollars.
    pub const fn pico(self) -> i64 {
        self.0
    }

    /// The amount of `pico` pico-dollars, where it fits.
    pub fn try_from_pico(pico: i128) -> Result<Self, UsdError> {
        i64::try_from(pico).map(Self).map_err(|_| UsdError::OutOfRange)
    }

    /// The sum of both.
    pub fn checked_add(self, other: Self) -> Result<Self, UsdError> {
        self.0.checked_add(other.0).map(Self).ok_or(UsdError::OutOfRange)
    }

    /// `self` less `other`; may be negative.
    pub fn checked_sub(self, other: Self) -> Result<Self, UsdError> {
        self.0.checked_sub(other.0).map(Self).ok_or(UsdError::OutOfRange)
    }

    /// A share of this amount in basis points (500 is 5 %), rounded half to even at the pico-dollar.
    pub fn share(self, basis_points: u32) -> Result<Self, UsdError> {
        let product =
            i128::from(self.0).checked_mul(i128::from(basis_points)).ok_or(UsdError::OutOfRange)?;
        Self::try_from_pico(divide_half_even(product, BASIS_POINTS).ok_or(UsdError::OutOfRange)?)
    }

    /// Reads a plain decimal number of dollars (`12`, `0.15`, `-3.5`), exactly.
    pub fn parse(text: &str) -> Result<Self, UsdError> {
        let (pico, exact) = parse_scaled(text, 12)?;
        if exact { Self::try_from_pico(pico) } else { Err(UsdError::TooPrecise) }
    }

    /// The same, rounded half to even, for what others have computed with floating point.
    pub fn parse_rounded(text: &str) -> Result<Self, UsdError> {
        Self::try_from_pico(parse_scaled(text, 12)?.0)
    }

    /// Room for [`write`](Self::write).
    pub const fn text_buffer() -> [u8; TEXT_BYTES] {
        [0; TEXT_BYTES]
    }

    /// The amount as dollars, exactly, without trailing zeros: what [`Display`](fmt::Display) shows, without asking for memory.
    pub fn write(self, buffer: &mut [u8; TEXT_BYTES]) -> &str {
        let (mut rest, mut is_exact) = (self.0.unsigned_abs(), false);
        let mut free = buffer.iter_mut().rev();
        let mut put = |byte: u8| free.next().map(|place| *place = byte);
        // From the end: no digit behind the point is written before the first that counts.
        for place in 0..DIGITS {
            let digit = u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            if place == DECIMALS && is_exact {
                put(b'.');
            }
            is_exact |= digit != 0;
            if place >= DECIMALS || is_exact {
                put(b'0' | digit);
            }
            if place >= DECIMALS && rest == 0 {
                break;
            }
        }
        if self.0 < 0 {
            put(b'-');
        }
        let begin = free.len();
        buffer.get(begin..).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// The amount with six decimals, rounded half to even: for showing, never for computing.
    pub fn six_decimals(self) -> String {
        sum_six_decimals(i128::from(self.0))
    }
}

/// A sum of pico-dollars that may exceed one [`Usd`], as dollars with six decimals, rounded half to even.
pub fn sum_six_decimals(pico: i128) -> String {
    let micro = divide_half_even(pico, 1_000_000).unwrap_or_default();
    let sign = if micro < 0 { "-" } else { "" };
    let micro = micro.unsigned_abs();
    match (micro.checked_div(1_000_000), micro.checked_rem(1_000_000)) {
        (Some(whole), Some(rest)) => format!("{sign}{whole}.{rest:06}"),
        _ => String::new(),
    }
}

/// A sum of pico-dollars that may exceed one [`Usd`], as dollars, exactly, without trailing zeros.
pub fn sum_exact(pico: i128) -> String {
    if let Ok(amount) = Usd::try_from_pico(pico) {
        return amount.write(&mut Usd::text_buffer()).to_owned();
    }
    let sign = if pico < 0 { "-" } else { "" };
    let scale = PICO_PER_DOLLAR.unsigned_abs().into();
    let magnitude = pico.unsigned_abs();
    let (whole, rest) =
        (magnitude.checked_div(scale).unwrap_or(0), magnitude.checked_rem(scale).unwrap_or(0));
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let mut text = format!("{sign}{whole}.{rest:012}");
    text.truncate(text.trim_end_matches('0').len());
    text
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.write(&mut Self::text_buffer()))
    }
}

/// `numerator / denominator` for a positive denominator, halves to the even neighbour. `None` past `i128`.
pub(crate) fn divide_half_even(numerator: i128, denominator: i128) -> Option<i128> {
    let floor = numerator.checked_div_euclid(denominator)?;
    let twice_rest = numerator.checked_rem_euclid(denominator)?.checked_mul(2)?;
    let up = twice_rest > denominator
        || (twice_rest == denominator && floor.checked_rem_euclid(2)? == 1);
    if up { floor.checked_add(1) } else { Some(floor) }
}

/// Reads a plain decimal and scales it by 10^`decimals`, halves to even. Also tells whether nothing was rounded.
pub(crate) fn parse_scaled(text: &str, decimals: u32) -> Result<(i128, bool), UsdError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let empty = whole.is_empty() || (digits.contains('.') && fraction.is_empty());
    if empty || !plain(whole) || !plain(fraction) || whole.len() > 15 || fraction.len() > 18 {
        return Err(UsdError::NotDecimal);
    }
    let all: i128 = format!("{whole}{fraction}").parse().map_err(|_| UsdError::NotDecimal)?;
    let places = u32::try_from(fraction.len()).map_err(|_| UsdError::NotDecimal)?;
    let power = |n: u32| 10_i128.checked_pow(n).ok_or(UsdError::OutOfRange);
    let (scaled, exact) = if places <= decimals {
        let factor = power(decimals.abs_diff(places))?;
        (all.checked_mul(factor).ok_or(UsdError::OutOfRange)?, true)
    } else {
        let divisor = power(places.abs_diff(decimals))?;
        let rounded = divide_half_even(all, divisor).ok_or(UsdError::OutOfRange)?;
        (rounded, all.checked_rem(divisor) == Some(0))
    };
    Ok((if negative { scaled.checked_neg().ok_or(UsdError::OutOfRange)? } else { scaled }, exact))
}

#[cfg(test)]
#[path = "usd_tests.rs"]
mod tests;
