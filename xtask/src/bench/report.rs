//! The figures for people, for machines, and for the record.

use std::fmt::Write;
use std::process::Command;

use super::Tools;
use super::figures::{Comparison, Run, Spread};
use super::options::Options;
use crate::sh;
use crate::ui::{self, Align};

/// Figures without the machine are gossip.
pub(crate) struct Machine {
    rows: Vec<(&'static str, String)>,
}

impl Machine {
    pub(crate) fn look(tools: &Tools) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // nginx tells its version on standard error, and wrk ends with a failure after telling its own.
        let said = |command: &mut Command| {
            let output = command
                .output()
                .map(|output| [output.stdout, output.stderr].concat())
                .unwrap_or_default();
            String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
        };
        let wrk = said(Command::new(&tools.wrk).arg("-v"));
        let git =
            |args: &[&str]| sh::output(Command::new("git").args(args).current_dir(sh::root())).ok();
        let rustc = sh::output(Command::new("rustc").arg("--version").current_dir(sh::root())).ok();
        Self {
            rows: vec![
                ("processor", field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown)),
                ("cores", cores.to_string()),
                ("memory", field(&read("/proc/meminfo"), "MemTotal").unwrap_or_else(unknown)),
                ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
                ("rustc", rustc.unwrap_or_else(unknown)),
                ("nginx", said(Command::new(&tools.nginx).arg("-v"))),
                (
                    "wrk",
                    wrk.split_once(" Copyright").map_or(wrk.clone(), |(name, _)| name.to_owned()),
                ),
                ("commit", git(&["describe", "--always", "--dirty"]).unwrap_or_else(unknown)),
            ],
        }
    }
}

/// A figure: its name for people and for machines, how many decimals it deserves, and where it is found in a run.
struct Figure {
    title: &'static str,
    key: &'static str,
    decimals: usize,
    of: fn(&Run) -> f64,
}

const FIGURES: [Figure; 5] = [
    Figure { title: "CPU µs per", key: "cpu_us", decimals: 1, of: |run| run.cpu_micros },
    Figure {
        title: "requests per second",
        key: "requests_per_second",
        decimals: 0,
        of: |run| run.per_second,
    },
    Figure { title: "50th percentile, ms", key: "p50_ms", decimals: 3, of: |run| run.p50_millis },
    Figure { title: "99th percentile, ms", key: "p99_ms", decimals: 2, of: |run| run.p99_millis },
    Figure {
        title: "its core busy, %",
        key: "core_busy_percent",
        decimals: 0,
        of: |run| run.busy_percent,
    },
];

/// What is printed: tables, or one JSON object.
pub(crate) fn text(comparisons: &[Comparison], options: &Options, machine: &Machine) -> String {
    if options.json {
        return as_json(comparisons, options, machine);
    }
    let mut text = String::new();
    for comparison in comparisons {
        let _ = writeln!(text, "\n{}\n", comparison.scenario.title());
        let _ = writeln!(text, "{}", ui::table(&rows(comparison), Align::Right));
        let _ = writeln!(text, "  Memory of the gateway: {}.", memory(comparison));
    }
    let _ = writeln!(
        text,
        "\n  Median (lowest–highest) of {} pairs of runs; ratios taken pair by pair.\n",
        options.runs
    );
    let about: Vec<Vec<String>> =
        machine.rows.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
    text.push_str(&ui::table(&about, Align::Left));
    text
}

/// The page that `--record` writes.
pub(crate) fn page(
    name: &str,
    comparisons: &[Comparison],
    options: &Options,
    machine: &Machine,
) -> String {
    let mut page = format!("# Benchmark {name}\n\n");
    let _ = writeln!(
        page,
        "Written by `cargo xtask bench --record {name}`. How the figures are taken: [README](README.md).\n"
    );
    let _ = writeln!(
        page,
        "{} pairs of runs of {} s over {} connections. Median (lowest–highest); ratios taken pair by pair.",
        options.runs, options.seconds, options.connections
    );
    for comparison in comparisons {
        let _ = writeln!(page, "\n## {}\n", comparison.scenario.title());
        for (number, row) in rows(comparison).iter().enumerate() {
            let _ = writeln!(page, "| {} |", row.join(" | "));
            if number == 0 {
                let _ = writeln!(page, "|---|{}", "---:|".repeat(row.len() - 1));
            }
        }
        let _ = writeln!(page, "\nMemory of the gateway: {}.", memory(comparison));
    }
    page.push_str("\n## The machine\n\n| | |\n|---|---|\n");
    for (name, value) in &machine.rows {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    page
}

fn rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let mut rows = vec![["", "gateway", "nginx", "gateway / nginx"].map(str::to_owned).to_vec()];
    for Figure { title, decimals, of, .. } in FIGURES {
        let mut row = vec![
            if title.ends_with("per") {
                format!("{title} {}", comparison.scenario.unit())
            } else {
                title.to_owned()
            },
            comparison.gateway(of).text(decimals),
            comparison.nginx(of).text(decimals),
            comparison.ratio(of).text(2),
        ];
        row.extend(comparison.litellm(of).map(|spread| spread.text(decimals)));
        rows.push(row);
    }
    if let [head, row, ..] = &mut rows[..]
        && row.len() > head.len()
    {
        head.push("LiteLLM".to_owned());
    }
    rows
}

fn memory(comparison: &Comparison) -> String {
    format!(
        "{} MiB idle before the load, {} MiB after it",
        comparison.idle_kib.div_ceil(1024),
        comparison.loaded_kib.div_ceil(1024)
    )
}

fn as_json(comparisons: &[Comparison], options: &Options, machine: &Machine) -> String {
    let mut json = format!(
        "{{\"runs\":{},\"seconds\":{},\"connections\":{},\"scenarios\":{{",
        options.runs, options.seconds, options.connections
    );
    let scenarios: Vec<String> = comparisons.iter().map(scenario_json).collect();
    json.push_str(&scenarios.join(","));
    json.push_str("},\"machine\":{");
    let rows: Vec<String> = machine
        .rows
        .iter()
        .map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)))
        .collect();
    json.push_str(&rows.join(","));
    json.push_str("}}\n");
    json
}

fn scenario_json(comparison: &Comparison) -> String {
    let figures = FIGURES.map(|Figure { key, of, .. }| {
        let [gateway, nginx, ratio] =
            [comparison.gateway(of), comparison.nginx(of), comparison.ratio(of)].map(spread);
        let litellm = comparison
            .litellm(of)
            .map(|of| format!(",\"litellm\":{}", spread(of)))
            .unwrap_or_default();
        format!(
            "{}:{{\"gateway\":{gateway},\"nginx\":{nginx},\"ratio\":{ratio}{litellm}}}",
            quoted(key)
        )
    });
    format!(
        "{}:{{\"unit\":{},\"idle_kib\":{},\"loaded_kib\":{},\"figures\":{{{}}}}}",
        quoted(comparison.scenario.name()),
        quoted(comparison.scenario.unit()),
        comparison.idle_kib,
        comparison.loaded_kib,
        figures.join(",")
    )
}

fn spread(spread: Spread) -> String {
    // JSON knows no infinities, which a ratio to nothing would be.
    let number =
        |value: f64| if value.is_finite() { format!("{value:.4}") } else { "null".to_owned() };
    format!(
        "{{\"median\":{},\"min\":{},\"max\":{}}}",
        number(spread.median),
        number(spread.min),
        number(spread.max)
    )
}

fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}
