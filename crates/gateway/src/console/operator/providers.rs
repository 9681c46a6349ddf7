//! `/operator/providers`: whether each is set up, how it does, what went wrong last.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use store::ProviderHour;

use super::super::chart::{self, Series};
use super::super::export;
use super::super::html::{self, Html};
use super::super::list::{Column, List, Value, Wish};
use super::super::page::{self, Desk, Frame, Notice, told};
use super::credentials::{self, Card};
use crate::breaker::Standing;
use crate::clock;
use crate::hedge::HEDGED;
use crate::problem::Problem;
use crate::providers::Provider;
use crate::web::Call;

const HOUR: i64 = 3_600_000_000;
const HOURS: i64 = 48;

#[derive(Template)]
#[template(path = "providers.html")]
struct Page {
    frame: Frame,
    list: List,
    credentials: Vec<Card>,
    /// Further endpoints, where there are any.
    endpoints: Option<List>,
    /// Whether there is anything to seal credentials with.
    can_seal: bool,
    attempts: Html,
    errors: Html,
    latency: Html,
}

/// `GET /operator/providers`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    if let Some(sheet) = sheet(&call).await? {
        return Ok(sheet);
    }
    let page = show(&call, None).await?;
    page::show(&page)
}

async fn sheet(call: &Call) -> Result<Option<Response>, Problem> {
    let wish = Wish::whole(call, "providers", COLUMNS, "provider")?;
    if wish.csv {
        let hour = call.now / HOUR;
        let hours = call.app.store.provider_hours(hour - 23).await.map_err(told)?;
        let rows = wish.sorted(COLUMNS, rows(call, &hours));
        return export::whole("providers.csv", COLUMNS, &rows).map(Some);
    }
    let wish = Wish::whole(call, "endpoints", ENDPOINTS, "endpoint")?;
    let rows = || wish.sorted(ENDPOINTS, further(call));
    wish.csv.then(|| export::whole("endpoints.csv", ENDPOINTS, &rows())).transpose()
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
    let wish = Wish::whole(call, "providers", COLUMNS, "provider")?;
    let rows = wish.sorted(COLUMNS, rows(call, &day));
    Ok(Page {
        frame: Frame::new(call, &desk, "Providers").saying(notice),
        credentials: credentials::cards(call),
        endpoints: endpoints(call)?,
        can_seal: call.app.providers.master_keys.first().is_some(),
        list: wish.list("Providers", COLUMNS, &rows),
        attempts: chart::bars("Attempts by hour, 48 hours", &labels, &attempts, html::grouped),
        errors: chart::bars("Errors by hour, 48 hours", &labels, &errors, html::grouped),
        latency: latency(&told_hours, &names),
    })
}

fn label(hour: i64) -> String {
    let text = clock::rfc3339(hour * HOUR);
    text.get(5..16).unwrap_or_default().replace('T', " ")
}

