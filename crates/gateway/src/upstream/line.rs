//! A connection over HTTP/1.1, which runs where it is used: no task of its own stands between a request and its socket,
//! and no buffer waits for what has not come.

use std::io::{self, Cursor, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes, BytesMut};
use http::Response;
use http_body::SizeHint;
use hyper::rt::{Read as _, ReadBuf, Write as _};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::http1::{self, Decoder, Head, Malformed};

/// How much is read at once.
const READ_AT_ONCE: usize = 16 * 1024;

pub(super) type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// What went wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("the provider closed the connection before its answer was whole")]
    Cut,
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A request that has no answer.
#[derive(Debug)]
pub(super) struct Unanswered<E> {
    pub(super) error: E,
    /// Nothing of it has left this program.
    pub(super) unsent: bool,
}

/// One connection, and what is under way on it.
pub(super) struct Line {
    io: Io,
    /// What is still to be sent of the request.
    unsent: Chain<Cursor<Vec<u8>>, Bytes>,
    /// Whether any of it has been.
    begun: bool,
    /// Whether all of it has left the layer of TLS as well.
    flushed: bool,
    /// Why no more is sent. The answer may be there all the same.
    deaf: Option<io::Error>,
    /// What has come and is not taken: of a head that is not whole, or behind it.
    incoming: Bytes,
    body: Decoder,
    /// Whether the provider takes another request on it.
    stays: bool,
}

impl Line {
    pub(super) fn open(io: Io) -> Box<Self> {
        Box::new(Self {
            io,
            unsent: Cursor::default().chain(Bytes::new()),
            begun: false,
            flushed: true,
            deaf: None,
            incoming: Bytes::new(),
            body: Decoder::Length(0),
            stays: true,
        })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        head: Vec<u8>,
        body: Bytes,
    ) -> Result<Response<()>, Unanswered<LineError>> {
        self.unsent = Cursor::new(head).chain(body);
        (self.begun, self.flushed) = (false, false);
        let answer = std::future::poll_fn(|context| self.poll_head(context)).await;
        answer.map_err(|error| Unanswered { error, unsent: !self.begun })
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Response<()>, LineError>> {
        loop {
            self.push(context);
            if self.deaf.is_some() && !self.begun {
                return Poll::Ready(Err(self.cut()));
            }
            let mut bytes = BytesMut::from(std::mem::take(&mut self.incoming));
            let known = bytes.len();
            let read = read(&mut self.io, context, |come| bytes.extend_from_slice(come));
            self.incoming = bytes.freeze();
            match ready!(read) {
                Ok(()) if self.incoming.len() > known => {}
                Ok(()) => return Poll::Ready(Err(self.cut())),
                Err(error) => return Poll::Ready(Err(self.deaf.take().unwrap_or(error).into())),
            }
            if let Some((Head { answer, body, stays }, begin)) = http1::read_head(&self.incoming)? {
                self.incoming.advance(begin);
                (self.body, self.stays) = (body, stays);
                return Poll::Ready(Ok(answer));
            }
        }
    }

    /// More of the answer's body, as much as has come; nothing at its end.
    pub(super) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, LineError>>> {
        let mut content = Vec::new();
        if !self.incoming.is_empty() {
            let behind = std::mem::take(&mut self.incoming);
            let taken = take(&mut self.body, &behind, &mut content, &mut self.incoming);
            if let Err(malformed) = taken {
                return Poll::Ready(Some(Err(malformed.into())));
            }
        }
        while content.is_empty() && !self.body.is_over() {
            self.push(context);
            let mut taken = Ok(0);
            let Self { io, body, incoming, .. } = self;
            let read = read(io, context, |come| {
                taken = take(body, come, &mut content, incoming).map(|()| come.len());
            });
            match (ready!(read), taken) {
                (Err(error), _) => return Poll::Ready(Some(Err(error.into()))),
                (Ok(()), Err(malformed)) => return Poll::Ready(Some(Err(malformed.into()))),
                (Ok(()), Ok(0)) if self.body == Decoder::UntilClosed => {
                    self.body = Decoder::Length(0);
                }
                (Ok(()), Ok(0)) => return Poll::Ready(Some(Err(LineError::Cut))),
                (Ok(()), Ok(_)) => {}
            }
        }
        let content = Some(content).filter(|content| !content.is_empty());
        Poll::Ready(content.map(|content| Ok(Bytes::from(content))))
    }

    /// Whether the answer is whole, and nothing of it is left to take.
    pub(super) const fn is_over(&self) -> bool {
        self.body.is_over()
    }

    /// How much of it is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self.body {
            Decoder::Length(left) => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }

    /// Whether the connection takes another request. Looks at the socket, and waits for nothing.
    pub(super) fn is_idle(&mut self) -> bool {
        let silent = self.stays
            && self.body.is_over()
            && self.incoming.is_empty()
            && !self.unsent.has_remaining()
            && self.flushed
            && self.deaf.is_none();
        // What comes unasked, or the end of it.
        silent && read(&mut self.io, &mut Context::from_waker(Waker::noop()), |_| ()).is_pending()
    }

    /// Sends on as far as the socket takes it.
    fn push(&mut self, context: &mut Context<'_>) {
        while self.deaf.is_none() && !self.flushed {
            let polled = if self.unsent.has_remaining() {
                let mut parts = [IoSlice::new(&[]); 2];
                let count = self.unsent.chunks_vectored(&mut parts);
                let parts = parts.get(..count).unwrap_or_default();
                Pin::new(&mut self.io).poll_write_vectored(context, parts)
            } else {
                Pin::new(&mut self.io).poll_flush(context).map_ok(|()| 0)
            };
            match polled {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => self.deaf = Some(error),
                Poll::Ready(Ok(_)) if !self.unsent.has_remaining() => self.flushed = true,
                Poll::Ready(Ok(0)) => self.deaf = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(sent)) => {
                    self.begun = true;
                    self.unsent.advance(sent);
                }
            }
        }
    }

    /// Why there is no answer.
    fn cut(&mut self) -> LineError {
        self.deaf.take().map_or(LineError::Cut, LineError::Io)
    }
}

/// Takes the content of what has come, and keeps what does not belong to the answer.
fn take(
    body: &mut Decoder,
    come: &[u8],
    content: &mut Vec<u8>,
    left: &mut Bytes,
) -> Result<(), Malformed> {
    let used = body.decode(come, content)?;
    if let Some(rest @ [_, ..]) = come.get(used..) {
        *left = Bytes::copy_from_slice(rest);
    }
    Ok(())
}

/// Reads what there is, and lets `take` have it.
fn read(io: &mut Io, context: &mut Context<'_>, take: impl FnOnce(&[u8])) -> Poll<io::Result<()>> {
    let mut room = [const { MaybeUninit::uninit() }; READ_AT_ONCE];
    let mut room = ReadBuf::uninit(&mut room);
    ready!(Pin::new(io).poll_read(context, room.unfilled()))?;
    take(room.filled());
    Poll::Ready(Ok(()))
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
