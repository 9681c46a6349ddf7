//! What `deploy/` promises goes with what the settings are. The chart itself is rendered where there is a `helm`.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// Every setting and its default.
fn defaults() -> BTreeMap<String, String> {
    let text = read("tollgate.env.example");
    let line = |line: &str| {
        let (name, value) = line.strip_prefix('#')?.split_once('=')?;
        (!name.contains(' ')).then(|| (name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

fn number(defaults: &BTreeMap<String, String>, name: &str) -> u64 {
    defaults[name].parse().expect(name)
}

/// The value behind a word of YAML that stands there once.
fn value<'t>(text: &'t str, key: &str) -> &'t str {
    let behind = |line: &'t str| line.trim_start().strip_prefix(key)?.strip_prefix(':');
    let mut found = text.lines().filter_map(behind).map(|value| value.trim().trim_matches('"'));
    let value = found.next().unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(found.next(), None, "{key} stands there once");
    value
}

/// Longer than answers under way may take, and some more for what comes after them.
fn ends_in_time(seconds: u64, grace: u64) {
    let needed = number(&defaults(), "TOLLGATE_DRAIN_SECONDS") + grace;
    assert!(seconds >= needed + 20, "{seconds} s, but answers may take {needed} s");
}

/// Whatever stands in `.env` is a setting of the program, but for what the composition itself decides on.
#[test]
fn the_composition_passes_every_setting_on() {
    let text = read("deploy/compose.yaml");
    assert_eq!(value(&text, "env_file"), ".env");
    let (_, rest) = text.split_once("\n    environment:\n").expect("an environment");
    let lines = rest.lines().take_while(|line| line.starts_with("      "));
    let names: Vec<&str> = lines.filter_map(|line| Some(line.trim().split_once(':')?.0)).collect();
    assert_eq!(names, ["DATABASE_URL", "REDIS_URL", "HOST", "PORT", "TOLLGATE_DATA_DIR"]);
    let known = defaults();
    assert!(names.iter().all(|name| known.contains_key(*name)));
    let grace = value(&text, "stop_grace_period").strip_suffix('s').expect("seconds");
    ends_in_time(grace.parse().expect("seconds"), number(&known, "TOLLGATE_DRAIN_GRACE_SECONDS"));
}

#[test]
fn the_unit_waits_for_answers() {
    let unit = read("deploy/tollgate.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("one");
    ends_in_time(stop.parse().expect("seconds"), 0);
}

/// Bodies leave room for the rest within the memory that a replica has, and connections come while it says that it ends.
#[test]
fn the_chart_leaves_room() {
    let values = read("deploy/helm/tollgate/values.yaml");
    let body: u64 = value(&values, "TOLLGATE_BODY_MEMORY_BYTES").parse().expect("bytes");
    let limits = values.split_once("\n  limits:\n").expect("limits").1;
    let limit = limits.trim_start().lines().next().expect("a limit");
    let limit = value(limit, "memory").strip_suffix("Gi").expect("GiB").parse::<u64>();
    assert!(body * 4 <= limit.expect("a number") << 30, "{body}");
    let grace: u64 = value(&values, "TOLLGATE_DRAIN_GRACE_SECONDS").parse().expect("seconds");
    assert!((5..=15).contains(&grace));
    let known = defaults();
    let set =
        values.lines().filter_map(|line| line.trim_start_matches('#').trim().split_once(": "));
    let set: Vec<&str> = set.map(|(name, _)| name).filter(|n| n.starts_with("TOLLGATE_")).collect();
    assert!(set.len() >= 4, "{set:?}");
    for name in set {
        assert!(known.contains_key(name), "{name}");
    }
}

/// The chart with these values; none where there is no `helm`.
fn rendered(values: &[&str]) -> Option<(bool, String)> {
    let helm = std::env::var_os("TOLLGATE_TEST_HELM").unwrap_or_else(|| "helm".into());
    let mut command = std::process::Command::new(helm);
    command.args(["template", "gate"]).arg(root().join("deploy/helm/tollgate"));
    command.args(values.iter().flat_map(|value| ["--set-json", value]));
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: no helm");
            return None;
        }
        Err(error) => panic!("helm: {error}"),
    };
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    Some((output.status.success(), text))
}

#[test]
fn the_chart_as_kubernetes_sees_it() {
    let Some((rendered_well, plain)) = rendered(&[]) else { return };
    assert!(rendered_well, "{plain}");
    let seconds = value(&plain, "terminationGracePeriodSeconds").parse().expect("seconds");
    ends_in_time(seconds, 10);
    assert!(!plain.contains("metrics"), "{plain}");
    for (values, wanted) in [
        (&["settings.TOLLGATE_DRAIN_SECONDS=300"][..], "terminationGracePeriodSeconds: 340\n"),
        (&[r#"settings.TOLLGATE_DRAIN_SECONDS="0""#], "terminationGracePeriodSeconds: 40\n"),
        (&["settings.TOLLGATE_REQUESTS=1234567890"], "value: \"1234567890\"\n"),
        (&["settings.OTEL_TRACES_SAMPLER_ARG=0.25"], "value: \"0.25\"\n"),
        (&["metrics.enabled=true"], "value: \"0.0.0.0:9464\"\n"),
        (&["metrics.enabled=true"], "prometheus.io/port: \"9464\"\n"),
        (
            &["metrics.enabled=true", "metrics.serviceMonitor.enabled=true"],
            "kind: ServiceMonitor\n",
        ),
    ] {
        let (rendered_well, text) = rendered(values).expect("helm");
        assert!(rendered_well && text.contains(wanted), "{values:?}: {text}");
    }
    let (rendered_well, text) =
        rendered(&["settings.TOLLGATE_DRAIN_GRACE_SECONDS=null"]).expect("helm");
    assert!(rendered_well && !text.contains("TOLLGATE_DRAIN_GRACE_SECONDS"), "{text}");
    let (rendered_well, text) = rendered(&["terminationGracePeriodSeconds=130"]).expect("helm");
    assert!(!rendered_well && text.contains("expected more than TOLLGATE_DRAIN_SECONDS"), "{text}");
}
