use super::*;

fn target(model: &str) -> crate::Target<'_> {
    crate::Target { provider: "any", model, max_output_tokens: None, reasoning: false }
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}

const BATCH: &str = r#"{"requests":[
    {"model":"models/g","content":{"parts":[{"text":"tide"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":2},
    {"model":"models/g","content":{"role":"user","parts":[{"text":"ebb"}]},"task_type":"RETRIEVAL_QUERY","output_dimensionality":2}]}"#;

#[test]
fn a_request_of_openai_for_gemini() {
    let body = br#"{"model":"text","input":["tide","ebb"],"dimensions":2,"encoding_format":"base64","user":"u"}"#;
    let embed = openai::read_request(body).unwrap();
    assert_eq!(embed.encoding, Encoding::Base64);
    let written = gemini::write_request(&embed, &target("models/g")).unwrap();
    assert_eq!(
        text(&written.body),
        r#"{"requests":[{"model":"models/g","content":{"parts":[{"text":"tide"}]},"outputDimensionality":2},{"model":"models/g","content":{"parts":[{"text":"ebb"}]},"outputDimensionality":2}]}"#
    );
    assert_eq!(written.dropped, ["user"]);
}

#[test]
fn a_request_of_gemini_for_openai() {
    let embed = gemini::read_request(BATCH.as_bytes()).unwrap();
    let written = openai::write_request(&embed, &target("text")).unwrap();
    assert_eq!(
        text(&written.body),
        r#"{"model":"text","input":["tide","ebb"],"dimensions":2,"encoding_format":"float"}"#
    );
    assert_eq!(written.dropped, ["taskType"]);
    let one = br#"{"content":{"parts":[{"text":"tide"}]},"title":"Sea"}"#;
    let one = gemini::read_request(one).unwrap();
    assert_eq!((one.inputs, one.title.as_deref()), (vec![Input::Text("tide".into())], Some("Sea")));
}

#[test]
fn what_the_other_does_not_take_is_refused() {
    for input in ["[1,2]", "[[1],[2,3]]"] {
        let body = format!("{{\"model\":\"m\",\"input\":{input}}}");
        let embed = openai::read_request(body.as_bytes()).unwrap();
        assert_eq!(gemini::write_request(&embed, &target("g")).unwrap_err().field, "input");
        let own = openai::write_request(&embed, &target("m")).unwrap();
        assert_eq!(openai::read_request(&own.body).unwrap(), embed);
    }
    let picture = br#"{"content":{"parts":[{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}"#;
    let embed = gemini::read_request(picture).unwrap();
    assert_eq!(openai::write_request(&embed, &target("m")).unwrap_err().field, "content");
    assert!(gemini::write_request(&embed, &target("g")).is_ok());
}

#[test]
fn a_wrong_request_names_the_place() {
    for (body, path) in [
        (r#"{"input":"a"}"#, "model"),
        (r#"{"model":"m"}"#, "input"),
        (r#"{"model":"m","input":[]}"#, "input"),
        (r#"{"model":"m","input":["a",{}]}"#, "input"),
        (r#"{"model":"m","input":7}"#, "input"),
        (r#"{"model":"m","input":"a","encoding_format":"hex"}"#, "encoding_format"),
    ] {
        assert_eq!(openai::read_request(body.as_bytes()).unwrap_err().path, path, "{body}");
    }
    for (body, path) in [
        ("{}", "content"),
        (r#"{"requests":[]}"#, "requests"),
        (r#"{"requests":[{"content":{"parts":7}}]}"#, "requests[0].content.parts"),
        (
            r#"{"requests":[{"content":{},"taskType":"A"},{"content":{},"taskType":"B"}]}"#,
            "requests[1]",
        ),
    ] {
        assert_eq!(gemini::read_request(body.as_bytes()).unwrap_err().path, path, "{body}");
    }
}

#[test]
fn vectors_keep_their_spelling_or_change_their_form() {
    let body = br#"{"embeddings":[{"values":[0.5,-0.010658385,1e-3]},{"values":[2]}],"usageMetadata":{"promptTokenCount":4}}"#;
    let embedded = gemini::read_reply(body).unwrap();
    let floats = openai::write_reply(&embedded, Encoding::Float).unwrap();
    assert_eq!(
        text(&floats),
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.010658385,1e-3]},{"object":"embedding","index":1,"embedding":[2]}],"model":"","usage":{"prompt_tokens":4,"total_tokens":4}}"#
    );
    let bytes = openai::write_reply(&embedded, Encoding::Base64).unwrap();
    let again = openai::read_reply(&bytes).unwrap();
    // 0.5 is 00 00 00 3f, and 2 is 00 00 00 40.
    assert!(matches!(&again.vectors[0], Vector::Base64(text) if text.starts_with("AAAAP")));
    assert_eq!(again.vectors[1], Vector::Base64("AAAAQA==".to_owned()));
    let back = gemini::write_reply(&again, true).unwrap();
    assert_eq!(
        text(&back),
        r#"{"embeddings":[{"values":[0.5,-0.010658385,0.001]},{"values":[2.0]}],"usageMetadata":{"promptTokenCount":4}}"#
    );
    let one = gemini::write_reply(&again, false).unwrap();
    assert_eq!(gemini::read_reply(&one).unwrap().vectors.len(), 1);
}

#[test]
fn answers_without_usage_and_vectors_that_are_none() {
    let silent = gemini::read_reply(br#"{"embedding":{"values":[1]}}"#).unwrap();
    assert_eq!(silent.usage, None);
    assert!(!text(&openai::write_reply(&silent, Encoding::Float).unwrap()).contains("usage"));
    assert!(gemini::read_reply(b"{}").is_err() && openai::read_reply(b"{}").is_err());
    let shuffled = br#"{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[0]}]}"#;
    let first = &openai::read_reply(shuffled).unwrap().vectors[0];
    assert_eq!(first.numbers().unwrap().get(), "[0]");
    for wrong in ["AAAA", "!", "AADAfw=="] {
        assert!(Vector::Base64(wrong.to_owned()).numbers().is_err(), "{wrong}");
    }
    let words = Vector::Numbers(Json::parse("[\"a\"]").unwrap());
    assert!(words.base64().is_err());
    let none = Embedded::default();
    assert!(gemini::write_reply(&none, false).is_err());
}
