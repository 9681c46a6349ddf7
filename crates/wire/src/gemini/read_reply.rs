//! A whole answer is a stream of one element.

use super::stream_read::StreamReader;
use crate::collect::collect;
use crate::json::{self, Malformed};
use crate::reply::Reply;

pub(super) fn reply(body: &[u8]) -> Result<Reply, Malformed> {
    let text = json::utf8(body)?;
    // Says where an answer is not what it must be.
    super::usage::read_body(body)?;
    let events = StreamReader::default().whole(text.trim());
    let reply = events.and_then(collect);
    reply.map_err(|problem| Malformed::new("", problem.message))
}
