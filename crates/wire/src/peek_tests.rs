use super::*;

#[test]
fn whatever_is_scanned_is_read_alike() {
    for text in [
        r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true}"#,
        r#"{ "stream_options" : {"include_usage":true}, "max_tokens" : 5, "tools":[{}], "model":"a\"b" }"#,
        r#"{"models":["a","b"],"provider":{"order":["x"],"allow_fallbacks":false},"usage":{"include":true}}"#,
        r#"{"functions":[{"name":"w"}],"reasoning_effort":"none","model":"m"}"#,
        r#"{"model":"m","reasoning":{"effort":"low"},"temperature":0.5,"seed":-1,"metadata":{"model":"n"}}"#,
    ] {
        let (scanned, _) = Fields::scan(text).expect("nothing unusual");
        let read = Fields::read(text).unwrap();
        assert_eq!(Peek::made(text, &scanned), Peek::made(text, &read), "{text}");
    }
    for unusual in [
        r#"{"model":"m","model":"n"}"#,
        r#"{"model":null}"#,
        r#"{"mod\u0065l":"m"}"#,
        r#"{"stream":1}"#,
    ] {
        assert!(Fields::scan(unusual).is_none(), "{unusual}");
    }
    assert!(Peek::of(br#"{"model":"m","model":"n"}"#).is_err());
    assert_eq!(Peek::of(br#"{"mod\u0065l":"m"}"#).unwrap().model.as_deref(), Some("m"));
}

#[test]
fn a_member_is_set_once() {
    let set = |body: &str| {
        let edit = set_member(body.as_bytes(), "max_tokens", "7").unwrap();
        String::from_utf8(splice(body.as_bytes(), vec![edit])).unwrap()
    };
    assert_eq!(set(r#"{"a":1,"max_tokens": null}"#), r#"{"a":1,"max_tokens": 7}"#);
    assert_eq!(set(r#"{"max\u005ftokens":null,"a":{}}"#), r#"{"max\u005ftokens":7,"a":{}}"#);
    assert_eq!(set(r#"{"a":{"max_tokens":1}}"#), r#"{"max_tokens":7,"a":{"max_tokens":1}}"#);
    assert_eq!(set("{}"), r#"{"max_tokens":7}"#);
}

#[test]
fn of_two_ceilings_the_higher_counts() {
    let most = |body: &[u8]| Peek::of(body).unwrap().max_tokens;
    let both = br#"{"max_completion_tokens":1,"max_tokens":8000}"#;
    assert_eq!(most(both), Some(8_000));
    // Another dialect's says nothing.
    assert_eq!(most(br#"{"max_output_tokens":1,"max_tokens":8000}"#), Some(8_000));
    assert_eq!(most(br#"{"max_output_tokens":1,"max_tokens":null}"#), None);
}

#[test]
fn everything_but_the_model_stays() {
    let body =
        br#" { "x" : 12345678901234567890123, "model" :"a\"b" ,"stream":true, "new":[ 1 ] } "#;
    let peek = Peek::of(body).unwrap();
    assert_eq!((peek.model.as_deref(), peek.stream), (Some("a\"b"), true));
    let edits = vec![
        (peek.model_at.unwrap(), "\"gpt\"".to_owned()),
        insert_member(body, "\"y\":1").unwrap(),
    ];
    let expected =
        br#" {"y":1, "x" : 12345678901234567890123, "model" :"gpt" ,"stream":true, "new":[ 1 ] } "#;
    assert_eq!(splice(body, edits), expected);
    assert_eq!(splice(b"{ }", vec![insert_member(b"{ }", "\"y\":1").unwrap()]), b"{\"y\":1 }");
}

#[test]
fn wishes_for_an_order_and_a_price_are_read() {
    let wish = |text: &str| {
        let body = format!(r#"{{"provider":{text}}}"#);
        Peek::of(body.as_bytes()).unwrap().provider
    };
    let sort = |by, across_models| Some(Sort { by, across_models });
    assert_eq!(wish(r#"{"sort":"latency"}"#).sort, sort(SortBy::Latency, false));
    let object = wish(r#"{"sort":{"by":"price","partition":"none"}}"#);
    assert_eq!(object.sort, sort(SortBy::Price, true));
    let object = wish(r#"{"sort":{"by":"throughput","partition":"model"}}"#);
    assert_eq!(object.sort, sort(SortBy::Throughput, false));
    assert_eq!(wish(r#"{"sort":null}"#).sort, None);
    let price = wish(r#"{"max_price":{"prompt":0.1500,"completion":"12","request":0}}"#);
    let dollars = |text: &str| Some(Dollars(text.to_owned()));
    let price = price.max_price.unwrap();
    assert_eq!((price.prompt, price.completion), (dollars("0.1500"), dollars("12")));
}

#[test]
fn wishes_that_nobody_knows_are_named() {
    let body = br#"{"provider":{"zdr":true,"data_collection":"deny","quantizations":["fp8"],"experimental":null,
        "preferred_max_latency":2,"enforce_distillable_text":false,"only":["openai"],"max_price":{"request":1}}}"#;
    let wish = Peek::of(body).unwrap().provider;
    assert_eq!(wish.unknown, ["preferred_max_latency", "quantizations"]);
    assert_eq!((wish.zdr, wish.data_collection), (Some(true), Some(DataCollection::Deny)));
    assert_eq!(wish.only, Some(vec!["openai".to_owned()]));
    assert_eq!(wish.max_price.unwrap().request, Some(Dollars("1".to_owned())));
}

#[test]
fn what_is_wrong_is_named() {
    for (body, path) in [
        (r#"{"model":"a","model":"b"}"#, "model"),
        (r#"{"model":7}"#, "model"),
        (r#"{"stream":"yes"}"#, "stream"),
        (r#"{"provider":{"sort":"beauty"}}"#, "provider.sort"),
        (r#"{"provider":{"data_collection":"some"}}"#, "provider.data_collection"),
        (r#"{"provider":{"zdr":"yes"}}"#, "provider.zdr"),
        (r#"{"provider":{"sort":{"by":"price","partition":"x"}}}"#, "provider.sort"),
        (r#"{"stream_options":{"include_usage":1}}"#, "stream_options.include_usage"),
    ] {
        let error = Peek::of(body.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(path), "{body}: {error}");
    }
    let models = |count| format!(r#"{{"models":[{}"a"]}}"#, r#""a","#.repeat(count - 1));
    assert_eq!(Peek::of(models(MOST_MODELS).as_bytes()).unwrap().models.len(), MOST_MODELS);
    let error = Peek::of(models(MOST_MODELS + 1).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "models: may have at most 64 models");
    assert!(Peek::of(b"[]").is_err() && Peek::of(b"").is_err() && Peek::of(b"\xff").is_err());
}
