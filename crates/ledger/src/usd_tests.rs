use proptest::prelude::*;

use super::*;

#[test]
fn reads_and_writes_exactly() {
    for (text, pico) in [
        ("0", 0),
        ("1", 1_000_000_000_000),
        ("0.000000000001", 1),
        ("-0.5", -500_000_000_000),
        ("9223372.036854775807", i64::MAX),
        ("-9223372.036854775808", i64::MIN),
        ("1000000", 1_000_000_000_000_000_000),
        ("10.01", 10_010_000_000_000),
        ("0.000551565", 551_565_000),
    ] {
        let usd = Usd::parse(text).expect(text);
        assert_eq!(usd.pico(), pico);
        assert_eq!(usd.to_string(), text);
    }
}

#[test]
fn refuses_what_is_no_amount() {
    for text in ["", ".", "1.", ".5", "1e3", "+1", "0x1", "1,5", " 1", "--1", "NaN", "1.2.3", "١"]
    {
        assert_eq!(Usd::parse(text), Err(UsdError::NotDecimal), "{text}");
    }
    assert_eq!(Usd::parse("0.0000000000001"), Err(UsdError::TooPrecise));
    assert_eq!(Usd::parse("9223372.036854775808"), Err(UsdError::OutOfRange));
    assert_eq!(Usd::from_pico(i64::MAX).checked_add(Usd::from_pico(1)), Err(UsdError::OutOfRange));
    assert_eq!(Usd::from_pico(i64::MIN).checked_sub(Usd::from_pico(1)), Err(UsdError::OutOfRange));
}

#[test]
fn a_share_is_rounded_half_to_even() {
    for (pico, bps, share) in [
        (100, 500, 5),
        (10, 500, 0),
        (30, 500, 2),
        (50, 500, 2),
        (70, 500, 4),
        (-30, 500, -2),
        (1, 10_000, 1),
    ] {
        assert_eq!(Usd::from_pico(pico).share(bps), Ok(Usd::from_pico(share)), "{pico} at {bps}");
    }
    assert_eq!(Usd::from_pico(i64::MAX).share(20_000), Err(UsdError::OutOfRange));
}

#[test]
fn six_decimals_are_for_showing() {
    assert_eq!(Usd::parse("0.0000005").map(Usd::six_decimals), Ok("0.000000".to_owned()));
    assert_eq!(Usd::parse("0.0000015").map(Usd::six_decimals), Ok("0.000002".to_owned()));
    assert_eq!(Usd::parse("-12.3456789").map(Usd::six_decimals), Ok("-12.345679".to_owned()));
    assert_eq!(sum_six_decimals(i128::from(i64::MAX) * 10), "92233720.368548");
    assert_eq!(sum_exact(i128::from(i64::MAX) * 10), "92233720.36854775807");
}

proptest! {
    #[test]
    fn text_is_a_fixed_point(pico in any::<i64>()) {
        let usd = Usd::from_pico(pico);
        prop_assert_eq!(Usd::parse(&usd.to_string()), Ok(usd));
    }

    #[test]
    fn a_share_is_within_half_a_pico_dollar(pico in any::<i64>(), bps in 0_u32..=10_000) {
        let share = i128::from(Usd::from_pico(pico).share(bps).expect("at most the whole").pico());
        let off = (share * 10_000 - i128::from(pico) * i128::from(bps)).abs();
        prop_assert!(off <= 5_000);
        prop_assert!(off < 5_000 || share % 2 == 0);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,24}") {
        if let Ok(usd) = Usd::parse(&text) {
            prop_assert_eq!(Usd::parse(&usd.to_string()), Ok(usd));
        }
    }
}
