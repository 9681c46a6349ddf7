//! `/operator/providers`: whether each is set up, how it does, what went wrong last.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use store::ProviderHour;

use super::super::chart::{self, Series};
use super::super::html::{self, Html, Table};
use super::super::page::{self, Desk, Frame, Notice, told};
use super::credentials::{self, Card};
use crate::breaker::Standing;
use crate::clock;
use crate::problem::Problem;
use crate::providers::Provider;
use crate::web::Call;

const HOUR: i64 = 3_600_000_000;
const HOURS: i64 = 48;

#[derive(Template)]
#[template(path = "providers.html")]
struct Page {
    frame: Frame,
    table: Table,
    credentials: Vec<Card>,
    /// Further endpoints, where there are any.
    endpoints: Option<Table>,
    /// Whether there is anything to seal credentials with.
    can_seal: bool,
    attempts: Html,
    errors: Html,
    latency: Html,
}

/// `GET /operator/providers`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let page = show(&call, None).await?;
    page::show(&page)
}

pub(super) async fn show(
    call: &Call,
    notice: Option<Notice>,
) -> Result<impl Template + use<>, Problem> {
    let desk = Desk::of(call)?;
    let store = &call.app.store;
    // What this process has counted belongs to it.
    call.app.health.flush(store, call.app.journal.replica()).await;
    let now = call.now / HOUR;
    let hours = (now - HOURS + 1, now + 1);
    let told_hours = store.provider_hours(hours.0).await.map_err(told)?;
    let labels: Vec<String> = (hours.0..hours.1).map(label).collect();
    let names: Vec<&str> = call.app.providers.iter().map(|provider| provider.row.name).collect();
    let series = |of: &dyn Fn(&str) -> Vec<i128>| -> Vec<Series> {
        let one = |name: &&str| Series { name: (*name).to_owned(), values: of(name) };
        names
            .iter()
            .map(one)
            .filter(|series| series.values.iter().any(|value| *value > 0))
            .collect()
    };
    let attempts = series(&|name| by_hour(&told_hours, name, hours, |_| true));
    let errors = series(&|name| by_hour(&told_hours, name, hours, is_fault));
    let day: Vec<ProviderHour> =
        told_hours.iter().filter(|hour| hour.hour > now - 24).cloned().collect();
    let rows = call.app.providers.iter().map(|provider| row(call, provider, &day));
    let columns = [
        "Provider",
        "State",
        "#Attempts, 24 h",
        "#Errors",
        "#Half within",
        "#95 % within",
        "Last error here",
    ];
    Ok(Page {
        frame: Frame::new(call, &desk, "Providers").saying(notice),
        credentials: credentials::cards(call),
        endpoints: endpoints(call),
        can_seal: call.app.providers.master_keys.first().is_some(),
        table: Table::new("Providers", &columns, rows.collect()),
        attempts: chart::bars("Attempts by hour, 48 hours", &labels, &attempts, html::grouped),
        errors: chart::bars("Errors by hour, 48 hours", &labels, &errors, html::grouped),
        latency: latency(&told_hours, &names),
    })
}

fn label(hour: i64) -> String {
    let text = clock::rfc3339(hour * HOUR);
    text.get(5..16).unwrap_or_default().replace('T', " ")
}

/// What is the provider's fault, and no client's.
fn is_fault(outcome: &str) -> bool {
    !matches!(outcome, "ok" | "refused")
}

fn by_hour(
    all: &[ProviderHour],
    provider: &str,
    (from, to): (i64, i64),
    wanted: fn(&str) -> bool,
) -> Vec<i128> {
    let mut values = vec![0; usize::try_from(to - from).unwrap_or(0)];
    for hour in all.iter().filter(|hour| hour.provider == provider && wanted(&hour.outcome)) {
        let place = usize::try_from(hour.hour - from).ok();
        if let Some(value) = place.and_then(|place| values.get_mut(place)) {
            *value += i128::from(hour.attempts);
        }
    }
    values
}

/// The time within which so many in a hundred answers of a provider have begun, in milliseconds.
fn within(all: &[ProviderHour], provider: &str, percent: i64) -> Option<i64> {
    let mut buckets = [0_i64; 64];
    for hour in all.iter().filter(|hour| hour.provider == provider && hour.outcome == "ok") {
        let place = usize::try_from(hour.bucket).ok();
        if let Some(count) = place.and_then(|place| buckets.get_mut(place)) {
            *count += hour.attempts;
        }
    }
    let all: i64 = buckets.iter().sum();
    let mut seen = 0;
    for (place, count) in (1_u32..).zip(buckets) {
        seen += count;
        if all > 0 && seen * 100 >= all * percent {
            return 1_i64.checked_shl(place);
        }
    }
    None
}

fn millis(value: Option<i64>) -> Html {
    value.map_or_else(
        || Html::text("–"),
        |value| Html::text(&format!("{} ms", html::grouped(value))),
    )
}

