use super::*;

/// One of two calls was made with the account's own key.
#[test]
fn what_is_paid_to_the_provider_is_named_and_not_charged() {
    let house = receipt(1);
    let mut own = receipt(2);
    let (price, commission) = (own.cost, own.commission);
    own.report.pay_directly(price);
    (own.cost, own.charge) = (Usd::ZERO, commission);
    let mut builder = Builder::new(head(JUNE), Kept::Receipts);
    for receipt in [&house, &own] {
        let (report, hash) = stored(receipt);
        builder.add(receipt, report, hash);
    }
    let right: Document = builder.finish(&sources()).into();
    let totals = right.verify(&[]).unwrap().totals;
    assert_eq!(totals.direct, Some(price.into()));
    assert_eq!(totals.cost, house.cost.into());
    let charge = house.charge.checked_add(commission).unwrap();
    assert_eq!(totals.charge, charge.into());
    let text = serde_json::to_string(&right).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), right);
    assert!(!serde_json::to_string(&document()).unwrap().contains("direct"), "as it always was");

    let wrong = |change: &dyn Fn(&mut Statement)| {
        let mut bill = right.bill.clone();
        change(&mut bill);
        Document::from(bill).verify(&[]).unwrap_err().field
    };
    assert_eq!(wrong(&|bill| bill.totals.direct = None), "direct");
    let less = Amount::from(i128::from(price.pico()) - 1);
    assert_eq!(wrong(&|bill| bill.lines[1].sums.direct = Some(less.clone())), "direct.pico");
    // One that says nothing of it has not been paid by anybody.
    assert_eq!(wrong(&|bill| bill.receipts[1].report = bill.receipts[0].report.clone()), "cost");

    let mut sheet = csv::Writer::from_writer(Vec::new());
    sheet.write_record(COLUMNS).unwrap();
    for row in right.bill.rows(&|at| at.to_string()).unwrap() {
        sheet.write_record(row.unwrap()).unwrap();
    }
    let sheet = String::from_utf8(sheet.into_inner().unwrap()).unwrap();
    let sums = verify_sheet(&sheet).unwrap();
    assert_eq!(sums.charge, i128::from(charge.pico()));
    assert_eq!(sums.cost, i128::from(house.cost.pico()));
    let row = format!("paid to the provider,,,-{price}");
    assert!(sheet.contains(&row), "{sheet}");
    let less = sheet.replace(&row, "paid to the provider,,,-0.000001");
    assert_eq!(verify_sheet(&less).unwrap_err().field, "amount");
    let others: Vec<&str> = sheet.lines().filter(|line| !line.contains(&row)).collect();
    let unsaid = others.join("\n");
    assert_eq!(verify_sheet(&unsaid).unwrap_err().field, "amount");
}
