use super::*;

fn chat(more: &str) -> bool {
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a \"b\" \u00e9"}}]{more}}}"#
    );
    documents(openai_chat::NAME, body.as_bytes(), true)
}

fn said(messages: &str) -> bool {
    let body = format!(r#"{{"model":"m","messages":[{messages}]}}"#);
    documents(openai_chat::NAME, body.as_bytes(), true)
}

fn messages(more: &str) -> bool {
    let body = format!(
        r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":"a"}}]{more}}}"#
    );
    documents(anthropic::NAME, body.as_bytes(), true)
}

fn responses(more: &str) -> bool {
    let body = format!(r#"{{"model":"m","input":"a"{more}}}"#);
    documents(openai_responses::NAME, body.as_bytes(), true)
}

#[test]
fn what_is_known_passes() {
    for more in [
        "",
        r#","stream":true,"stream_options":{"include_usage":true},"temperature":0.30,"stop":["x"],"max_tokens":5"#,
        r#","thinking":{"type":"disabled"},"reasoning_effort":"high","user_id":"u","logprobs":true"#,
        r#","tools":[{"type":"function","function":{"name":"w","description":"d","parameters":{"x":[1]}}}],"tool_choice":"auto""#,
        r#","tool_choice":{"type":"function","function":{"name":"w"}},"response_format":{"type":"json_object"}"#,
        r#","brand_new":1,"seed":null"#,
    ] {
        assert!(chat(more), "{more}");
    }
    for more in [
        "",
        r#","system":[{"type":"text","text":"s"}],"thinking":{"type":"enabled"},"output_config":{"effort":"max"}"#,
        r#","tools":[{"name":"w","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"w"}"#,
        r#","metadata":{"user_id":"u"},"stop_sequences":["x"],"top_p":0.5"#,
    ] {
        assert!(messages(more), "{more}");
    }
    let turns = r#"{"model":"m","max_tokens":5,"messages":[
        {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},
                                       {"type":"tool_use","id":"i","name":"w","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":[{"type":"text","text":"r"}]}]}]}"#;
    assert!(documents(anthropic::NAME, turns.as_bytes(), true));
    let items = r#"{"model":"m","store":false,"input":[
        {"role":"user","content":[{"type":"input_text","text":"q"}]},
        {"type":"reasoning","id":"r","summary":[],"encrypted_content":null,"content":[{"type":"reasoning_text","text":"t"}]},
        {"type":"function_call","call_id":"c","name":"w","arguments":"{}"},
        {"type":"function_call_output","call_id":"c","output":"r"}]}"#;
    assert!(documents(openai_responses::NAME, items.as_bytes(), true));
}

#[test]
fn what_is_not_known_does_not() {
    for more in [
        r#","n":2"#,
        r#","seed":7"#,
        r#","logit_bias":{"5":1}"#,
        r#","modalities":["text","audio"],"audio":{"voice":"a","format":"wav"}"#,
        r#","web_search_options":{}"#,
        r#","prediction":{"type":"content","content":"x"}"#,
        r#","max_completion_tokens":5"#,
        r#","reasoning_effort":"none""#,
        r#","reasoning_effort":"minimal""#,
        r#","functions":[{"name":"w"}]"#,
        r#","tools":[{"type":"function","function":{"name":"w","strict":true}}]"#,
        r#","tools":[{"type":"web_search"}]"#,
        r#","response_format":{"type":"json_schema","json_schema":{}}"#,
        r#","tool_choice":{"type":"allowed_tools","allowed_tools":{}}"#,
        r#","stop":"a","stop":"b""#,
    ] {
        assert!(!chat(more), "{more}");
    }
    for more in [
        r#","tools":[{"type":"web_search_20250305","name":"web_search"}]"#,
        r#","tools":[{"type":"custom","name":"w","input_schema":{}}]"#,
        r#","mcp_servers":[]"#,
        r#","top_k":5"#,
        r#","cache_control":{"type":"ephemeral"}"#,
        r#","system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]"#,
        r#","thinking":{"type":"enabled","budget_tokens":2000}"#,
        r#","output_config":{"effort":"medium"}"#,
        r#","service_tier":"auto""#,
    ] {
        assert!(!messages(more), "{more}");
    }
    for more in [
        r#","previous_response_id":"resp_1""#,
        r#","conversation":"conv_1""#,
        r#","background":true"#,
        r#","prompt":{"id":"p"}"#,
        r#","tools":[{"type":"file_search","vector_store_ids":["v"]}]"#,
        r#","store":true"#,
    ] {
        assert!(!responses(more), "{more}");
    }
    let items = r#"{"model":"m","input":[{"type":"item_reference","id":"x"}]}"#;
    assert!(!documents(openai_responses::NAME, items.as_bytes(), true));
}

#[test]
fn calls_come_with_their_thoughts_and_a_text() {
    let call =
        r#""tool_calls":[{"id":"i","type":"function","function":{"name":"w","arguments":"{}"}}]"#;
    let with = |more: &str| said(&format!(r#"{{"role":"assistant",{more}{call}}}"#));
    assert!(with(r#""content":"","reasoning_content":"","#));
    assert!(!with(r#""content":null,"reasoning_content":"","#));
    assert!(!with(r#""reasoning_content":"","#));
    assert!(!with(r#""content":"","#));
    // One of two, whatever else says the word.
    let half = format!(
        r#"{{"role":"user","content":"\"reasoning_content\""}},
           {{"role":"assistant","content":"","reasoning_content":"t"}},
           {{"role":"assistant","content":"",{call}}}"#
    );
    assert!(!said(&half));
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"assistant","content":"",{call}}}]}}"#);
    assert!(documents(openai_chat::NAME, body.as_bytes(), false));
    assert!(!said(r#"{"role":"tool","tool_call_id":"i","content":[{"type":"text","text":"r"}]}"#));
    assert!(said(r#"{"role":"user","content":[{"type":"text","text":"r"}]}"#));
    assert!(!said(r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}"#));
    assert!(!said(r#"{"role":"developer","content":"d"}"#));
    assert!(said(r#"{"role":"assistant","content":"d","prefix":true,"refusal":null}"#));
}
