//! OpenTelemetry's own settings, as its specification has them.
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::collections::HashMap;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use super::collector::Collector;
use crate::config::Settings;

const SERVICE: &str = "tollgate";

/// What makes spans, and what makes metrics, both for the collector at `endpoint`.
pub(super) fn providers(
    settings: &Settings,
    endpoint: &str,
) -> anyhow::Result<(SdkTracerProvider, SdkMeterProvider)> {
    let is_tls = needs_tls(endpoint)?;
    let (headers, resource, sampler) = read(settings)?;
    let base = endpoint.trim_end_matches('/');
    let collector = Collector::new(is_tls)?;
    let spans = SpanExporter::builder()
        .with_http()
        .with_http_client(collector.clone())
        .with_endpoint(format!("{base}/v1/traces"))
        .with_protocol(Protocol::HttpBinary)
        .with_headers(headers.clone())
        .build()?;
    let metrics = MetricExporter::builder()
        .with_http()
        .with_http_client(collector)
        .with_endpoint(format!("{base}/v1/metrics"))
        .with_protocol(Protocol::HttpBinary)
        .with_headers(headers)
        .build()?;
    let spans = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(sampler)
        .with_batch_exporter(spans)
        .build();
    let metrics =
        SdkMeterProvider::builder().with_resource(resource).with_periodic_exporter(metrics).build();
    Ok((spans, metrics))
}

/// Whether all of it can be read, used or not.
pub(in crate::telemetry) fn check(settings: &Settings) -> anyhow::Result<()> {
    settings.otlp.endpoint().map(needs_tls).transpose()?;
    read(settings).map(drop)
}

fn needs_tls(endpoint: &str) -> anyhow::Result<bool> {
    let wrong = "OTEL_EXPORTER_OTLP_ENDPOINT: expected an address such as http://localhost:4318";
    let base: http::Uri = endpoint.parse().context(wrong)?;
    match base.scheme_str() {
        Some("http") => Ok(false),
        Some("https") => Ok(true),
        _ => anyhow::bail!(wrong),
    }
}

fn read(settings: &Settings) -> anyhow::Result<(HashMap<String, String>, Resource, Sampler)> {
    const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    let headers = pairs(HEADERS, settings.otlp.headers().unwrap_or_default())?;
    let is_header = |(name, value): &(String, String)| {
        name.parse::<http::HeaderName>().is_ok() && value.parse::<http::HeaderValue>().is_ok()
    };
    anyhow::ensure!(
        headers.iter().all(is_header),
        "{HEADERS}: expected names and values that a header may have"
    );
    let sampler = sampler(&settings.otlp.sampler, settings.otlp.sampler_arg())?;
    Ok((headers.into_iter().collect(), resource(settings)?, sampler))
}

/// Who sends it.
fn resource(settings: &Settings) -> anyhow::Result<Resource> {
    let mut attributes = vec![
        KeyValue::new("service.name", SERVICE),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("telemetry.sdk.name", "opentelemetry"),
    ];
    if let Some(text) = settings.otlp.resource_attributes() {
        let own = pairs("OTEL_RESOURCE_ATTRIBUTES", text)?;
        attributes.extend(own.into_iter().map(|(name, value)| KeyValue::new(name, value)));
    }
    if let Some(name) = settings.otlp.service_name() {
        attributes.push(KeyValue::new("service.name", name.to_owned()));
    }
    Ok(Resource::builder_empty().with_attributes(attributes).build())
}

fn sampler(name: &str, argument: Option<&str>) -> anyhow::Result<Sampler> {
    // Also where nothing is done with it: then another sampler is meant.
    let share = match argument {
        None => 1.0,
        Some(text) => {
            let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
            share.context("OTEL_TRACES_SAMPLER_ARG: expected a share from 0 to 1")?
        }
    };
    Ok(match name {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(share),
        "parentbased_always_on" | "" => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
        "parentbased_always_off" => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
        "parentbased_traceidratio" => {
            Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)))
        }
        _ => anyhow::bail!(
            "OTEL_TRACES_SAMPLER: expected always_on, always_off, traceidratio, or one of them behind parentbased_"
        ),
    })
}

/// `name=value,name=value`, with what cannot stand there written as `%2C`. The text may hold a secret: no error repeats it.
fn pairs(setting: &str, text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let wrong = || format!("{setting}: expected name=value, with commas between");
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').with_context(wrong)?;
        let value = unescaped(value.trim()).with_context(wrong)?;
        Ok((name.trim().to_owned(), value))
    };
    parts.map(pair).collect()
}

/// With `%41` read as `A`.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{pairs, sampler};

    #[test]
    fn pairs_as_the_specification_writes_them() {
        let read = pairs("X", " api-key=a%2Cb%3D , x=y=z,").expect("pairs");
        let expected = [("api-key", "a,b="), ("x", "y=z")].map(|(n, v)| (n.into(), v.into()));
        assert_eq!(read, expected);
        for bad in ["secret", "a=%4", "a=%zz", "a=%ff"] {
            let error = pairs("THE_SETTING", bad).expect_err(bad).to_string();
            assert_eq!(error, "THE_SETTING: expected name=value, with commas between");
        }
    }

    #[test]
    fn samplers_by_their_names() {
        let shown = |name, argument| format!("{:?}", sampler(name, argument).expect(name));
        assert_eq!(shown("always_off", None), "AlwaysOff");
        assert_eq!(shown("traceidratio", Some("0.25")), "TraceIdRatioBased(0.25)");
        assert!(shown("parentbased_traceidratio", Some("0.5")).contains("0.5"));
        assert!(sampler("often", None).is_err());
        for share in ["2", "-1", "NaN", "x"] {
            assert!(sampler("traceidratio", Some(share)).is_err(), "{share}");
            assert!(sampler("always_on", Some(share)).is_err(), "{share}");
        }
    }
}
