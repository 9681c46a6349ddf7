use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::catalogue::{Catalogue, Model, ModelInfo};
use crate::content::Content;
use crate::hex::to_hex;
use crate::price::{Condition, Rates, Tariff, UnitPrice};
use crate::receipt::Bill;
use crate::seal::Signer;
use crate::usage::{Meter, Pass, Usage, UsageReport};

#[path = "statement_direct_tests.rs"]
mod direct;

const MAY: i64 = 1_746_057_600_000_000;
const JUNE: i64 = 1_748_736_000_000_000;

fn catalogue(input: i64) -> Catalogue {
    let price = |pico| UnitPrice::from_pico(pico).unwrap();
    let model = |name: &str, factor: i64| Model {
        provider: "openai".to_owned(),
        name: name.to_owned(),
        info: ModelInfo::default(),
        price: ModelPrice {
            tariffs: vec![Tariff {
                valid_from: None,
                rates: vec![(
                    Condition::default(),
                    Rates::from_iter([
                        (Meter::Input, price(input * factor)),
                        (Meter::Output, price(4 * input * factor)),
                    ]),
                )],
            }],
            ..ModelPrice::default()
        },
    };
    [model("big", 10), model("small", 1), model("not used", 7)].into_iter().collect()
}

fn sources() -> Vec<PriceSource> {
    let source = |version, input| PriceSource {
        version,
        sha256: format!("{version:064}"),
        source: "list.csv".to_owned(),
        catalogue: catalogue(input),
    };
    vec![source(1, 150_000), source(2, 250_001)]
}

fn receipt(number: i64) -> Receipt {
    let count = number.unsigned_abs();
    let usage = |more| Usage::of(&[(Meter::Input, 1_000 + count), (Meter::Output, 30 + more)]);
    let mut report = UsageReport::single(usage(count));
    if number % 3 == 0 {
        report.passes.push(Pass { model: Some("big".to_owned()), usage: usage(1) });
    }
    let price_version = 1 + number % 2;
    let model = if number % 4 == 1 { "big" } else { "small" };
    let started_at = MAY + number;
    let list = &sources()[usize::try_from(price_version - 1).unwrap()].catalogue;
    let bill = Bill::of(list, "openai", model, &report, started_at, 500).unwrap();
    Receipt {
        request_id: Uuid::from_u128((0x0193_0000_0000_7000_8000 << 48) + u128::from(count)),
        attempt: 1,
        account_id: Uuid::from_u128(0xacc0),
        user_id: Uuid::from_u128(0xada0),
        key_id: Uuid::from_u128(0xce70),
        surface: "native".to_owned(),
        provider: "openai".to_owned(),
        model: model.to_owned(),
        model_served: (number % 2 == 0).then(|| "small-2026".to_owned()),
        upstream_id: Some(format!("chatcmpl-{number}")),
        price_version,
        commission_bps: 500,
        report,
        usage_source: UsageSource::Provider,
        outcome: Outcome::Ok,
        cost: bill.cost,
        commission: bill.commission,
        charge: bill.charge,
        absorbed: Usd::ZERO,
        bound: None,
        scopes: Vec::new(),
        started_at,
        ended_at: started_at + 1,
    }
}

fn stored(receipt: &Receipt) -> (String, Hash) {
    let report = serde_json::to_string(&receipt.report).unwrap();
    let hash = Content::of(receipt, &report).unwrap().hash();
    (report, hash)
}

fn head(to: i64) -> Head {
    Head {
        user: Party { id: Uuid::from_u128(0xada0), name: "ada".to_owned() },
        account_id: Uuid::from_u128(0xacc0),
        period: Span { from: MAY, to },
        made_at: JUNE + 7,
    }
}

