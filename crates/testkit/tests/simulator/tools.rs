//! Tools: called when they are offered, quoted when they have answered.

use serde_json::{Value, json};

use crate::start;
use crate::talk::{APIS, Api, Kind};

fn weather() -> Value {
    json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
        "required": ["city", "days"],
        "additionalProperties": false,
    })
}

fn both() -> [(&'static str, Value); 2] {
    [("weather", weather()), ("toll", json!({"type": "object", "properties": {}}))]
}

fn stop_of_calls(api: Api) -> &'static str {
    match api.kind {
        Kind::Chat => "tool_calls",
        Kind::Responses => "completed",
        Kind::Messages => "tool_use",
        Kind::Gemini => "STOP",
    }
}

#[tokio::test]
async fn a_tool_is_called_with_arguments_that_fit_and_its_result_is_quoted() {
    let sim = start().await;
    for api in APIS {
        let mut request = api.ask("What is the weather?");
        api.offer(&mut request, &both());
        let (got, whole) = api.good(&sim, &request).await;
        let expected = ("weather".to_owned(), json!({"city": "some city", "days": 2}));
        assert_eq!(got.calls, [expected], "{api:?}");
        assert_eq!((got.text.as_str(), got.stop.as_str()), ("", stop_of_calls(api)), "{api:?}");
        assert!(got.output > 0 && got.input > 0);
        api.go_on(&mut request, &whole, &["sunny, 21 degrees"]);
        if api.kind == Kind::Chat {
            // DeepSeek wants its thoughts back, even if there were none.
            request["messages"][1]["reasoning_content"] = "".into();
        }
        let (got, _) = api.good(&sim, &request).await;
        assert_eq!(got.text, "The tool says: \u{201c}sunny, 21 degrees\u{201d}.", "{api:?}");
        assert!(got.calls.is_empty());
    }
}

#[tokio::test]
async fn several_tools_are_called_at_once() {
    let sim = start().await;
    for api in APIS {
        for said in ["Both, please.", "Ask in parallel."] {
            let mut request = api.ask(said);
            api.offer(&mut request, &both());
            let (got, whole) = api.good(&sim, &request).await;
            let names: Vec<&str> = got.calls.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["weather", "toll"], "{api:?}");
            assert_eq!(got.calls[1].1, json!({}), "{api:?}");
            api.go_on(&mut request, &whole, &["sunny", "4.50"]);
            if api.kind == Kind::Chat {
                request["messages"][1]["reasoning_content"] = "".into();
            }
            let (got, _) = api.good(&sim, &request).await;
            let text = "The tool says: \u{201c}sunny\u{201d} and \u{201c}4.50\u{201d}.";
            assert_eq!(got.text, text, "{api:?}");
        }
    }
}

#[tokio::test]
async fn a_choice_of_tools_is_respected() {
    let sim = start().await;
    for api in APIS {
        let mut request = api.ask("Hello");
        api.offer(&mut request, &both());
        api.choose(&mut request, "none");
        let (got, _) = api.good(&sim, &request).await;
        assert!(got.calls.is_empty() && got.text.starts_with("You said"), "{api:?}");
        api.choose(&mut request, "toll");
        let (got, _) = api.good(&sim, &request).await;
        assert_eq!(got.calls, [("toll".to_owned(), json!({}))], "{api:?}");
        api.choose(&mut request, "required");
        let (got, _) = api.good(&sim, &request).await;
        assert_eq!(got.calls.len(), 1, "{api:?}");
    }
}

#[tokio::test]
async fn openai_says_stop_when_the_tool_was_named_for_it() {
    let sim = start().await;
    let api = APIS[0];
    let mut request = api.ask("Hello");
    api.offer(&mut request, &both());
    api.choose(&mut request, "toll");
    assert_eq!(api.good(&sim, &request).await.0.stop, "stop");
    request["tool_choice"] = json!({"type": "allowed_tools", "allowed_tools": {
        "mode": "required", "tools": [{"type": "function", "function": {"name": "toll"}}]}});
    let (got, _) = api.good(&sim, &request).await;
    assert_eq!((got.calls[0].0.as_str(), got.stop.as_str()), ("toll", "tool_calls"));
}

