//! What a command did, step by step, and how long each took.

use std::time::{Duration, Instant};

use crate::ui::{self, Align};
use crate::{Result, sh};

pub(crate) struct Steps {
    rows: Vec<Vec<String>>,
    started: Instant,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), started: Instant::now() }
    }

    /// Runs one step. It may leave a note for the table, whether it fails or not; a failure carries the step's name.
    pub(crate) fn run<T>(
        &mut self,
        name: &str,
        step: impl FnOnce(&mut String) -> Result<T>,
    ) -> Result<T> {
        ui::heading(name);
        let started = Instant::now();
        let mut note = String::new();
        let outcome = step(&mut note);
        let mark = if outcome.is_ok() { "ok" } else { "FAILED" };
        self.rows.push(vec![name.to_owned(), seconds(started.elapsed()), mark.to_owned(), note]);
        outcome.map_err(|why| format!("step `{name}` failed: {why}"))
    }

    /// Runs one program as a step.
    pub(crate) fn program(&mut self, name: &str, command: &mut std::process::Command) -> Result {
        self.run(name, |_| sh::run(command))
    }

    /// Writes the table of all steps.
    pub(crate) fn table(mut self) {
        let total = seconds(self.started.elapsed());
        self.rows.push(vec!["total".to_owned(), total, String::new(), String::new()]);
        ui::progress(&format!("\n{}", ui::table(&self.rows, Align::Left)));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
