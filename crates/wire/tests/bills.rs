//! Recorded exchanges through the readers, against bills computed by other means. Skipped where no recordings are at
//! hand: they are not part of this repository. `TOLLGATE_RECORDINGS` names their folder.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test; helpers of tests are not exempt by themselves"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use ledger::{Meter, Region, ServiceTier, UsageReport};
use serde_json::Value;
use wire::names::Names;
use wire::problem::Kind;
use wire::{Dialect, dialect};

fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/recordings");
    let folder = std::env::var_os("TOLLGATE_RECORDINGS")
        .map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if folder.join("expected_bills.jsonl").exists() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "no recordings in {}",
        folder.display()
    );
    println!("skipped: no recordings");
    None
}

fn lines(folder: &std::path::Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bills(folder: &std::path::Path) -> BTreeMap<String, Value> {
    let bills = lines(folder, "expected_bills").into_iter();
    bills.map(|bill| (bill["id"].as_str().unwrap().to_owned(), bill)).collect()
}

fn of_api(api: &str) -> &'static dyn Dialect {
    dialect(match api.split('.').next().unwrap() {
        "anthropic" => "anthropic",
        "gemini" => "gemini",
        _ => "openai_chat",
    })
    .unwrap()
}

/// The counters of a report in the words of a bill.
fn in_words(report: &UsageReport) -> Vec<(&'static str, u64)> {
    let total = report.total();
    let sum = |meters: &[Meter]| meters.iter().map(|m| total.get(*m)).sum::<u64>();
    vec![
        ("input_total", total.input_tokens()),
        (
            "input_uncached",
            sum(&[Meter::Input, Meter::AudioInput, Meter::ImageInput, Meter::VideoInput]),
        ),
        ("cached_read", sum(&[Meter::CacheRead, Meter::AudioCacheRead, Meter::ImageCacheRead])),
        ("cache_write_5m", sum(&[Meter::CacheWrite5m])),
        ("cache_write_1h", sum(&[Meter::CacheWrite1h, Meter::CacheWrite12h])),
        ("output", total.output_tokens()),
        ("reasoning", sum(&[Meter::Reasoning])),
        ("audio_input", sum(&[Meter::AudioInput])),
        ("audio_cached_read", sum(&[Meter::AudioCacheRead])),
        ("audio_output", sum(&[Meter::AudioOutput])),
        ("image_output", sum(&[Meter::ImageOutput])),
    ]
}

fn differences(bill: &Value, report: &UsageReport, out: &mut Vec<String>) {
    let id = &bill["id"];
    for (name, ours) in in_words(report) {
        let theirs = bill["usage"][name].as_u64().unwrap();
        if ours != theirs {
            out.push(format!("{id} {name}: read {ours}, billed {theirs}"));
        }
    }
    if report.inconsistent {
        out.push(format!("{id} inconsistent"));
    }
}