#[tokio::test]
async fn parallel_calls_can_be_ruled_out() {
    let sim = start().await;
    for api in APIS.iter().filter(|api| api.kind != Kind::Gemini) {
        let mut request = api.ask("Both, please.");
        api.offer(&mut request, &both());
        match api.kind {
            Kind::Messages => {
                let choice = json!({"type": "auto", "disable_parallel_tool_use": true});
                request["tool_choice"] = choice;
            }
            _ => request["parallel_tool_calls"] = false.into(),
        }
        assert_eq!(api.good(&sim, &request).await.0.calls.len(), 1, "{api:?}");
    }
}

#[tokio::test]
async fn a_ceiling_cuts_a_call_short() {
    let sim = start().await;
    let long =
        json!({"type": "object", "properties": {"essay": {"type": "string", "minLength": 400}}});
    for api in APIS {
        let mut request = api.ask("Write.");
        api.offer(&mut request, &[("write", long.clone())]);
        let (key, stop) = match api.kind {
            Kind::Chat => ("max_tokens", "length"),
            Kind::Responses => ("max_output_tokens", "incomplete"),
            Kind::Messages => ("max_tokens", "max_tokens"),
            Kind::Gemini => ("generationConfig", "MAX_TOKENS"),
        };
        request[key] = match api.kind {
            Kind::Gemini => json!({"maxOutputTokens": 20}),
            _ => json!(20),
        };
        let (status, whole) = api.result(&sim, &request).await;
        assert_eq!(status, 200, "{api:?}: {whole}");
        let got = api.read(&whole);
        assert_eq!((got.stop.as_str(), got.output), (stop, 20), "{api:?}");
        let (name, arguments) = &got.calls[0];
        assert_eq!(name, "write");
        // Half an object can only be shown where arguments are text.
        match api.kind {
            Kind::Chat | Kind::Responses => {
                assert!(arguments.as_str().expect("no JSON").starts_with("{\"essay\":\"some"));
            }
            Kind::Messages | Kind::Gemini => assert_eq!(arguments, &json!({})),
        }
    }
}

#[tokio::test]
async fn calls_without_results_and_results_without_calls_are_refused() {
    let sim = start().await;
    for api in APIS {
        let mut request = api.ask("What is the weather?");
        api.offer(&mut request, &both());
        let (_, whole) = api.good(&sim, &request).await;
        let mut without = request.clone();
        api.go_on(&mut without, &whole, &[]);
        if api.kind == Kind::Messages {
            without["messages"][2]["content"] = "And?".into();
        }
        if api.kind == Kind::Gemini {
            without["contents"][2]["parts"] = json!([{"text": "And?"}]);
        }
        assert_eq!(api.result(&sim, &without).await.0, status(api), "{api:?}");
        if api.kind == Kind::Gemini {
            continue;
        }
        let mut orphan = request.clone();
        api.go_on(&mut orphan, &whole, &["sunny"]);
        let list = if api.kind == Kind::Responses { "input" } else { "messages" };
        orphan[list].as_array_mut().expect("a list").remove(1);
        assert_eq!(api.result(&sim, &orphan).await.0, status(api), "{api:?}");
    }
}

/// `DeepSeek` does not check what its documents do not say it checks.
fn status(api: Api) -> u16 {
    match (api.provider, api.kind) {
        (testkit::Provider::DeepSeek, Kind::Messages) => 200,
        _ => 400,
    }
}

#[tokio::test]
async fn custom_tools_take_any_text() {
    let sim = start().await;
    let mut request = APIS[0].ask("Hello");
    request["tools"] = json!([{"type": "custom", "custom": {"name": "poem"}}]);
    let (_, whole) = APIS[0].result(&sim, &request).await;
    let call = &whole["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["custom"], json!({"name": "poem", "input": "some input of poem"}));
    let mut request = APIS[1].ask("Hello");
    request["tools"] = json!([{"type": "custom", "name": "poem"}]);
    let (_, whole) = APIS[1].result(&sim, &request).await;
    assert_eq!(whole["output"][0]["type"], "custom_tool_call");
    assert_eq!(whole["output"][0]["input"], "some input of poem");
}
