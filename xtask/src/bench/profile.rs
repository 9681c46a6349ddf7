//! `cargo xtask profile`: which way each branch of the program goes while it serves the loads of the benchmark, and clients of
//! every format that ask models of every provider. `cargo xtask build` optimises for that.

use std::process::Command;

use super::Tools;
use super::load::{self, Target};
use super::scenario::Scenario;
use super::servers::{Gateway, Providers};
use crate::janitor::TempDir;
use crate::release::Compiler;
use crate::{Result, no_arguments, packages, release, sh, ui};

/// For how long each is asked. A stream of the benchmark takes two.
const SECONDS: u32 = 3;
const CONNECTIONS: u32 = 32;

/// One of each provider.
const MODELS: [&str; 4] = [
    "openai/gpt-4o-mini",
    "anthropic/claude-sonnet-4-5",
    "gemini/gemini-2.5-flash",
    "deepseek/deepseek-chat",
];

/// What a client of one format sends: the path, and the body.
type Write = fn(model: &str, stream: bool) -> (String, String);

const CLIENTS: [Write; 4] = [chat, responses, messages, gemini];

const SCHEMA: &str =
    r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#;

pub(crate) fn run(args: &[String]) -> Result {
    no_arguments(args)?;
    let tools = Tools::find()?;
    let compiler = Compiler::look()?;
    // What puts counts together is of the version of LLVM that the compiler has.
    let llvm = &compiler.llvm;
    let merge = packages::program(&format!("llvm-profdata-{llvm}"), &format!("llvm-{llvm}"))?;
    ui::heading("a build that counts");
    let counting = release::build_counting()?;
    // What answers is no part of what is counted.
    sh::run(&mut sh::cargo(&["build", "--release", "--package", "testkit"]))?;
    let dir = TempDir::new(&sh::target_dir()?, "profile")?;
    let providers = Providers::start(&sh::target_dir()?.join("release"), dir.path())?;
    let gateway = Gateway::start(&counting.bins, dir.path(), &providers)?;
    for scenario in Scenario::ALL {
        ui::heading(scenario.title());
        ask(&Target::gateway(&gateway, scenario, dir.path())?, &tools)?;
    }
    ui::heading("every format, every provider");
    for (model, write) in MODELS.iter().flat_map(|model| CLIENTS.map(|write| (*model, write))) {
        for stream in [false, true] {
            let (path, body) = write(model, stream);
            ui::note(&format!("{path} {model}"));
            ask(&Target::translated(&gateway, (path, body), dir.path())?, &tools)?;
        }
    }
    // It writes what it has counted when it ends.
    drop(gateway);
    let merged = dir.path().join("profile.profdata");
    let mut merge = Command::new(merge);
    merge.args(["merge", "--sparse", "--output"]).arg(&merged).arg(&counting.counts);
    sh::run(&mut merge)?;
    let profile = release::keep(&compiler, &merged)?;
    ui::note(&format!("{} is written", profile.display()));
    Ok(())
}

fn ask(target: &Target<'_>, tools: &Tools) -> Result {
    let answer = target.ask()?;
    load::run(target, answer.len() as u64, &tools.wrk, CONNECTIONS, SECONDS).map(drop)
}

fn chat(model: &str, stream: bool) -> (String, String) {
    let body = format!(
        r#"{{"model":"{model}","max_tokens":200,"temperature":0.5,"stream":{stream},"messages":[
{{"role":"system","content":"Be brief."}},{{"role":"user","content":"Hello, how are you today?"}},
{{"role":"assistant","content":"Well."}},{{"role":"user","content":[{{"type":"text","text":"And the weather?"}}]}}],
"tools":[{{"type":"function","function":{{"name":"weather","description":"Of a city.","parameters":{SCHEMA}}}}}]}}"#
    );
    ("/v1/chat/completions".to_owned(), body)
}

fn responses(model: &str, stream: bool) -> (String, String) {
    let body = format!(
        r#"{{"model":"{model}","max_output_tokens":200,"stream":{stream},"store":false,"instructions":"Be brief.","input":[
{{"role":"user","content":"Hello, how are you today?"}},{{"role":"assistant","content":"Well."}},
{{"role":"user","content":[{{"type":"input_text","text":"And the weather?"}}]}}],
"tools":[{{"type":"function","name":"weather","description":"Of a city.","strict":false,"parameters":{SCHEMA}}}]}}"#
    );
    ("/v1/responses".to_owned(), body)
}

fn messages(model: &str, stream: bool) -> (String, String) {
    let body = format!(
        r#"{{"model":"{model}","max_tokens":200,"temperature":0.5,"stream":{stream},"system":"Be brief.","messages":[
{{"role":"user","content":"Hello, how are you today?"}},{{"role":"assistant","content":"Well."}},
{{"role":"user","content":[{{"type":"text","text":"And the weather?"}}]}}],
"tools":[{{"name":"weather","description":"Of a city.","input_schema":{SCHEMA}}}]}}"#
    );
    ("/v1/messages".to_owned(), body)
}

fn gemini(model: &str, stream: bool) -> (String, String) {
    let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    let body = format!(
        r#"{{"systemInstruction":{{"parts":[{{"text":"Be brief."}}]}},"generationConfig":{{"maxOutputTokens":200}},"contents":[
{{"role":"user","parts":[{{"text":"Hello, how are you today?"}}]}},{{"role":"model","parts":[{{"text":"Well."}}]}},
{{"role":"user","parts":[{{"text":"And the weather?"}}]}}],
"tools":[{{"functionDeclarations":[{{"name":"weather","description":"Of a city.","parameters":{SCHEMA}}}]}}]}}"#
    );
    (format!("/v1beta/models/{model}:{verb}"), body)
}
