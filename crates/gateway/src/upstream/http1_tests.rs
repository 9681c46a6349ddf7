use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::{Decoder, HEAD_LIMIT_BYTES, Head, HeadWriter, Malformed, read_head};

/// The head of an answer that comes in these pieces, its content, and how much of the answer was taken; nothing where not
/// even the head is whole.
type Fed = Option<(Head, Vec<u8>, usize)>;

fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Fed, Malformed> {
    let (mut come, mut head, mut content, mut used) = (Vec::new(), None, Vec::new(), 0);
    for piece in pieces {
        let mut piece = piece.to_vec();
        if head.is_none() {
            come.extend(piece);
            let Some((found, begin)) = read_head(&Bytes::copy_from_slice(&come))? else { continue };
            piece = come.split_off(begin);
            head = Some(found);
            used = begin;
        }
        used += head.as_mut().expect("a head").body.decode(&piece, &mut content)?;
    }
    Ok(head.map(|head| (head, content, used)))
}

/// Status, body, what is left, and whether the connection stays: of an answer that comes in pieces of so many bytes.
fn read(answer: &[u8], piece: usize) -> Result<(StatusCode, Vec<u8>, Vec<u8>, bool), Malformed> {
    let (head, body, used) = feed(answer.chunks(piece))?.expect("a head");
    let whole = head.body.is_over() || head.body == Decoder::UntilClosed;
    assert!(whole, "{:?} is not at its end", head.body);
    Ok((head.answer.status(), body, answer[used..].to_vec(), head.stays))
}

/// The same however it is cut.
fn cut_everywhere(answer: &[u8]) -> (u16, String, String, bool) {
    let (status, body, left, stays) = read(answer, answer.len()).expect("an answer");
    for piece in 1..answer.len() {
        let again = read(answer, piece).expect("an answer");
        assert_eq!(again, (status, body.clone(), left.clone(), stays), "in pieces of {piece}");
    }
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.as_u16(), text(body), text(left), stays)
}

fn answered(head: &str, body: &str) -> (u16, String, String, bool) {
    cut_everywhere(format!("HTTP/1.1 {head}\r\n\r\n{body}").as_bytes())
}

fn refused(head: &str, body: &str) -> Malformed {
    let answer = format!("{head}\r\n\r\n{body}");
    let refused = read(answer.as_bytes(), answer.len()).expect_err(&answer);
    assert_eq!(read(answer.as_bytes(), 1), Err(refused.clone()), "{answer}");
    refused
}

fn told(status: u16, body: &str, left: &str, stays: bool) -> (u16, String, String, bool) {
    (status, body.to_owned(), left.to_owned(), stays)
}

#[test]
fn a_body_ends_where_its_head_says() {
    assert_eq!(answered("200 OK\r\ncontent-length: 5", "helloX"), told(200, "hello", "X", true));
    assert_eq!(answered("200 OK\r\ncontent-length: 5, 5", "hello"), told(200, "hello", "", true));
    assert_eq!(answered("204 No Content", "X"), told(204, "", "X", true));
    assert_eq!(answered("304 Not Modified\r\ncontent-length: 9", ""), told(304, "", "", true));
    assert_eq!(answered("200 OK", "to the end"), told(200, "to the end", "", false));
    assert_eq!(answered("200", "no reason"), told(200, "no reason", "", false));
}

#[test]
fn chunks_are_put_together() {
    let chunked = "200 OK\r\nTransfer-Encoding: Chunked";
    assert_eq!(answered(chunked, "5\r\nhello\r\n0\r\n\r\n"), told(200, "hello", "", true));
    assert_eq!(
        answered(chunked, "5;a=\"b\"\r\nhello\r\n00B \r\n, my world\n\r\n0;z\r\n\r\nX"),
        told(200, "hello, my world\n", "X", true)
    );
    assert_eq!(
        answered(chunked, "1\r\n\r\r\n0\r\nx-sum: 1\r\ny: 2\r\n\r\n"),
        told(200, "\r", "", true)
    );
}

#[test]
fn what_stands_before_an_answer_is_passed_over() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                  HTTP/1.1 429 Slow down\r\ncontent-length: 0\r\nretry-after: 3\r\n\r\n";
    assert_eq!(cut_everywhere(answer.as_bytes()), told(429, "", "", true));
    let whole = Bytes::from_static(answer.as_bytes());
    let (head, begin) = read_head(&whole).expect("well formed").expect("whole");
    assert_eq!(begin, whole.len());
    assert_eq!(head.answer.headers().get("link"), None);
    assert_eq!(head.answer.headers().get("retry-after"), Some(&HeaderValue::from_static("3")));
}

#[test]
fn headers_that_nobody_asks_for_are_left_out() {
    let answer = "HTTP/1.1 200 OK\r\nX-Ratelimit-Limit-Requests: 9\r\nContent-Type: text/plain\r\nset-cookie: a\r\n\
                  Retry-After-MS: 5\r\ncontent-length: 0\r\nX-Should-Retry: false\r\n\r\n";
    let (head, _) = read_head(&answer.into()).expect("well formed").expect("whole");
    let kept: Vec<_> = head.answer.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(kept, ["content-type", "retry-after-ms", "content-length", "x-should-retry"]);
}

