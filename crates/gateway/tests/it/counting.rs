//! Counting tokens, which providers do for nothing.

use reqwest::Method;
use serde_json::json;

use crate::app::{Answer, App};

#[tokio::test]
async fn what_stands_behind_the_path_goes_on() {
    let app = App::start().await;
    let body = json!({ "model": "claude-sonnet-4-5", "messages": [{ "role": "user", "content": "Hello" }] });
    let request = app.request(Method::POST, "/v1/messages/count_tokens?beta=true");
    let request = request.header("x-api-key", &app.key).header("anthropic-version", "2023-06-01");
    let answer = Answer::of(request.json(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let seen = app.simulator.seen().pop().expect("a request");
    let asked = (seen.path.as_str(), seen.query.as_deref());
    assert_eq!(asked, ("/v1/messages/count_tokens", Some("beta=true")));
}
