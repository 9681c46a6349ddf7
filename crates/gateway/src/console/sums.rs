//! From rollups to what is shown: by day, by model, in all.

use std::collections::BTreeMap;

use store::Rollup;

use super::chart::Series;
use super::html;
use super::page::DAY;

/// A number of a rollup.
pub(crate) type Of = fn(&Rollup) -> i128;

pub(crate) fn charge(row: &Rollup) -> i128 {
    row.charge.into()
}

pub(crate) fn margin(row: &Rollup) -> i128 {
    i128::from(row.charge) - i128::from(row.cost)
}

/// How many models have a colour of their own.
const SHOWN: usize = 5;

/// What many rollups come to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) requests: i128,
    pub(crate) input: i128,
    pub(crate) output: i128,
    pub(crate) cost: i128,
    pub(crate) charge: i128,
}

impl Total {
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a Rollup>) -> Self {
        rows.into_iter().fold(Self::default(), |total, row| Self {
            requests: total.requests + i128::from(row.receipts),
            input: total.input + i128::from(row.input_tokens),
            output: total.output + i128::from(row.output_tokens),
            cost: total.cost + i128::from(row.cost),
            charge: total.charge + i128::from(row.charge),
        })
    }

    pub(crate) fn margin(&self) -> i128 {
        self.charge - self.cost
    }
}

/// Sums by model, the largest first.
pub(crate) fn by_item(rows: &[Rollup], of: Of) -> Vec<(String, Total)> {
    let mut items: BTreeMap<&str, Vec<&Rollup>> = BTreeMap::new();
    for row in rows {
        items.entry(&row.item).or_default().push(row);
    }
    let mut totals: Vec<(String, Total, i128)> = items
        .into_iter()
        .map(|(item, rows)| {
            let size = rows.iter().map(|row| of(row)).sum();
            (item.to_owned(), Total::of(rows), size)
        })
        .collect();
    totals.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    totals.into_iter().map(|(item, total, _)| (item, total)).collect()
}

/// The days of a chart by their dates, and a series for each of the largest models and for all others.
pub(crate) fn by_day(
    rows: &[Rollup],
    (from, to): (i64, i64),
    of: Of,
) -> (Vec<String>, Vec<Series>) {
    let days = usize::try_from(to - from).unwrap_or(0);
    let labels = (from..to).map(date).collect();
    let order = by_item(rows, of);
    let place = |item: &str| order.iter().position(|(known, _)| known == item).unwrap_or(SHOWN);
    let mut series: Vec<Series> = order
        .iter()
        .take(SHOWN)
        .map(|(item, _)| Series { name: item.clone(), values: vec![0; days] })
        .collect();
    if order.len() > SHOWN {
        series.push(Series { name: "all others".to_owned(), values: vec![0; days] });
    }
    for row in rows {
        let at = usize::try_from(row.day - from).ok();
        let series = series.get_mut(place(&row.item).min(SHOWN));
        if let (Some(at), Some(series)) = (at, series)
            && let Some(value) = series.values.get_mut(at)
        {
            *value += of(row);
        }
    }
    (labels, series)
}

/// The values of a series over all models, a day each.
pub(crate) fn days(rows: &[Rollup], (from, to): (i64, i64), of: Of) -> Vec<i128> {
    let mut values = vec![0; usize::try_from(to - from).unwrap_or(0)];
    for row in rows {
        if let Some(value) = usize::try_from(row.day - from).ok().and_then(|at| values.get_mut(at))
        {
            *value += of(row);
        }
    }
    values
}

/// The date of a day since 1970.
pub(crate) fn date(day: i64) -> String {
    html::day(day.saturating_mul(DAY))
}

/// The first day of the month of a moment, and that of the month after.
pub(crate) fn month_of(at: i64) -> (i64, i64) {
    let period = ledger::BudgetPeriod::Month;
    let start = period.start(at);
    let end = period.end(start).unwrap_or(start);
    (start / DAY, end / DAY)
}

#[cfg(test)]
mod tests {
    use store::Rollup;

    use super::{Total, by_day, by_item, charge, date, days, month_of};

    fn row(day: i64, item: &str, charge: i64) -> Rollup {
        Rollup { day, item: item.to_owned(), charge, receipts: 1, ..Rollup::default() }
    }

    #[test]
    fn models_stand_by_size_and_small_ones_together() {
        let rows: Vec<Rollup> = (1..=7)
            .map(|n| row(10 + n % 2, &format!("p/m{n}"), n))
            .chain([row(10, "p/m1", 90)])
            .collect();
        let items = by_item(&rows, charge);
        assert_eq!((items[0].0.as_str(), items[0].1.charge), ("p/m1", 91));
        assert_eq!(items[1].0, "p/m7");
        let (labels, series) = by_day(&rows, (10, 12), charge);
        assert_eq!(labels, ["1970-01-11", "1970-01-12"]);
        assert_eq!(series.len(), 6);
        assert_eq!((series[0].name.as_str(), &series[0].values), ("p/m1", &vec![90, 1]));
        assert_eq!((series[5].name.as_str(), &series[5].values), ("all others", &vec![2, 3]));
        let sum: i128 = series.iter().flat_map(|one| &one.values).sum();
        assert_eq!(sum, Total::of(&rows).charge, "nothing is lost");
        assert_eq!(days(&rows, (10, 12), charge), [90 + 2 + 4 + 6, 1 + 3 + 5 + 7]);
    }

    #[test]
    fn months_begin_at_their_first_day() {
        let (from, to) = month_of(1_795_651_200_000_000);
        assert_eq!((date(from), date(to)), ("2026-11-01".to_owned(), "2026-12-01".to_owned()));
    }
}