/// Of nine receipts, the first two have no proof; the others are sealed among those of strangers, by two replicas.
fn built(kept: Kept, to: i64) -> Statement {
    let mut builder = Builder::new(head(to), kept);
    let mut hashes = Vec::new();
    for number in 0..9 {
        let receipt = receipt(number);
        let (report, hash) = stored(&receipt);
        builder.add(&receipt, report, hash);
        hashes.push(hash);
    }
    let (one, two) = (Signer::from_secret(&[1; 32]), Signer::from_secret(&[2; 32]));
    let (replica, other) = (Uuid::from_u128(0xe1), Uuid::from_u128(0xe0));
    let batch = [[9; 32], hashes[2], hashes[4], [8; 32], hashes[3]];
    let first = one.seal(replica, 4, [5; 32], &batch, None);
    let second = one.seal(replica, 5, first.hash, &hashes[5..7], Some([6; 32]));
    let third = two.seal(other, 1, [0; 32], &[hashes[8], hashes[7], [3; 32]], None);
    let strangers = one.seal(replica, 6, second.hash, &[[1; 32]], None);
    builder.prove(second, &hashes[5..7]);
    builder.prove(first, &batch);
    builder.prove(strangers, &[[1; 32]]);
    builder.prove(third, &[hashes[8], hashes[7], [3; 32]]);
    assert_eq!(builder.price_versions(), [1, 2]);
    builder.finish(&sources())
}

fn document() -> Document {
    built(Kept::Receipts, JUNE).into()
}

fn keys() -> Vec<[u8; 32]> {
    [[1; 32], [2; 32]].map(|secret| Signer::from_secret(&secret).public_key()).to_vec()
}

#[test]
fn what_is_written_is_read_and_right() {
    let document = document();
    let text = serde_json::to_string(&document).unwrap();
    let read: Document = serde_json::from_str(&text).unwrap();
    assert_eq!(read, document);
    let summary = read.verify(&[]).unwrap();
    assert_eq!((summary.sealed, summary.unpriced, read.bill.unproved), (7, 0, 2));
    let charge: i128 = (0..9).map(|number| i128::from(receipt(number).charge.pico())).sum();
    assert_eq!(summary.totals.charge, Amount::from(charge));
    assert_eq!(summary.totals, document.bill.totals);
    let mut signed = keys();
    signed.sort_unstable();
    assert_eq!(summary.public_keys, signed);
    let models: Vec<&str> = read.bill.lines.iter().map(|line| line.model.as_str()).collect();
    assert_eq!((models, read.bill.seals.len()), (vec!["big", "small"], 3));
    let priced: Vec<usize> = read.bill.prices.iter().map(|list| list.models.len()).collect();
    assert_eq!(priced, [2, 2], "only what was used");
}

#[test]
fn sums_alone_are_the_same_sums() {
    let (all, sums) = (built(Kept::Receipts, JUNE), built(Kept::Sums, JUNE));
    assert_eq!(Statement { receipts: all.receipts.clone(), ..sums }, all);
}

#[test]
fn an_open_period_ends_with_the_moment_or_the_last_receipt() {
    assert_eq!(built(Kept::Sums, i64::MAX).period, Span { from: MAY, to: JUNE + 7 });
    let mut builder = Builder::new(head(i64::MAX), Kept::Receipts);
    let late = Receipt { started_at: JUNE + 9, ..receipt(1) };
    let (report, hash) = stored(&late);
    builder.add(&late, report, hash);
    let document = Document::from(builder.finish(&sources()));
    assert_eq!(document.bill.period.to, JUNE + 10);
    assert!(document.verify(&[]).is_ok());
}

#[test]
fn a_bill_of_nothing() {
    let document = Document::from(Builder::new(head(JUNE), Kept::Receipts).finish(&[]));
    let summary = document.verify(&keys()).unwrap();
    assert_eq!((summary.totals.receipts, summary.totals.charge.usd.as_str()), (0, "0"));
}

#[test]
fn a_key_that_is_given_must_have_signed_everything() {
    let mut document = document();
    let missing = document.verify(&keys()).unwrap_err();
    assert_eq!((missing.field.as_str(), missing.stated.as_str()), ("proof", "missing"));
    assert!(missing.place.contains(&receipt(0).request_id.to_string()), "{missing}");
    let other = document.verify(&keys()[..1]).unwrap_err();
    assert_eq!(other.field, "public_key");
    document.bill.receipts.drain(..2);
    let kept = document.bill.receipts.clone();
    let mut builder = Builder::new(head(JUNE), Kept::Receipts);
    for item in kept {
        builder.add(&item.receipt().unwrap(), item.report.clone(), item.content_hash);
    }
    let batch = document.bill.receipts.iter().map(|item| item.content_hash).collect::<Vec<_>>();
    builder
        .prove(Signer::from_secret(&[1; 32]).seal(Uuid::nil(), 1, [0; 32], &batch, None), &batch);
    let document = Document::from(builder.finish(&sources()));
    assert_eq!(document.verify(&keys()).unwrap().sealed, 7);
}