/// What is the provider's fault, and no client's, nor that another was faster.
fn is_fault(outcome: &str) -> bool {
    !matches!(outcome, "ok" | "refused" | HEDGED)
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

/// A provider, or an endpoint of one, as a list tells of it.
struct Row {
    name: String,
    base_url: String,
    /// How it stands, in a word and as it is shown.
    state: (&'static str, Html),
    attempts: i64,
    faults: i64,
    half: Option<i64>,
    most: Option<i64>,
    last: (String, Html),
    priority: i64,
    weight: i64,
    last4: String,
}

const COLUMNS: &[Column<Row>] = &[
    Column::text("provider", "Provider", |row: &Row| Value::text(&row.name)).shown(name),
    Column::sheet("base_url", |row: &Row| Value::text(&row.base_url)),
    Column::text("state", "State", |row: &Row| Value::text(row.state.0))
        .shown(|row| row.state.1.clone()),
    Column::number("attempts", "Attempts, 24 h", |row: &Row| Value::Number(row.attempts.into())),
    Column::number("errors", "Errors", |row: &Row| Value::Number(row.faults.into())).shown(errors),
    Column::number("half_within_ms", "Half within", |row: &Row| number(row.half))
        .shown(|row| millis(row.half)),
    Column::number("most_within_ms", "95 % within", |row: &Row| number(row.most))
        .shown(|row| millis(row.most)),
    Column::text("last_error", "Last error here", |row: &Row| Value::text(&row.last.0))
        .shown(|row| row.last.1.clone()),
];

const ENDPOINTS: &[Column<Row>] = &[
    Column::text("endpoint", "Endpoint", |row: &Row| Value::text(&row.name)).shown(name),
    Column::sheet("base_url", |row: &Row| Value::text(&row.base_url)),
    Column::text("state", "State", |row: &Row| Value::text(row.state.0))
        .shown(|row| row.state.1.clone()),
    Column::number("priority", "Priority", |row: &Row| Value::Number(row.priority.into())),
    Column::number("weight", "Weight", |row: &Row| Value::Number(row.weight.into())),
    Column::text("credential", "Credential", |row: &Row| Value::text(&row.last4))
        .shown(|row| Html::code(&format!("…{}", row.last4))),
];

fn name(row: &Row) -> Html {
    Html::text(&row.name).below(&Html::code(&row.base_url))
}

fn number(value: Option<i64>) -> Value {
    value.map_or(Value::Nothing, |value| Value::Number(value.into()))
}

fn errors(row: &Row) -> Html {
    let share = if row.attempts > 0 { row.faults * 1_000 / row.attempts } else { 0 };
    let faults = html::grouped(row.faults);
    Html::text(&format!("{faults} ({}.{} %)", share / 10, share % 10))
}

fn further(call: &Call) -> Vec<Row> {
    let row = |endpoint: &Arc<Provider>| {
        let in_force = endpoint.credential();
        let state = match credentials::off(&in_force) {
            Some(off) => ("off", off),
            None => ("set up", Html::badge("good", "set up")),
        };
        Row {
            priority: endpoint.priority,
            weight: endpoint.weight,
            last4: in_force.last4().to_owned(),
            ..Row::of(endpoint, state, call.now)
        }
    };
    call.app.providers.further().iter().map(row).collect()
}

fn endpoints(call: &Call) -> Result<Option<List>, Problem> {
    let wish = Wish::whole(call, "endpoints", ENDPOINTS, "endpoint")?;
    let rows = wish.sorted(ENDPOINTS, further(call));
    let list = wish.list("Further endpoints", ENDPOINTS, &rows).titled("Further endpoints");
    Ok((!rows.is_empty()).then_some(list))
}

impl Row {
    fn of(provider: &Provider, (word, state): (&'static str, Html), now: i64) -> Self {
        let word = match provider.breaker.standing(now) {
            Standing::Closed => word,
            Standing::Open(_) => "breaker open",
            Standing::HalfOpen => "breaker half-open",
        };
        Self {
            name: provider.name(),
            base_url: provider.base_url(),
            state: (word, with_breaker(state, provider, now)),
            attempts: 0,
            faults: 0,
            half: None,
            most: None,
            last: (String::new(), Html::text("none")),
            priority: 0,
            weight: 0,
            last4: String::new(),
        }
    }
}

/// All providers, with what became of a day's attempts.
fn rows(call: &Call, day: &[ProviderHour]) -> Vec<Row> {
    call.app.providers.iter().map(|provider| row(call, provider, day)).collect()
}

fn row(call: &Call, provider: &Provider, day: &[ProviderHour]) -> Row {
    let name = provider.row.name;
    let sum = |wanted: fn(&str) -> bool| -> i64 {
        let own = day.iter().filter(|hour| hour.provider == name && wanted(&hour.outcome));
        own.map(|hour| hour.attempts).sum()
    };
    let (attempts, faults) = (sum(|_| true), sum(is_fault));
    let state = if let Some(off) = credentials::off(&provider.credential()) {
        ("off", off)
    } else if faults * 10 > attempts {
        ("failing", Html::badge("bad", "failing"))
    } else if faults > 0 {
        ("some errors", Html::badge("warn", "some errors"))
    } else {
        ("set up", Html::badge("good", "set up"))
    };
    let last = call.app.health.last(name).map_or_else(
        || (String::new(), Html::text("none")),
        |last| {
            let when = html::since(last.at, call.now);
            let short: String = last.message.chars().take(160).collect();
            let shown = Html::badge("bad", last.outcome).and(&when).below(&Html::text(&short));
            (format!("{}: {short}", last.outcome), shown)
        },
    );
    Row {
        name: name.to_owned(),
        attempts,
        faults,
        half: within(day, name, 50),
        most: within(day, name, 95),
        last,
        ..Row::of(provider, state, call.now)
    }
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
