//! Applies a fault to an answer. The faults of time before an answer are not applied here.

use std::num::NonZeroUsize;

use bytes::Bytes;

use crate::answer::{Answer, Body, errors};
use crate::body::Ending;
use crate::fault::Fault;
use crate::provider::Provider;
use crate::stream::Stream;

/// Replaces or changes an answer as the fault says; `shape` is the provider whose errors it has.
pub(crate) fn spoil(mut answer: Answer, shape: Provider, fault: Fault) -> Answer {
    match fault {
        Fault::Delay(_) | Fault::Hang => return answer,
        Fault::Status(status) => return errors::on_demand(shape, status),
        Fault::RateLimited { retry_after_seconds } => {
            return errors::rate_limited(shape, retry_after_seconds);
        }
        Fault::Garbage => return Answer::of(200, "{\"id\":\"garbage\",\"choices\":[{\"mess"),
        Fault::NoUsage => return answer.without_usage(),
        Fault::Slow(gap) => {
            answer.manner.gap = gap;
            return answer;
        }
        Fault::Pieces(bytes) => {
            answer.manner.piece = NonZeroUsize::new(bytes);
            return answer;
        }
        _ => {}
    }
    match answer.body {
        Body::Whole(bytes) => {
            answer.body = Body::Whole(Bytes::new());
            spoil_whole(answer, &bytes, shape, fault)
        }
        Body::Stream(mut stream) => {
            answer.manner.ending = spoil_stream(&mut stream, fault);
            answer.body = Body::Stream(stream);
            answer
        }
        Body::Canned(canned) => {
            let mut stream = canned.stream.clone();
            answer.manner.ending = spoil_stream(&mut stream, fault);
            answer.body = Body::Stream(Box::new(stream));
            answer
        }
    }
}

/// A whole answer is one event: what happens after one event does not touch it.
fn spoil_whole(mut answer: Answer, bytes: &Bytes, shape: Provider, fault: Fault) -> Answer {
    // A body that is cut does not know its length, and its length is what makes the cut visible.
    let mut stop_at = |end: usize, ending: Ending| {
        answer.manner.promised = NonZeroUsize::new(bytes.len());
        answer.manner.ending = ending;
        bytes.slice(..end)
    };
    let body = match fault {
        Fault::Cut | Fault::TearAfter(0) => stop_at(bytes.len() / 2, Ending::Cut),
        Fault::CutAfter(0) => stop_at(0, Ending::Cut),
        Fault::HangAfter(0) => stop_at(0, Ending::Hang),
        Fault::ErrorAfter(0) => return errors::on_demand(shape, 500),
        Fault::GarbageAfter(0) => return spoil(answer, shape, Fault::Garbage),
        Fault::Empty => return Answer::of(200, ""),
        Fault::KeepAlive(times) => {
            let mut text = vec![b'\n'; times];
            text.extend_from_slice(bytes);
            text.into()
        }
        _ => bytes.clone(),
    };
    answer.body = Body::Whole(body);
    answer
}

fn spoil_stream(stream: &mut Stream, fault: Fault) -> Ending {
    match fault {
        Fault::Cut => {
            stream.frames.truncate(stream.frames.len() / 2);
            Ending::Cut
        }
        Fault::CutAfter(events) => {
            stream.frames.truncate(events);
            Ending::Cut
        }
        Fault::TearAfter(events) => {
            stream.frames.truncate(events.saturating_add(1));
            if let Some(torn) = stream.frames.get_mut(events) {
                torn.truncate(torn.len() / 2);
            }
            Ending::Cut
        }
        Fault::HangAfter(events) => {
            stream.frames.truncate(events);
            Ending::Hang
        }
        Fault::ErrorAfter(events) => {
            stream.fail_after(events);
            Ending::Whole
        }
        Fault::GarbageAfter(events) => {
            stream.garble_after(events);
            Ending::Whole
        }
        Fault::Unterminated => {
            stream.without_end();
            Ending::Whole
        }
        Fault::KeepAlive(times) => {
            stream.keep_alive(times);
            Ending::Whole
        }
        Fault::Empty => {
            stream.frames.clear();
            Ending::Whole
        }
        _ => Ending::Whole,
    }
}
