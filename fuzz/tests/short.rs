//! Some inputs of each target each time; `cargo xtask fuzz` runs many more.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test; helpers of tests are not exempt by themselves"
)]

use fuzz::run::{Options, run};
use fuzz::targets::{TARGETS, Target};

const INPUTS: u64 = 20_000;

fn check(name: &str) {
    let target = Target::find(name).expect("a target of that name");
    let options = Options { inputs: INPUTS, seed: 20_261_125 };
    let report = run(target, options, &mut |_, _| ()).expect("the fixtures");
    if let Some(failure) = report.failure {
        let input = String::from_utf8_lossy(&failure.input.bytes).into_owned();
        panic!("{}\n{} {input}", failure.what, failure.input.kind.name());
    }
    assert_eq!(report.inputs, INPUTS);
    assert!(report.kept > 50, "only {} outcomes: the inputs reach nothing", report.kept);
}

#[test]
fn sse() {
    check("sse");
}

#[test]
fn openai_chat() {
    check("openai_chat");
}

#[test]
fn openai_responses() {
    check("openai_responses");
}

#[test]
fn anthropic() {
    check("anthropic");
}

#[test]
fn gemini() {
    check("gemini");
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    for target in TARGETS {
        let corpus = target.corpus().expect("the fixtures");
        let inputs = |seed: u64| -> Vec<Vec<u8>> {
            let mut chance = fuzz::mutate::chance(seed);
            let one = |_| fuzz::mutate::changed(&corpus, &mut chance).expect("an input").bytes;
            (0..50).map(one).collect()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
    }
}
