//! `cargo xtask prove`: the tests of the money path, of bad clients and of a long load, in full, on a release of the program.
//! The ordinary tests run the same ones for a shorter while.

use crate::{Result, release, test};

/// Figures that are reached where none is given.
const KILLS: &str = "10000";
const OUTAGE: &str = "1800";
const ATTEMPTS: &str = "20000";
const BAD_CLIENTS: &str = "2000";
const SOAK: &str = "10";

pub(crate) fn run(args: &[String]) -> Result {
    let (mut kills, mut outage, mut attempts) = (None, None, None);
    let (mut bad, mut soak) = (None, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let slot = match arg.as_str() {
            "--kills" => &mut kills,
            "--outage" => &mut outage,
            "--attempts" => &mut attempts,
            "--bad-clients" => &mut bad,
            "--soak" => &mut soak,
            _ => return Err(format!("unexpected argument `{arg}`; `cargo xtask help` lists them")),
        };
        let number = args.next().filter(|text| text.parse::<u64>().is_ok_and(|n| n > 0));
        *slot = Some(number.ok_or_else(|| format!("{arg}: expected a number above 0"))?.as_str());
    }
    if [kills, outage, attempts, bad, soak].iter().all(Option::is_none) {
        (kills, outage) = (Some(KILLS), Some(OUTAGE));
        (attempts, bad, soak) = (Some(ATTEMPTS), Some(BAD_CLIENTS), Some(SOAK));
    }
    let program = release::build(&["gateway", "testkit"])?.join("tollgate").display().to_string();
    let wanted = [
        ("TOLLGATE_TEST_KILLS", kills, "test(every_answer_seen_has_its_receipt)"),
        ("TOLLGATE_TEST_OUTAGE", outage, "test(a_database_that_is_away_for_a_while)"),
        ("TOLLGATE_TEST_ATTEMPTS", attempts, "test(credit_for_so_many_requests)"),
        ("TOLLGATE_TEST_BAD_CLIENTS", bad, "test(bad_clients_beside_good_ones)"),
        ("TOLLGATE_TEST_SOAK", soak, "test(nothing_grows_under_load)"),
    ];
    for (name, figure, which) in wanted {
        let Some(figure) = figure else { continue };
        let args = ["-p", "gateway", "--profile", "prove", "--no-capture", "-E", which];
        let given = [(name, figure), ("TOLLGATE_TEST_RELEASE", program.as_str())];
        test::with(&args.map(str::to_owned), &given)?;
    }
    Ok(())
}
