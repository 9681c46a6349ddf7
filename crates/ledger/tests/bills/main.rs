//! A hundred thousand bills equal those of another implementation; `cargo xtask bills` makes as many as one likes.

mod compare;

#[test]
fn a_hundred_thousand_bills_are_right_to_the_pico_dollar() {
    let tally = compare::lists(1..5_001).unwrap_or_else(|wrong| panic!("{wrong}"));
    // What never happens is not tested.
    let compare::Tally { equal, unpriced, out_of_range, rounded } = tally;
    assert_eq!(equal + unpriced + out_of_range, 5_000 * compare::BILLS as u64);
    assert!(
        equal > 50_000 && unpriced > 5_000 && out_of_range > 500 && rounded > 10_000,
        "{tally:?}"
    );
}