#[test]
fn a_connection_stays_unless_somebody_says_otherwise() {
    let stays = |head: &str| cut_everywhere(format!("{head}\r\n\r\n").as_bytes()).3;
    assert!(stays("HTTP/1.1 200 OK\r\ncontent-length: 0"));
    assert!(!stays("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: Close"));
    assert!(!stays("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x, close"));
    assert!(!stays("HTTP/1.0 200 OK\r\ncontent-length: 0"));
    assert!(stays("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive"));
    // Two lengths: the chunks count, and nothing follows.
    let both = "200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked";
    assert_eq!(answered(both, "1\r\na\r\n0\r\n\r\n"), told(200, "a", "", false));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked";
    for body in [
        "\r\nhello\r\n0\r\n\r\n",
        "x\r\nhello",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "10000000000000000\r\nhello",
        "0\r\nX\rY\r\n\r\n",
    ] {
        assert_eq!(refused(chunked, body), Malformed::Chunk, "{body:?}");
    }
    for length in ["5, 6", "5\r\ncontent-length: 6", "+5", "", "5 5", "99999999999999999999"] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}");
        assert_eq!(refused(&head, "hello"), Malformed::Length, "{length:?}");
    }
    for encoding in ["gzip", "gzip, chunked", "chunked\r\ntransfer-encoding: chunked"] {
        let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {encoding}");
        assert_eq!(refused(&head, ""), Malformed::Encoding, "{encoding:?}");
    }
    assert_eq!(refused("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked", ""), Malformed::Encoding);
    assert_eq!(refused("HTTP/1.1 101 Switching Protocols\r\nupgrade: x", ""), Malformed::Upgrade);
    assert!(matches!(refused("HTTP/2 200 OK", ""), Malformed::Head(_)));
    assert!(matches!(refused("HTTP/1.1 200 OK\r\nno colon", ""), Malformed::Head(_)));
    assert!(matches!(refused("HTTP/1.1 200 OK\r\na : b", ""), Malformed::Head(_)));
    assert_eq!(refused("HTTP/1.1 099 Odd", ""), Malformed::Header);
}

#[test]
fn heads_and_what_is_beside_content_have_an_end() {
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_LIMIT_BYTES));
    assert_eq!(read_head(&Bytes::from(long)).expect_err("too long"), Malformed::LongHead);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert!(matches!(read_head(&Bytes::from(many)), Err(Malformed::Head(_))));

    let fits = format!("1;{}\r\na\r\n0\r\n{}\r\n", "x".repeat(9_000), "a: b\r\n".repeat(1_000));
    let mut decoder = Decoder::chunked();
    assert_eq!(decoder.decode(fits.as_bytes(), &mut Vec::new()), Ok(fits.len()));
    assert!(decoder.is_over());
    for long in [format!("1;{}", "x".repeat(17_000)), format!("0\r\n{}", "a: b\r\n".repeat(4_000))]
    {
        let decoded = Decoder::chunked().decode(long.as_bytes(), &mut Vec::new());
        assert_eq!(decoded, Err(Malformed::Aside));
    }
}

#[test]
fn a_head_says_how_long_the_body_is() {
    let head = |method, length| {
        let mut head = HeadWriter::new(&method, "/v1/chat?a=b");
        head.header(&header::HOST, &HeaderValue::from_static("localhost"));
        String::from_utf8(head.end(length)).expect("ASCII")
    };
    let begin = "POST /v1/chat?a=b HTTP/1.1\r\nhost: localhost\r\n";
    assert_eq!(head(Method::POST, Some(2)), format!("{begin}content-length: 2\r\n\r\n"));
    assert_eq!(head(Method::POST, Some(0)), format!("{begin}content-length: 0\r\n\r\n"));
    assert!(head(Method::GET, None).ends_with("host: localhost\r\n\r\n"));
}

/// What becomes of an answer that comes in two pieces, however it ends.
fn outcome(answer: &[u8], cut: usize) -> Result<Option<(Vec<u8>, Decoder, usize)>, Malformed> {
    let (first, second) = answer.split_at(cut);
    Ok(feed([first, second])?.map(|(head, content, used)| (content, head.body, used)))
}

#[test]
fn damaged_answers_are_read_alike_however_they_come() {
    let answers: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nx-a: b\r\n\r\nhello, world",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1f\r\n, worlds that are much longer!!!\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 No\r\nconnection: keep-alive\r\n\r\nbusy",
    ];
    let mut state: u64 = 7;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut refused = 0;
    for round in 0..30_000 {
        let mut answer = answers[round % answers.len()].to_vec();
        for _ in 0..random(4) {
            let at = random(answer.len());
            match random(4) {
                0 => answer[at] = b"\r\n:; 0aF,\x00\xff"[random(11)],
                1 => answer.insert(at, b"\r\n:; 0aF,\x00\xff"[random(11)]),
                2 if answer.len() > 1 => drop(answer.remove(at)),
                _ => answer.truncate(at + 1),
            }
        }
        let whole = outcome(&answer, answer.len());
        let cut = random(answer.len() + 1);
        assert_eq!(
            outcome(&answer, cut),
            whole,
            "cut at {cut}: {:?}",
            answer.escape_ascii().to_string()
        );
        if let Ok(Some((content, _, used))) = &whole {
            assert!(*used <= answer.len() && content.len() <= answer.len());
        }
        refused += usize::from(whole.is_err());
    }
    assert!((3_000..27_000).contains(&refused), "{refused} were refused, which tests little");
}