#[test]
fn an_answer_without_a_price_is_not_charged() {
    let mut builder = Builder::new(head(JUNE), Kept::Receipts);
    let mut unpriced =
        Receipt { outcome: Outcome::Unpriced, model: "unknown".to_owned(), ..receipt(2) };
    (unpriced.cost, unpriced.commission, unpriced.charge) = (Usd::ZERO, Usd::ZERO, Usd::ZERO);
    unpriced.price_version = 7;
    let (report, hash) = stored(&unpriced);
    builder.add(&unpriced, report, hash);
    let document = Document::from(builder.finish(&sources()));
    assert_eq!(document.verify(&[]).unwrap().unpriced, 1);
}

/// The places of all values in a document.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found));
        }
        Value::Array(list) => {
            found.push(at.to_owned());
            for (index, value) in list.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

/// What somebody might write in place of a value.
fn forgeries(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!("x"), json!(7)],
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            vec![json!(number + 1), json!(number - 1), json!(-number - 1), json!(0)]
        }
        Value::String(text) => {
            let digits = |from: char, to: &str| json!(text.replacen(from, to, 1));
            vec![
                json!(""),
                json!(format!("{text} ")),
                digits('1', "2"),
                digits('a', "b"),
                Value::Null,
            ]
        }
        Value::Array(list) => {
            let mut doubled = list.clone();
            doubled.extend(list.last().cloned());
            let fewer = list.iter().skip(1).cloned().collect();
            let reversed = list.iter().rev().cloned().collect();
            vec![Value::Array(doubled), Value::Array(fewer), Value::Array(reversed)]
        }
        Value::Object(_) => Vec::new(),
    }
}

/// Reads and verifies, as whoever gets the file does.
fn verified(value: &Value, with_digest: bool) -> Result<Summary, String> {
    let mut document: Document =
        serde_json::from_value(value.clone()).map_err(|error| format!("not read: {error}"))?;
    if with_digest {
        document.sha256 = document.bill.digest();
    }
    document.verify(&[]).map_err(|difference| difference.to_string())
}

/// What only the digest guards: names, dates and what no receipt of the file depends on.
fn is_said_only(place: &str) -> bool {
    let is = |part: &str| place.starts_with(part);
    is("/bill/user")
        || is("/bill/made_at")
        || is("/bill/period")
        || (is("/bill/prices") && !place.ends_with("/input") && !place.ends_with("/output"))
        || is("/sha256")
}

#[test]
fn every_field_that_is_changed_is_found_and_named() {
    let document = serde_json::to_value(document()).unwrap();
    assert!(verified(&document, false).is_ok());
    let mut all = Vec::new();
    places(&document, "", &mut all);
    assert!(all.len() > 300, "{}", all.len());
    let mut found_without_digest = 0;
    for place in &all {
        let value = document.pointer(place).unwrap();
        for forged in forgeries(value).into_iter().filter(|forged| forged != value) {
            let mut tampered = document.clone();
            *tampered.pointer_mut(place).unwrap() = forged.clone();
            let careless = verified(&tampered, false);
            assert!(careless.is_err(), "{place}: {forged} was not found");
            if is_said_only(place) {
                continue;
            }
            // Somebody who knows how the file is made writes the right digest under it.
            let Err(told) = verified(&tampered, true) else {
                panic!("{place}: {forged} was not found under a new digest");
            };
            found_without_digest += 1;
            let mut parts = place.split('/').skip(2);
            let (part, index) = (parts.next().unwrap(), parts.next());
            let is_read = !told.starts_with("not read");
            if let ("receipts", Some(index), true) = (part, index, is_read) {
                let id =
                    &document["bill"]["receipts"][index.parse::<usize>().unwrap()]["request_id"];
                let forged_id = tampered.pointer(&format!("/bill/receipts/{index}/request_id"));
                let ids = [Some(id), forged_id].map(|id| id.and_then(Value::as_str).unwrap());
                let next = index.parse::<usize>().unwrap() + 1;
                let behind = document["bill"]["receipts"][next]["request_id"].as_str();
                let named = ids.into_iter().chain(behind).any(|id| told.contains(id));
                assert!(named, "{place}: {forged}: {told}");
            }
        }
    }
    assert!(found_without_digest > 1_000, "{found_without_digest}");
}

