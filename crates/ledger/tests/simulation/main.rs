//! Twenty thousand worlds; `cargo xtask simulate` runs as many as one likes.

mod world;

#[test]
fn money_is_safe_in_twenty_thousand_worlds() {
    let tally = world::run_all(1..20_001).unwrap_or_else(|failed| panic!("{failed}"));
    // What never happens is not tested.
    let world::Tally { requests, refused, receipts, crashes, absorbed, zombies, conflicts, late } =
        tally;
    for count in [requests, refused, receipts, crashes, absorbed, zombies, conflicts, late] {
        assert!(count > 100, "{tally:?}");
    }
}