/// A state, with what its breaker adds to it.
fn with_breaker(state: Html, provider: &Provider, now: i64) -> Html {
    match provider.breaker.standing(now) {
        Standing::Closed => state,
        Standing::Open(until) => state.and(&Html::badge("bad", "breaker open")).below(
            &Html::text("passed over where there is another, until ").and(&html::moment(until)),
        ),
        Standing::HalfOpen => state
            .and(&Html::badge("warn", "breaker half-open"))
            .below(&Html::text("tried by one request at a time")),
    }
}

fn endpoints(call: &Call) -> Option<Table> {
    let row = |endpoint: &Arc<Provider>| {
        let in_force = endpoint.credential();
        let state = credentials::off(&in_force).unwrap_or_else(|| Html::badge("good", "set up"));
        vec![
            Html::text(&endpoint.name()).below(&Html::code(&endpoint.base_url())),
            with_breaker(state, endpoint, call.now),
            html::count(endpoint.priority),
            html::count(endpoint.weight),
            Html::code(&format!("…{}", in_force.last4())),
        ]
    };
    let rows: Vec<Vec<Html>> = call.app.providers.further().iter().map(row).collect();
    let columns = ["Endpoint", "State", "#Priority", "#Weight", "Credential"];
    (!rows.is_empty()).then(|| Table::new("Further endpoints", &columns, rows))
}

fn row(call: &Call, provider: &Provider, day: &[ProviderHour]) -> Vec<Html> {
    let name = provider.row.name;
    let sum = |wanted: fn(&str) -> bool| -> i64 {
        let own = day.iter().filter(|hour| hour.provider == name && wanted(&hour.outcome));
        own.map(|hour| hour.attempts).sum()
    };
    let (attempts, faults) = (sum(|_| true), sum(is_fault));
    let state = if let Some(off) = credentials::off(&provider.credential()) {
        off
    } else if faults * 10 > attempts {
        Html::badge("bad", "failing")
    } else if faults > 0 {
        Html::badge("warn", "some errors")
    } else {
        Html::badge("good", "set up")
    };
    let state = with_breaker(state, provider, call.now);
    let last = call.app.health.last(name).map_or_else(
        || Html::text("none"),
        |last| {
            let when = html::since(last.at, call.now);
            let short: String = last.message.chars().take(160).collect();
            Html::badge("bad", last.outcome).and(&when).below(&Html::text(&short))
        },
    );
    let share = if attempts > 0 { faults * 1_000 / attempts } else { 0 };
    let errors = format!("{} ({}.{} %)", html::grouped(faults), share / 10, share % 10);
    vec![
        Html::text(name).below(&Html::code(&provider.base_url())),
        state,
        html::count(attempts),
        Html::text(&errors),
        millis(within(day, name, 50)),
        millis(within(day, name, 95)),
        last,
    ]
}

/// How many answers began within which time, over all providers.
fn latency(all: &[ProviderHour], names: &[&str]) -> Html {
    let last = all.iter().map(|hour| hour.bucket).max().unwrap_or(0);
    let within = |bucket: i64| {
        let limit = 1_i64.checked_shl(u32::try_from(bucket + 1).unwrap_or(1)).unwrap_or(0);
        if limit < 1_000 {
            format!("< {limit} ms")
        } else {
            format!("< {}.{} s", limit / 1_000, limit % 1_000 / 100)
        }
    };
    let labels: Vec<String> = (0..=last).map(within).collect();
    // In the order of the other charts, so that a provider has one colour.
    let told = |name: &&str| all.iter().any(|hour| hour.provider == *name);
    let series: Vec<Series> = names
        .iter()
        .copied()
        .filter(told)
        .map(|name| Series {
            name: name.to_owned(),
            values: (0..=last)
                .map(|bucket| {
                    let own = all.iter().filter(|hour| {
                        hour.provider == name && hour.bucket == bucket && hour.outcome == "ok"
                    });
                    own.map(|hour| i128::from(hour.attempts)).sum()
                })
                .collect(),
        })
        .collect();
    chart::bars("Time to the first byte, 48 hours", &labels, &series, html::grouped)
}

#[cfg(test)]
mod tests {
    use store::ProviderHour;

    use super::{by_hour, is_fault, within};

    fn hour(hour: i64, outcome: &str, bucket: i64, attempts: i64) -> ProviderHour {
        let (provider, outcome) = ("openai".to_owned(), outcome.to_owned());
        ProviderHour { hour, provider, outcome, bucket, attempts }
    }

    #[test]
    fn times_are_read_off_the_buckets() {
        let hours = [hour(5, "ok", 8, 94), hour(5, "ok", 11, 6), hour(6, "timeout", 17, 900)];
        assert_eq!(within(&hours, "openai", 50), Some(512), "from 256 to 511 ms");
        assert_eq!(within(&hours, "openai", 94), Some(512));
        assert_eq!(within(&hours, "openai", 95), Some(4_096));
        assert_eq!(within(&hours, "gemini", 50), None);
        assert_eq!(by_hour(&hours, "openai", (4, 7), |_| true), [0, 100, 900]);
        assert_eq!(by_hour(&hours, "openai", (4, 7), is_fault), [0, 0, 900]);
    }
}