/// A receipt that is changed and hashed again no longer leads to its seal.
#[test]
fn a_receipt_cannot_be_made_anew() {
    let mut document = document();
    let item = &document.bill.receipts[4];
    let mut forged = item.receipt().unwrap();
    forged.key_id = Uuid::from_u128(1);
    let (report, hash) = stored(&forged);
    let proof = item.proof.clone();
    document.bill.receipts[4] = Item { proof, ..Item::new(&forged, report, hash) };
    let difference = Document::from(document.bill).verify(&[]).unwrap_err();
    assert_eq!(difference.field, "proof.path");
}

/// A seal can be neither left out of a chain unnoticed nor put in another's place.
#[test]
fn a_chain_that_is_cut_is_found() {
    let mut bill = document().bill;
    // By the replica's own key, but not after the seal before.
    let leaves: Vec<Hash> = bill.receipts[5..7].iter().map(|item| item.content_hash).collect();
    let replica = bill.seals[2].replica;
    let other = Signer::from_secret(&[1; 32]).seal(replica, 5, [6; 32], &leaves, None);
    for item in &mut bill.receipts[5..7] {
        item.proof.as_mut().unwrap().seal = other.hash;
    }
    bill.seals[2] = other;
    let difference = Document::from(bill).verify(&[]).unwrap_err();
    assert_eq!((difference.field.as_str(), difference.stated), ("previous", to_hex(&[6; 32])));
}

#[test]
fn a_forged_price_list_is_found() {
    let mut bill = document().bill;
    let cheaper = catalogue(1);
    bill.prices[0].models[0].price = cheaper.get("openai", "big").unwrap().price.clone();
    let difference = Document::from(bill).verify(&[]).unwrap_err();
    assert_eq!(difference.field, "cost");
    let mut bill = document().bill;
    bill.prices.push(bill.prices[0].clone());
    assert_eq!(Document::from(bill).verify(&[]).unwrap_err().field, "version");
    let mut bill = document().bill;
    let twice = bill.prices[0].models[0].clone();
    bill.prices[0].models.push(twice);
    assert_eq!(Document::from(bill).verify(&[]).unwrap_err().field, "models");
}

/// Sums past what one amount holds are written and read exactly.
#[test]
fn large_sums_are_exact() {
    let amount = Amount::from(i128::from(i64::MAX) * 1_000_003);
    let text = serde_json::to_string(&amount).unwrap();
    assert_eq!(text, r#"{"pico":9223399706970886371327421,"usd":"9223399706970.886371327421"}"#);
    assert_eq!(serde_json::from_str::<Amount>(&text).unwrap(), amount);
}

fn sheet() -> Vec<Row> {
    let bill = document().bill;
    let rows = bill.rows(&|at| at.to_string()).unwrap().collect::<Result<_, _>>();
    rows.unwrap()
}

fn text(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| row.join(","));
    [COLUMNS.join(",")].into_iter().chain(lines).map(|line| line + "\n").collect()
}

#[test]
fn a_sheet_adds_up_to_the_statement() {
    let (rows, totals) = (sheet(), document().bill.totals);
    // 9 receipts, 3 of which have a second pass: two meters a pass, commission, charge; 3 totals.
    assert_eq!(rows.len(), 12 * 2 + 9 * 2 + 3);
    let [first, ..] = rows.as_slice() else { panic!() };
    let unit = first[6].as_str();
    assert_eq!((first[4].as_str(), first[5].as_str(), unit), ("input", "1000", "0.00000015"));
    let summary = verify_sheet(&text(&rows)).unwrap();
    let sums = [summary.cost, summary.commission, summary.charge];
    assert_eq!(sums, [totals.cost.pico, totals.commission.pico, totals.charge.pico]);
    assert_eq!(summary.receipts, 9);
}

