//! Keys and fingerprints, and claims and what they end in, on a store of their own.

use bytes::Bytes;
use http::HeaderValue;
use store::{IdempotencyKey, Refusal};

use super::capture::MOST_BYTES;
use super::*;
use crate::answer::{Answer, AnswerBody};

#[test]
fn a_key_is_visible_ascii() {
    let of = |values: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value).expect("a value");
            headers.append(IDEMPOTENCY_KEY, value);
        }
        name(&headers)
    };
    assert_eq!(of(&[]).expect("none"), None);
    for good in ["a", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", &"~".repeat(255)] {
        assert_eq!(of(&[good.as_bytes()]).expect(good).as_deref(), Some(good));
    }
    let long = "a".repeat(256);
    for bad in [&b""[..], b"a b", b"a\tb", "\u{e9}".as_bytes(), b"\xff", long.as_bytes()] {
        let problem = of(&[bad]).expect_err("bad");
        assert_eq!(problem.status, StatusCode::BAD_REQUEST);
        assert!(problem.message.starts_with("idempotency-key: "), "{}", problem.message);
    }
    assert!(of(&[b"a", b"a"]).is_err(), "twice");
}

#[test]
fn another_request_has_another_fingerprint() {
    let of = |path, query, body: &'static str| {
        digest(&Method::POST, path, query, &Bytes::from_static(body.as_bytes()))
    };
    let all = [
        of("/v1/a", "", "{}"),
        of("/v1/b", "", "{}"),
        of("/v1/a", "alt=sse", "{}"),
        of("/v1/a", "", "{ }"),
        of("/v1/a", "{}", ""),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[..index].contains(one), "{index}");
    }
    assert_eq!(all[0], of("/v1/a", "", "{}"));
}

#[test]
fn a_retry_waits_as_long_again() {
    let start = 1_800_000_000_000_000;
    let running = Refusal::Running { expires_at: start + KEPT_FOR };
    for (seconds, wait) in [(-3, 1), (0, 1), (1, 1), (7, 7), (30, 30), (900, 30)] {
        let problem = told(running, start + seconds * 1_000_000);
        assert_eq!((problem.status, problem.retry_after), (StatusCode::CONFLICT, Some(wait)));
    }
}

/// A store, and the claims of a process on it.
struct Books {
    store: Store,
    keys: Arc<Keys>,
    tasks: TaskTracker,
    _folder: tempfile::TempDir,
}

impl Books {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let store = Store::open(&url, 1).await.expect("a store");
        store.migrate(0).await.expect("tables");
        let tasks = TaskTracker::new();
        let keys = Keys::new(&store, Uuid::from_u128(1), &tasks);
        Self { store, keys, tasks, _folder: folder }
    }

    async fn wish(&self, number: u128, held_until: i64, now: i64) -> Claimed {
        let new = NewClaim {
            key: key(),
            fingerprint: [0; 32],
            request_id: Uuid::from_u128(number),
            replica: Uuid::from_u128(1),
            held_until,
            expires_at: i64::MAX,
        };
        self.store.claim(&new, now).await.expect("the store")
    }

    /// A claim that is granted, held until `held_until`.
    async fn claim(&self, number: u128, held_until: i64) -> Claim {
        assert_eq!(self.wish(number, held_until, 0).await, Claimed::Granted);
        Claim::new(Arc::clone(&self.keys), key(), Uuid::from_u128(number))
    }
}

fn key() -> IdempotencyKey {
    IdempotencyKey { key_id: Uuid::from_u128(7), name: "name".to_owned() }
}

#[tokio::test]
async fn what_is_worked_on_is_held() {
    let books = Books::new().await;
    let now = clock::now();
    let claim = books.claim(2, now).await;
    books.keys.look().await.expect("the store");
    let later = now + HELD_FOR - 1;
    let running = Claimed::Refused(Refusal::Running { expires_at: i64::MAX });
    assert_eq!(books.wish(3, i64::MAX, later).await, running);
    // What is not worked on is given up, however that came.
    drop(claim);
    books.tasks.close();
    books.tasks.wait().await;
    assert!(books.keys.live().is_empty());
    assert_eq!(books.wish(4, i64::MAX, later).await, Claimed::Granted);
}

#[tokio::test]
async fn what_has_expired_is_looked_for() {
    let books = Books::new().await;
    for number in 0..40 {
        let new = NewClaim {
            key: IdempotencyKey { name: format!("old {number}"), ..key() },
            fingerprint: [0; 32],
            request_id: Uuid::from_u128(number),
            replica: Uuid::from_u128(1),
            held_until: 5,
            expires_at: 5,
        };
        assert_eq!(books.store.claim(&new, 4).await.expect("the store"), Claimed::Granted);
    }
    books.keys.look().await.expect("the store");
    assert_eq!(books.store.forget_results(i64::MAX, 99).await.expect("the store"), 0);
}

fn stream() -> Answer {
    Answer::streamed(HeaderValue::from_static("text/event-stream"))
}

/// Up to the last byte it is kept, and past it said not to be.
#[tokio::test]
async fn a_stream_is_kept_up_to_a_size() {
    let half = Bytes::from(vec![b'a'; MOST_BYTES / 2]);
    for more in ["", "b"] {
        let books = Books::new().await;
        let capture = Capture::new(books.claim(2, i64::MAX).await);
        capture.answer(&stream());
        for piece in [&half, &half, &Bytes::from(more)] {
            capture.piece(piece);
        }
        capture.end(Some("0.01")).await;
        match books.wish(3, i64::MAX, 1).await {
            Claimed::Done(kept) if more.is_empty() => {
                assert_eq!((kept.body.len(), kept.streamed), (MOST_BYTES, true));
                assert_eq!(kept.cost.as_deref(), Some("0.01"));
            }
            Claimed::Refused(Refusal::TooLarge(id)) if !more.is_empty() => {
                assert_eq!(id, Uuid::from_u128(2));
            }
            other => panic!("{more:?}: {other:?}"),
        }
        assert!(books.keys.live().is_empty());
    }
}

/// No head, a broken stream, a status of failure: none of them is an answer.
#[tokio::test]
async fn what_is_no_answer_is_given_up() {
    let books = Books::new().await;
    for case in 0..3 {
        let capture = Capture::new(books.claim(2, i64::MAX).await);
        match case {
            0 => {}
            1 => {
                capture.answer(&stream());
                capture.broke_off();
            }
            _ => {
                let body = AnswerBody::Whole(Bytes::new());
                let mut answer = Answer::new(body, HeaderValue::from_static("text/plain"));
                answer.status = StatusCode::BAD_GATEWAY;
                capture.answer(&answer);
            }
        }
        capture.end(None).await;
        let free = books.wish(3, 0, 1).await;
        assert_eq!(free, Claimed::Granted, "case {case}");
        books.store.give_up_claim(&key(), Uuid::from_u128(3)).await.expect("the store");
    }
}
