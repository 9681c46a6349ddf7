use std::future::poll_fn;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Method, Response};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::http1::HeadWriter;
use super::{Line, LineError, Unanswered};

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A connection, and its other end.
async fn connected() -> (Box<Line>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).await;
    let (far, _) = listener.accept().await.expect("a connection");
    (Line::open(MaybeHttpsStream::Http(TokioIo::new(near.expect("a connection")))), far)
}

/// Sends a request with a body of so many bytes.
async fn post(line: &mut Line, length: usize) -> Result<Response<()>, Unanswered<LineError>> {
    let head = HeadWriter::new(&Method::POST, "/").end(Some(length));
    line.send(head, Bytes::from(vec![b'x'; length])).await
}

/// Reads a request with a body of so many bytes at the other end.
async fn take(far: &mut TcpStream, length: usize) -> String {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() == length) {
            return text;
        }
        assert_ne!(far.read_buf(&mut seen).await.expect("a request"), 0, "it ended: {text}");
    }
}

async fn give(far: &mut TcpStream, bytes: &str) {
    far.write_all(bytes.as_bytes()).await.expect("the connection stands");
}

async fn rest(line: &mut Line) -> Result<String, LineError> {
    let mut body = Vec::new();
    while let Some(piece) = poll_fn(|context| line.poll_body(context)).await {
        body.extend(piece?);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Waits until what the other end has done can be seen on this one.
async fn not_idle(line: &mut Line) {
    while line.is_idle() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_request_follows_another() {
    let (mut line, mut far) = connected().await;
    for body in ["one", "another"] {
        let (answer, ()) = tokio::join!(post(&mut line, body.len()), async {
            let asked = take(&mut far, body.len()).await;
            assert!(asked.starts_with("POST / HTTP/1.1\r\ncontent-length: "), "{asked}");
            let head = "HTTP/1.1 201 Made\r\ntransfer-encoding: chunked\r\n\r\n";
            give(&mut far, &format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
        });
        assert_eq!(answer.expect("an answer").status(), 201);
        assert!(!line.is_idle(), "its body is not taken");
        assert_eq!(rest(&mut line).await.expect("a body"), body);
        assert!(line.is_idle());
    }
}

/// More than the sockets take, so that most of it is still here.
#[tokio::test]
async fn an_answer_may_come_before_the_request_is_sent() {
    let (mut line, mut far) = connected().await;
    let answer = "HTTP/1.1 413 Too much\r\ncontent-length: 4\r\n\r\nstop";
    let (answered, ()) = tokio::join!(post(&mut line, 32 << 20), give(&mut far, answer));
    assert_eq!(answered.expect("an answer").status(), 413);
    // Whoever refuses it reads no further.
    assert_eq!(rest(&mut line).await.expect("a body"), "stop");
    assert!(!line.is_idle(), "half a request is on its way");
}

#[tokio::test]
async fn what_never_left_is_told_apart() {
    let (mut line, far) = connected().await;
    drop(far);
    not_idle(&mut line).await;

    let (mut line, mut far) = connected().await;
    let (answer, ()) = tokio::join!(post(&mut line, 3), async {
        take(&mut far, 3).await;
        far.shutdown().await.expect("the connection stands");
    });
    let Err(Unanswered { error: LineError::Cut, unsent: false }) = answer else {
        panic!("{answer:?}");
    };
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_body() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let (mut line, mut far) = connected().await;
        let (answered, ()) = tokio::join!(post(&mut line, 0), async {
            take(&mut far, 0).await;
            give(&mut far, answer).await;
            drop(far);
        });
        answered.expect("a head");
        let broken = rest(&mut line).await;
        assert!(matches!(broken, Err(LineError::Cut | LineError::Io(_))), "{broken:?}");
    }
    let (mut line, mut far) = connected().await;
    let (answered, ()) = tokio::join!(post(&mut line, 0), async {
        take(&mut far, 0).await;
        give(&mut far, "HTTP/1.1 200 OK\r\n\r\nuntil it is closed").await;
        drop(far);
    });
    answered.expect("a head");
    assert_eq!(rest(&mut line).await.expect("a body"), "until it is closed");
    assert!(!line.is_idle());
}

#[tokio::test]
async fn what_nobody_asked_for_ends_a_connection() {
    for answer in [format!("{EMPTY}more"), format!("{EMPTY}{EMPTY}"), close(EMPTY)] {
        let (mut line, mut far) = connected().await;
        let (answered, ()) = tokio::join!(post(&mut line, 0), give(&mut far, &answer));
        assert_eq!(answered.expect("a head").status(), 200);
        assert_eq!(rest(&mut line).await.expect("a body"), "");
        not_idle(&mut line).await;
    }
    let (mut line, mut far) = connected().await;
    assert!(line.is_idle());
    give(&mut far, EMPTY).await;
    not_idle(&mut line).await;
}

fn close(answer: &str) -> String {
    answer.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
}
