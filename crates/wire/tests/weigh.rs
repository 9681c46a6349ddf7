//! What it takes to translate a request whose body is large, against what is set aside for it.

use std::time::Instant;

use allocation_counter::measure;
use wire::{DIALECTS, Dialect, Target, weigh};

/// As in the worst of bodies: all of it is many times the same.
const BYTES: usize = 48 * 1024;

/// For each dialect: what stands before, between and behind what is repeated. `~` is a number that is never the same.
const SHAPES: [(&str, &str, &str, &str); 29] = [
    ("openai_chat", r#"{"model":"m","messages":["#, r#"{"role":"user","content":""}"#, "]}"),
    ("openai_chat", r#"{"model":"m","messages":["#, r#"{"role":"user","content":"x"}"#, "]}"),
    ("openai_chat", r#"{"model":"m","messages":["#, r#"{"role":"system","content":"x"}"#, "]}"),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":["#,
        r#"{"type":"text","text":""}"#,
        "]}]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":["#,
        r#"{"type":"text","text":"x"}"#,
        "]}]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":["#,
        r#"{"type":"image_url","image_url":{"url":"http://x"}}"#,
        "]}]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":["#,
        r#"{"id":"~","type":"function","function":{"name":"f","arguments":""}}"#,
        "]}]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},"#,
        r#"{"role":"assistant","tool_calls":[{"id":"~","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"~","content":"x"}"#,
        "]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","enum":["#,
        "0",
        "]}}}]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","anyOf":["#,
        "{}",
        "]}}}]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"#,
        r#""~":{}"#,
        "}}}}]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":["#,
        r#"{"type":"function","function":{"name":"f~"}}"#,
        "]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stop":["#,
        r#""a""#,
        "]}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"#,
        r#""x~":0"#,
        "}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"object","anyOf":["#,
        r#"{"a":0}"#,
        "]}}}}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"logit_bias":{"#,
        r#""~":0"#,
        "}}",
    ),
    (
        "openai_chat",
        r#"{"model":"m","messages":[{"role":"user","content":""#,
        "some words",
        r#""}]}"#,
    ),
    (
        "anthropic",
        r#"{"model":"m","max_tokens":9,"messages":["#,
        r#"{"role":"user","content":"x"}"#,
        "]}",
    ),
    (
        "anthropic",
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":["#,
        r#"{"type":"text","text":"x"}"#,
        "]}]}",
    ),
    (
        "anthropic",
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"system":["#,
        r#"{"type":"text","text":"x"}"#,
        "]}",
    ),
    (
        "anthropic",
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"tools":["#,
        r#"{"name":"f~","input_schema":{"type":"object"}}"#,
        "]}",
    ),
    (
        "anthropic",
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":["#,
        r#"{"type":"tool_use","id":"~","name":"f","input":{}}"#,
        "]}]}",
    ),
    ("gemini", r#"{"contents":["#, r#"{"role":"user","parts":[{"text":"x"}]}"#, "]}"),
    ("gemini", r#"{"contents":["#, r#"{"role":"model","parts":[]}"#, "]}"),
    ("gemini", r#"{"contents":[{"role":"user","parts":["#, r#"{"text":"x"}"#, "]}]}"),
    (
        "gemini",
        r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":["#,
        r#"{"name":"f~"}"#,
        "]}]}",
    ),
    ("openai_responses", r#"{"model":"m","input":["#, r#"{"role":"user","content":"x"}"#, "]}"),
    (
        "openai_responses",
        r#"{"model":"m","input":[{"role":"user","content":["#,
        r#"{"type":"input_text","text":"x"}"#,
        "]}]}",
    ),
    (
        "openai_responses",
        r#"{"model":"m","input":["#,
        r#"{"type":"function_call","call_id":"~","name":"f","arguments":"{}"}"#,
        "]}",
    ),
];

fn body(before: &str, repeated: &str, behind: &str) -> String {
    let mut body = before.to_owned();
    let between = if repeated == "some words" { "" } else { "," };
    let mut number = 0;
    while body.len() < BYTES {
        if number > 0 {
            body.push_str(between);
        }
        body.push_str(&repeated.replace('~', &number.to_string()));
        number += 1;
    }
    body + behind
}

/// For whatever a client sends, to whomever it goes.
#[test]
fn what_is_set_aside_is_enough() {
    const PROVIDERS: [(&str, &str); 5] = [
        ("openai_chat", "openai"),
        ("openai_chat", "deepseek"),
        ("anthropic", "anthropic"),
        ("gemini", "gemini"),
        ("openai_responses", "openai"),
    ];
    let dialect = |name: &str| -> &'static dyn Dialect {
        DIALECTS.into_iter().find(|dialect| dialect.name() == name).expect("a dialect")
    };
    let mut most = [0; 2];
    for (client, before, repeated, behind) in SHAPES {
        let body = body(before, repeated, behind);
        let (bytes, values) = (body.len() as u64, weigh::values(body.as_bytes()));
        for (name, provider) in PROVIDERS {
            let target = Target {
                provider,
                model: "m",
                max_output_tokens: Some(1_000),
                reasoning: provider == "deepseek",
            };
            let mut kept = None;
            let begun = Instant::now();
            let taken = measure(|| {
                if let Ok(chat) = dialect(client).read_request(body.as_bytes()) {
                    let written = dialect(name).write_request(&chat, &target);
                    kept = Some((chat, written));
                }
            });
            let took = begun.elapsed();
            let left = u64::try_from(taken.bytes_current).unwrap_or(0);
            let shares = [
                taken.bytes_max * 100 / weigh::peak(bytes, values),
                left * 100 / weigh::kept(bytes, values),
            ];
            most = [most[0].max(shares[0]), most[1].max(shares[1])];
            let what = format!("{client} {repeated} for {name} at {provider}");
            println!("{shares:?} %: {what}, {bytes} bytes, {values} values: {taken:?}, {took:?}");
        }
    }
    // No more is set aside than has to be.
    assert!(most.iter().all(|share| (60..=100).contains(share)), "{most:?} % are used at most");
}
