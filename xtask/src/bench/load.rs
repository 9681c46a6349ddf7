//! The load: wrk with a script for each target.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::LOAD_CORE;
use super::figures::{self, Run};
use super::peers::Peer;
use super::process::{Server, on_core};
use super::scenario::Scenario;
use super::servers::{self, Gateway, USER};
use crate::{Result, sh};

/// What starts the line that our script prints for us.
const MARK: &str = "tollgate-bench";

/// A proxy and the request that it is measured with.
pub(crate) struct Target<'a> {
    pub(crate) name: &'static str,
    pub(crate) server: &'a Server,
    scenario: Scenario,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    script: PathBuf,
}

impl<'a> Target<'a> {
    pub(crate) fn gateway(gateway: &'a Gateway, scenario: Scenario, dir: &Path) -> Result<Self> {
        let (path, body) = scenario.of_gateway();
        Self::of_gateway(gateway, scenario, (path.to_owned(), body), dir)
    }

    /// The gateway, and a request that is none of the benchmark's: its path and its body.
    pub(crate) fn translated(
        gateway: &'a Gateway,
        request: (String, String),
        dir: &Path,
    ) -> Result<Self> {
        Self::of_gateway(gateway, Scenario::Small, request, dir)
    }

    fn of_gateway(
        gateway: &'a Gateway,
        scenario: Scenario,
        (path, body): (String, String),
        dir: &Path,
    ) -> Result<Self> {
        let target = Self {
            name: "gateway",
            server: &gateway.server,
            scenario,
            path,
            headers: vec![("user", USER.to_owned()), ("api-key", gateway.key.clone())],
            body,
            script: dir.join("gateway.lua"),
        };
        target.with_script()
    }

    /// A proxy that takes what the provider takes.
    pub(crate) fn peer(peer: &'a Peer, scenario: Scenario, dir: &Path) -> Result<Self> {
        let (path, body) = scenario.of_nginx();
        let target = Self {
            name: peer.name,
            server: &peer.server,
            scenario,
            // One that knows its models needs no path for each.
            path: if peer.knows_models { "/v1/chat/completions" } else { path }.to_owned(),
            headers: vec![("authorization", "Bearer bench".to_owned())],
            body,
            script: dir.join(format!("{}.lua", peer.name)),
        };
        target.with_script()
    }

    fn with_script(self) -> Result<Self> {
        use std::fmt::Write;
        let mut lua = format!(
            "wrk.method = 'POST'\nwrk.path = '{}'\nwrk.body = [==[{}]==]\n",
            self.path, self.body
        );
        lua.push_str("wrk.headers['content-type'] = 'application/json'\n");
        for (name, value) in &self.headers {
            let _ = writeln!(lua, "wrk.headers['{name}'] = '{value}'");
        }
        let _ = write!(
            lua,
            "done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('{MARK} %d %d %d %d %d %d %d\\n', summary.requests, summary.bytes, summary.duration,
        e.connect + e.read + e.write + e.timeout, e.status, latency:percentile(50),
        latency:percentile(99)))
end
"
        );
        std::fs::write(&self.script, lua)
            .map_err(|why| format!("cannot write {}: {why}", self.script.display()))?;
        Ok(self)
    }

    /// One request by hand, whose answer must name its usage. Returns the length of its answer.
    pub(crate) fn check(&self) -> Result<u64> {
        let answer = self.ask()?;
        if answer.contains("Tokens") | answer.contains("_tokens") {
            return Ok(answer.len() as u64);
        }
        Err(format!("{} answers without usage:\n{answer}\n{}", self.name, self.server.said()))
    }

    /// One request by hand: what it answers if it is not a success says more than wrk's counters.
    pub(crate) fn ask(&self) -> Result<String> {
        let sent = servers::post(self.server.address(), &self.path, &self.headers, &self.body);
        let answer = sent.map_err(|why| {
            format!("{} does not answer: {why}\n{}", self.name, self.server.said())
        })?;
        if servers::succeeded(&answer) {
            return Ok(answer);
        }
        Err(format!("{} answers without success:\n{answer}\n{}", self.name, self.server.said()))
    }
}

/// One run: the load from wrk, the cost from the kernel.
pub(crate) fn run(
    target: &Target,
    answer_bytes: u64,
    wrk: &Path,
    connections: u32,
    seconds: u32,
) -> Result<Run> {
    let connections = target.scenario.connections(connections).to_string();
    let mut command = Command::new(wrk);
    command.args(["-t", "1", "-c", &connections, "-d", &format!("{seconds}s")]);
    command.args(["--timeout", "20s", "-s"]);
    command.arg(&target.script).arg(format!("http://{}", target.server.address()));

    let before = target.server.settled_ticks()?;
    let output = sh::output(&mut on_core(LOAD_CORE, &command))?;
    let ticks = target.server.settled_ticks()? - before;

    let line = output.lines().find_map(|line| line.strip_prefix(MARK));
    let fields: Vec<u64> = line
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    let [requests, bytes, micros, broken, refused, p50_micros, p99_micros] = fields[..] else {
        return Err(format!("wrk did not print what was asked for:\n{output}"));
    };
    if requests == 0 || broken + refused > 0 {
        return Err(format!(
            "the run against {} is void: {requests} requests, {refused} answers that are no success, \
             {broken} broken or overdue connections\n{}",
            target.name,
            target.server.said()
        ));
    }
    // Of streams that are under way when the load ends, what has come of them counts.
    let requests = match target.scenario {
        Scenario::Stream => figures::float(bytes)? / figures::float(answer_bytes)?,
        _ => figures::float(requests)?,
    };
    let latency = [p50_micros, p99_micros];
    Run::new(requests, target.scenario.units(), micros, ticks, latency)
}