fn none(failures: &[String]) {
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_usage_object_gives_the_billed_counters() {
    let Some(folder) = folder() else { return };
    let (mut failures, mut checked) = (Vec::new(), 0);
    for bill in bills(&folder).values() {
        let usage = bill["usage_raw"].to_string();
        let api = bill["api"].as_str().unwrap();
        let report = match api {
            "openai.responses" | "openai.responses_compact" | "deepseek.responses" => {
                wire::openai_responses::usage::read(&usage)
            }
            "gemini.batchEmbedContents" => wire::gemini::usage::read_embeddings(&usage),
            "gemini.openai_chat" => wire::openai_chat::usage::read_gemini_compat(&usage),
            api => of_api(api).read_usage(&usage),
        };
        let report = report.unwrap();
        differences(bill, &report, &mut failures);
        passes(bill, &report, &mut failures);
        checked += 1;
    }
    none(&failures);
    assert!(checked >= 1_577, "only {checked} bills");
}

/// Each billed pass and ours: same number, same model where it is another one, same tokens.
fn passes(bill: &Value, report: &UsageReport, out: &mut Vec<String>) {
    let billed = bill["passes"].as_array().unwrap();
    if billed.len() != report.passes.len() {
        out.push(format!(
            "{}: {} passes, billed {}",
            bill["id"],
            report.passes.len(),
            billed.len()
        ));
        return;
    }
    for (theirs, ours) in billed.iter().zip(&report.passes) {
        if let Some(model) = &ours.model {
            assert_eq!(theirs["model"], *model);
        }
        let tokens = theirs["components"].as_object().unwrap().values();
        let tokens: u64 = tokens.map(|pair| pair[0].as_u64().unwrap()).sum();
        let read = ours.usage.input_tokens() + ours.usage.output_tokens();
        if tokens != read {
            out.push(format!("{} pass: read {read} tokens, billed {tokens}", bill["id"]));
        }
    }
}

/// The visible text, told straight from the JSON.
fn plain_text(api: &str, body: &Value) -> String {
    let texts = |list: &Value, wanted: &dyn Fn(&Value) -> bool| -> String {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter(|x| wanted(x)).filter_map(|x| x["text"].as_str()).collect()
    };
    match api {
        "anthropic.messages" => texts(&body["content"], &|block| block["type"] == "text"),
        "gemini.generateContent" => {
            texts(&body["candidates"][0]["content"]["parts"], &|part| part["thought"] != true)
        }
        _ => {
            let message = &body["choices"][0]["message"];
            let content = message["content"].as_str().filter(|text| !text.is_empty());
            let audio = message["audio"]["transcript"].as_str();
            content.or(message["refusal"].as_str()).or(audio).unwrap_or_default().to_owned()
        }
    }
}

const CHATS: [&str; 4] =
    ["openai.chat", "anthropic.messages", "gemini.generateContent", "deepseek.chat"];

#[test]
fn every_whole_answer_gives_its_text_and_bill() {
    let Some(folder) = folder() else { return };
    let bills = bills(&folder);
    let (mut failures, mut checked) = (Vec::new(), 0);
    for api in CHATS {
        for record in lines(&folder, api) {
            let response = &record["response"];
            let good = response["status"].as_u64().is_some_and(|s| s < 300);
            if !good || record["stream"] == true || !response["body"].is_object() {
                continue;
            }
            checked += 1;
            // Queued answers of DeepSeek begin with blank lines.
            let body = format!("\n\n {}", response["body"]);
            let id = record["id"].as_str().unwrap();
            let reply =
                of_api(api).read_reply(body.as_bytes()).unwrap_or_else(|e| panic!("{id}: {e}"));
            let text = plain_text(api, &response["body"]);
            if reply.text() != text {
                failures.push(format!(
                    "{id}: text of {} bytes, not {}",
                    reply.text().len(),
                    text.len()
                ));
            }
            let report = of_api(api).read_body_usage(body.as_bytes()).unwrap();
            assert_eq!(report, reply.usage, "{id}");
            let (looked, names) = of_api(api).look_at_body(body.as_bytes()).unwrap();
            assert_eq!((&looked, names), (&report, Names::of(body.as_bytes())), "{id}");
            if let Some(bill) = bills.get(id) {
                whole(bill, &report.unwrap_or_default(), &mut failures);
            }
            for other in wire::DIALECTS {
                let again =
                    other.read_reply(&other.write_reply(&reply, &wire::Shape::default())).unwrap();
                let same =
                    again.text() == reply.text() && again.calls_tools() == reply.calls_tools();
                if !same {
                    failures.push(format!("{id}: text or calls change through {}", other.name()));
                }
            }
        }
    }
    none(&failures);
    println!("{checked} answers");
}

fn whole(bill: &Value, report: &UsageReport, failures: &mut Vec<String>) {
    differences(bill, report, failures);
    let total = report.total();
    let model = bill["price_model"].as_str().unwrap();
    let meter = match bill["provider"].as_str().unwrap() {
        "gemini" if model.starts_with("gemini-2") => Meter::GroundedPrompt,
        "gemini" => Meter::SearchQuery,
        _ => Meter::WebSearch,
    };
    let calls = bill["web_search_calls"].as_u64().unwrap();
    if total.get(meter) != calls {
        failures.push(format!("{}: {} searches, billed {calls}", bill["id"], total.get(meter)));
    }
    let tier = ServiceTier::from_answer(bill["service_tier"].as_str().unwrap_or_default());
    assert_eq!(report.service_tier, tier, "{}", bill["id"]);
    assert_eq!((report.fast, report.region), (false, Region::Global), "{}", bill["id"]);
}

#[test]
fn every_other_whole_answer_gives_its_bill() {
    let Some(folder) = folder() else { return };
    let bills = bills(&folder);
    let mut failures = Vec::new();
    let apis = [
        "openai.responses",
        "openai.responses_compact",
        "deepseek.responses",
        "openai.embeddings",
        "openai.completions",
    ];
    for api in apis {
        for record in lines(&folder, api) {
            let Some(bill) = bills.get(record["id"].as_str().unwrap()) else { continue };
            if record["stream"] == true {
                continue;
            }
            let body = record["response"]["body"].to_string();
            let report = if api.contains("responses") {
                wire::openai_responses::usage::read_body(body.as_bytes())
            } else {
                wire::openai_chat::usage::read_body(body.as_bytes())
            };
            whole(bill, &report.unwrap().unwrap(), &mut failures);
        }
    }
    none(&failures);
}

#[test]
fn every_request_that_a_provider_took_is_read() {
    let Some(folder) = folder() else { return };
    let (mut failures, mut checked) = (Vec::new(), 0);
    for api in CHATS.into_iter().chain(["gemini.streamGenerateContent"]) {
        for record in lines(&folder, api) {
            if record["response"]["status"].as_u64().is_none_or(|status| status >= 300) {
                continue;
            }
            let body = record["request"]["body"].to_string();
            checked += 1;
            let chat = match of_api(api).read_request(body.as_bytes()) {
                Ok(chat) => chat,
                Err(error) => {
                    failures.push(format!("{}: {error}", record["id"]));
                    continue;
                }
            };
            same_again(api, &record["id"], &chat, &mut failures);
        }
    }
    none(&failures);
    println!("{checked} requests");
}

/// Written to its own dialect and read again, a request has the same turns, tools and system.
fn same_again(api: &str, id: &Value, chat: &wire::Chat, failures: &mut Vec<String>) {
    let target = wire::Target {
        provider: "any",
        model: if api.starts_with("anthropic") { "claude-sonnet-4-5" } else { "gemini-3-flash" },
        max_output_tokens: None,
        reasoning: false,
    };
    match of_api(api).write_request(chat, &target) {
        Ok(written) => {
            let again = of_api(api).read_request(&written.body).unwrap();
            let count = |chat: &wire::Chat| {
                chat.turns
                    .iter()
                    .flat_map(|turn| &turn.blocks)
                    .filter(|b| {
                        matches!(
                            b,
                            wire::chat::Block::ToolUse { .. }
                                | wire::chat::Block::ToolResult { .. }
                        )
                    })
                    .count()
            };
            if count(chat) != count(&again) || chat.tools.len() != again.tools.len() {
                failures.push(format!("{id}: calls or tools change when written again"));
            }
        }
        Err(error) => failures.push(format!("{id}: {error}")),
    }
}

#[test]
fn every_error_has_its_kind() {
    let Some(folder) = folder() else { return };
    let mut checked = 0;
    for api in [
        "openai.chat",
        "openai.responses",
        "openai.embeddings",
        "openai.completions",
        "anthropic.messages",
        "anthropic.count_tokens",
        "gemini.generateContent",
        "gemini.batchEmbedContents",
        "deepseek.chat",
        "deepseek.responses",
    ] {
        for record in lines(&folder, api) {
            let status = record["response"]["status"].as_u64().unwrap();
            let body = &record["response"]["body"];
            if status < 300 || body.is_null() {
                continue;
            }
            checked += 1;
            let status = u16::try_from(status).unwrap();
            let problem = of_api(api).read_problem(status, None, body.to_string().as_bytes());
            let error = body.get(0).unwrap_or(body)["error"].clone();
            let message = error["message"].as_str().unwrap();
            let kind = match status {
                400 if message.contains("API key not valid") => Kind::Auth,
                400 if error["code"] == "model_not_found" => Kind::NotFound,
                400 if message.contains("context") && message.contains("model") => {
                    Kind::ContextOverflow
                }
                400 => Kind::BadRequest,
                401 => Kind::Auth,
                404 => Kind::NotFound,
                429 => Kind::RateLimit,
                other => panic!("a status without a rule: {other}"),
            };
            assert_eq!(
                (problem.kind, problem.message.as_str()),
                (kind, message),
                "{}",
                record["id"]
            );
            let (shown, _) = of_api(api).write_problem(&problem);
            assert!(
                kind != Kind::Auth || shown == 502,
                "an upstream credential is not the client's"
            );
        }
    }
    assert!(checked > 40, "only {checked} errors");
}