/// Every number that is changed, and every row that is gone, doubled or in another place, is found by its line.
#[test]
fn a_sheet_that_was_changed_is_found() {
    let rows = sheet();
    for (index, row) in rows.iter().enumerate() {
        let line = |number: usize| format!("line {}", number + 2);
        for (column, cell) in row.iter().enumerate().skip(5).filter(|(_, cell)| !cell.is_empty()) {
            for forged in
                [format!("{cell}1"), format!("1{cell}"), format!("-{cell}"), String::new()]
            {
                let mut changed = rows.clone();
                changed[index][column] = forged.clone();
                let Err(found) = verify_sheet(&text(&changed)) else {
                    panic!("{row:?}: {column} as {forged} was not found");
                };
                // A price, a quantity and an amount are wrong together.
                assert_eq!(found.place, line(index), "{found}");
            }
        }
        for (what, changed) in [
            ("gone", [&rows[..index], &rows[index + 1..]].concat()),
            ("doubled", [&rows[..=index], &rows[index..]].concat()),
            ("cut off", rows[..index].to_vec()),
        ] {
            assert!(verify_sheet(&text(&changed)).is_err(), "{row:?} {what}");
        }
        if index > 0 {
            let mut swapped = rows.clone();
            swapped.swap(index, index - 1);
            let both_meters =
                Meter::from_name(&rows[index][4]).and(Meter::from_name(&rows[index - 1][4]));
            // The order of the counters of one receipt is nobody's business.
            assert_eq!(verify_sheet(&text(&swapped)).is_ok(), both_meters.is_some(), "{row:?}");
        }
    }
    assert!(verify_sheet("").is_err());
    assert!(verify_sheet("time,request_id\n").is_err());
}

proptest! {
    #[test]
    fn any_sheet_is_read_or_refused(text in "[a-z0-9,.\n\"-]{0,200}") {
        let _ = verify_sheet(&text);
        let _ = verify_sheet(&format!("{}\n{text}", COLUMNS.join(",")));
    }

    #[test]
    fn a_flipped_bit_never_verifies(at: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = serde_json::to_vec(&document()).unwrap();
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        if let Ok(read) = serde_json::from_slice::<Document>(&bytes) {
            prop_assert!(read.verify(&[]).is_err(), "byte {}", place);
        }
    }
}

#[test]
fn corrections_lower_what_is_due() {
    let correct = |id: u128, pico: i128, at: i64| Correction {
        id: Uuid::from_u128(id),
        kind: "credit_note".to_owned(),
        amount: pico.into(),
        corrects: Some(Uuid::from_u128(1)),
        reason: "an outage".to_owned(),
        at,
    };
    let whole = document();
    assert_eq!(whole.bill.due(), whole.bill.totals.charge);
    // What has none looks as it did before there were any.
    assert!(!serde_json::to_string(&whole).unwrap().contains("corrections"));
    let with = |corrections: &[Correction]| {
        let corrections = corrections.to_vec();
        Document::from(Statement { corrections, ..document().bill })
    };
    let [one, two] = [correct(7, 30, MAY), correct(6, -10, MAY + 1)];
    let right = with(&[one.clone(), two.clone()]);
    assert!(right.verify(&[]).is_ok());
    assert_eq!(right.bill.due().pico, whole.bill.totals.charge.pico - 20);
    let written = serde_json::to_string(&right).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&written).unwrap(), right);
    let rows = right.bill.rows(&|at| at.to_string()).unwrap().collect::<Result<Vec<_>, _>>();
    let rows = rows.unwrap();
    let summary = verify_sheet(&text(&rows)).unwrap();
    assert_eq!(summary.charge + summary.corrections, right.bill.due().pico);
    let end = rows.len() - 3;
    let items: Vec<&str> = rows[end..].iter().map(|row| row[4].as_str()).collect();
    assert_eq!(items, ["correction: credit_note", "correction: credit_note", "to pay"]);
    for gone in end..rows.len() {
        let changed = [&rows[..gone], &rows[gone + 1..]].concat();
        assert!(verify_sheet(&text(&changed)).is_err(), "without row {gone}");
        let mut changed = rows.clone();
        changed[gone][7] = "0.5".to_owned();
        assert!(verify_sheet(&text(&changed)).is_err(), "row {gone} changed");
        assert!(verify_sheet(&text(&[&rows[..=gone], &rows[gone..]].concat())).is_err(), "{gone}");
    }
    let mut wrong = one.clone();
    wrong.amount.usd = "1".to_owned();
    for (corrections, field) in [
        (vec![two, one.clone()], "id"),
        (vec![one.clone(), one], "id"),
        (vec![wrong], "amount.usd"),
        (vec![correct(8, 1, JUNE)], "at"),
    ] {
        assert_eq!(with(&corrections).verify(&[]).unwrap_err().field, field);
    }
}
