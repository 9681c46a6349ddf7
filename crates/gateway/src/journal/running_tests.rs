use ledger::{Meter, ScopeKind, Usage};

use super::*;

fn admitted(id: u128) -> Admitted {
    Admitted {
        request_id: Uuid::from_u128(id),
        account_id: Uuid::from_u128(2),
        user_id: Uuid::from_u128(3),
        key_id: Uuid::from_u128(4),
        surface: "native".into(),
        price_version: 5,
        commission_bps: 500,
        started_at: 6,
        input_tokens: 7,
        bound: Some(Usd::from_pico(8)),
        scopes: vec![Scope { kind: ScopeKind::Account, id: Uuid::from_u128(2), period_start: 0 }],
    }
}

fn dispatched(attempt: i16) -> Dispatched {
    Dispatched { attempt, provider: "openai".into(), model: "gpt-4o".into(), direct_bps: None }
}

fn body(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    write(&mut bytes);
    bytes.strip_prefix(b"before").unwrap().to_vec()
}

/// Takes these records, all of which can be read.
fn taken(records: &[(Kind, Vec<u8>)]) -> Vec<Unfinished> {
    let mut requests = Requests::default();
    for (kind, body) in records {
        assert!(requests.take(*kind, body), "{kind:?}");
        for length in 0..body.len() {
            let cut = body.get(..length).unwrap();
            // A receipt is not looked into, but for whose it is.
            let is_whole = *kind == Kind::Settled && length >= 16;
            assert_eq!(Requests::default().take(*kind, cut), is_whole, "{kind:?}, {length}");
        }
    }
    requests.unfinished()
}

fn held(id: u128) -> (Kind, Vec<u8>) {
    (Kind::Held, body(|bytes| admitted(id).encode(bytes)))
}

fn sent(id: u128, attempt: i16) -> (Kind, Vec<u8>) {
    (Kind::Dispatched, body(|bytes| dispatched(attempt).encode(Uuid::from_u128(id), bytes)))
}

fn went(id: u128, output: u64, report: Option<&UsageReport>) -> (Kind, Vec<u8>) {
    (Kind::Progress, body(|bytes| encode_progress(Uuid::from_u128(id), output, report, bytes)))
}

fn settled(id: u128) -> (Kind, Vec<u8>) {
    (Kind::Settled, [Uuid::from_u128(id).as_bytes().as_slice(), b"and the rest"].concat())
}

fn void(id: u128) -> (Kind, Vec<u8>) {
    (Kind::Void, body(|bytes| encode_void(Uuid::from_u128(id), bytes)))
}

#[test]
fn what_has_ended_is_not_left() {
    assert!(taken(&[held(1), sent(1, 1), settled(1)]).is_empty());
    assert!(taken(&[held(1), sent(1, 1), sent(1, 2), void(1)]).is_empty());
    assert!(taken(&[held(1)]).is_empty(), "what was not sent costs nothing");
    // What began before the first record.
    assert!(taken(&[sent(1, 1), went(1, 5, None), settled(1), void(2)]).is_empty());
}

#[test]
fn what_was_under_way_is_left_as_it_was() {
    let report = UsageReport::single(Usage::of(&[(Meter::Input, 9)]));
    let left = taken(&[
        held(1),
        sent(1, 1),
        held(2),
        went(1, 3, None),
        sent(2, 1),
        // The first attempt came to nothing.
        sent(1, 2),
        went(1, 10, Some(&report)),
        went(1, 14, None),
        settled(2),
    ]);
    let progress = Progress { output_bytes: 14, report: Some(report) };
    let expected = Unfinished { admitted: admitted(1), dispatched: dispatched(2), progress };
    assert_eq!(left, [expected]);
}

/// What is behind the record of a call with an own key is read, and nothing else there is.
#[test]
fn a_call_with_an_own_key_is_left_as_one() {
    let own = Dispatched { direct_bps: Some(250), ..dispatched(1) };
    let record = body(|bytes| own.encode(Uuid::from_u128(1), bytes));
    let house = body(|bytes| dispatched(1).encode(Uuid::from_u128(1), bytes));
    assert_eq!(Dispatched::decode(&record), Some((Uuid::from_u128(1), own)));
    assert_eq!(Dispatched::decode(&house), Some((Uuid::from_u128(1), dispatched(1))));
    for length in 0..record.len() {
        let is_house = length == house.len();
        assert_eq!(Dispatched::decode(&record[..length]).is_some(), is_house, "{length}");
    }
    assert_eq!(Dispatched::decode(&[&record[..], b"x"].concat()), None);
}

#[test]
fn a_receipt_of_a_call_with_an_own_key_that_was_under_way() {
    let catalogue = crate::catalogue::shipped().unwrap();
    let left = Unfinished {
        admitted: Admitted { bound: Some(Usd::DOLLAR), ..admitted(1) },
        dispatched: Dispatched { direct_bps: Some(1_000), ..dispatched(1) },
        progress: Progress { output_bytes: 100, report: None },
    };
    // 7 tokens of prompt and 25 of answer, at 2.5 and 10 dollars a million, of which a tenth is charged.
    let receipt = left.receipt(Some(&catalogue), 9);
    assert_eq!(receipt.report.direct().map(Usd::pico), Some(267_500_000));
    assert_eq!((receipt.cost, receipt.commission_bps), (Usd::ZERO, 1_000));
    assert_eq!((receipt.charge.pico(), receipt.absorbed), (26_750_000, Usd::ZERO));
    assert_eq!(receipt.check(&catalogue), Ok(()));
}

#[test]
fn a_receipt_of_what_was_under_way() {
    let catalogue = crate::catalogue::shipped().unwrap();
    let left = |output_bytes| Unfinished {
        admitted: Admitted { bound: Some(Usd::DOLLAR), ..admitted(1) },
        dispatched: dispatched(1),
        progress: Progress { output_bytes, report: None },
    };
    // 7 tokens of prompt and 25 of answer, at 2.5 and 10 dollars a million and 5 %.
    let receipt = left(100).receipt(Some(&catalogue), 9);
    assert_eq!(receipt.outcome, Outcome::Crashed);
    assert_eq!((receipt.cost.pico(), receipt.charge.pico()), (267_500_000, 280_875_000));
    assert_eq!((receipt.absorbed, receipt.started_at, receipt.ended_at), (Usd::ZERO, 6, 9));

    // Of which nothing went out: the house pays for the prompt.
    let receipt = left(0).receipt(Some(&catalogue), 9);
    assert_eq!((receipt.charge, receipt.absorbed.pico()), (Usd::ZERO, 18_375_000));

    // More than was held.
    let mut poor = left(100);
    poor.admitted.bound = Some(Usd::from_pico(1_000));
    let receipt = poor.receipt(Some(&catalogue), 9);
    assert_eq!((receipt.charge.pico(), receipt.absorbed.pico()), (1_000, 280_874_000));

    let receipt = left(100).receipt(None, 9);
    assert_eq!((receipt.outcome, receipt.charge), (Outcome::Unpriced, Usd::ZERO));
}
