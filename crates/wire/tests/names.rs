//! What an answer says of itself that passes unread.

use ledger::ServiceTier;
use wire::names::Names;
use wire::reply::Finish;

/// Each dialect has its own place for why an answer ended, and its own words.
#[test]
fn why_an_answer_ended() {
    for (body, expected) in [
        (
            r#"{"id":"c","choices":[{"index":0,"finish_reason":"length"},{"finish_reason":"stop"}]}"#,
            Some(Finish::Length),
        ),
        (r#"{"id":"c","choices":[{"finish_reason":"tool_calls"}]}"#, Some(Finish::ToolUse)),
        (r#"{"id":"c","choices":[{"text":"a"}]}"#, None),
        (r#"{"id":"m","stop_reason":"end_turn","stop_sequence":null}"#, Some(Finish::Stop)),
        (r#"{"id":"m","stop_reason":"pause_turn"}"#, Some(Finish::Pause)),
        (r#"{"id":"m","stop_reason":"refusal"}"#, Some(Finish::Filter)),
        (
            r#"{"responseId":"g","candidates":[{"finishReason":"MAX_TOKENS"}]}"#,
            Some(Finish::Length),
        ),
        (r#"{"responseId":"g","candidates":[{"finishReason":"SAFETY"}]}"#, Some(Finish::Filter)),
        (r#"{"id":"r","status":"completed","incomplete_details":null}"#, Some(Finish::Stop)),
        (
            r#"{"id":"r","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
            Some(Finish::Length),
        ),
        (r#"{"id":"e","data":[]}"#, None),
    ] {
        let names = Names::of(body.as_bytes());
        assert!(names.id.is_some(), "{body}");
        assert_eq!(names.finish, expected, "{body}");
    }
}

/// One way of reading is for answers with nothing unusual about them, the other for all.
#[test]
fn what_is_unusual_is_read_as_well() {
    let finish = |body: &str| {
        let names = Names::of(body.as_bytes());
        (names.id, names.model, names.finish)
    };
    let plain = r#"{"id":"c","model":"m","choices":[{"finish_reason":"length"}],"usage":{}}"#;
    let expected = (Some("c".to_owned()), Some("m".to_owned()), Some(Finish::Length));
    assert_eq!(finish(plain), expected);
    for (usual, unusual) in [
        (r#""id""#, r#""\u0069d""#),
        (r#""length"}"#, r#""length","deep":NESTED}"#),
        (r#""usage":{}"#, r#""usage":{"n":1e3}"#),
        (r#""usage":{}"#, r#""status":null"#),
    ] {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let body = plain.replace(usual, &unusual.replace("NESTED", &deep));
        assert_ne!(body, plain);
        assert_eq!(finish(&body), expected, "{body}");
    }
    let twice = plain.replace(r#""model":"m""#, r#""model":"m","model":"n""#);
    assert_eq!(finish(&twice), (None, None, None), "which of the two is it?");
}

/// The names and the usage of one look are those of two.
#[test]
fn one_look_finds_both() {
    let chat = wire::dialect("openai_chat").unwrap();
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#;
    for (more, tier) in [
        ("", ServiceTier::Standard),
        (r#","service_tier":"flex""#, ServiceTier::Flex),
        // Unusual, and so read as all are.
        (r#","service_tier":"flex","\u0061":1"#, ServiceTier::Flex),
    ] {
        let body = format!(r#"{{"id":"c","choices":[{{"finish_reason":"stop"}}],{usage}{more}}}"#);
        let (report, names) = chat.look_at_body(body.as_bytes()).unwrap();
        assert_eq!(chat.read_body_usage(body.as_bytes()).unwrap(), report);
        assert_eq!((names.id.as_deref(), names.finish), (Some("c"), Some(Finish::Stop)));
        let report = report.unwrap();
        assert_eq!((report.total().output_tokens(), report.service_tier), (4, tier));
    }
    for body in [r#"{"id":"c","usage":null}"#, r#"{"id":"c"}"#] {
        let (report, names) = chat.look_at_body(body.as_bytes()).unwrap();
        assert_eq!((report, names.id.as_deref()), (None, Some("c")));
    }
    for body in [r#"{"id":"c","service_tier":1}"#, r#"{"usage":{},"usage":{}}"#, "[]", ""] {
        let refused = chat.look_at_body(body.as_bytes()).unwrap_err();
        assert_eq!(Err(refused), chat.read_body_usage(body.as_bytes()), "{body}");
    }
}
