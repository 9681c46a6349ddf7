//! What an answer says of itself that passes unread.

use wire::peek::Names;
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
