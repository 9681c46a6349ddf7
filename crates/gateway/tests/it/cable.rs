//! A way to a database server that can be cut and mended.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::books::Books;

/// Connections that may wait to be taken.
const BACKLOG: u32 = 128;

pub(crate) struct Cable {
    /// What ends every connection; none where the cable is cut.
    open: Arc<Mutex<Option<CancellationToken>>>,
    address: SocketAddr,
    /// Where the server is.
    server: String,
    taking: JoinHandle<()>,
    /// Keeps the port while nobody listens there.
    kept: Option<TcpSocket>,
}

impl Cable {
    /// A cable to the server of these books, and the URL of the books by way of it.
    pub(crate) fn to(books: &Books) -> (Self, String) {
        let socket = socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = socket.local_addr().expect("an address");
        let (scheme, rest) = books.url.split_once("://").expect("a URL");
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let (server, database) = rest.split_once('/').expect("a database");
        let at = if user.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{user}{at}{address}/{database}");
        let open = Arc::new(Mutex::new(Some(CancellationToken::new())));
        let server = server.to_owned();
        let taking = take(socket, Arc::clone(&open), server.clone());
        (Self { open, address, server, taking, kept: None }, url)
    }

    /// Breaks every connection and lets none through from now on.
    pub(crate) fn cut(&self) {
        if let Some(open) = self.open.lock().expect("no panic").take() {
            open.cancel();
        }
    }

    /// The same, as a server that was stopped: whoever knocks is refused.
    pub(crate) async fn stop(&mut self) {
        self.cut();
        self.kept = Some(socket(self.address));
        self.taking.abort();
        let ended = (&mut self.taking).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "it has taken to the end");
    }

    /// Lets connections through again.
    pub(crate) fn mend(&mut self) {
        *self.open.lock().expect("no panic") = Some(CancellationToken::new());
        if let Some(socket) = self.kept.take() {
            self.taking = take(socket, Arc::clone(&self.open), self.server.clone());
        }
    }
}

/// A socket with that address, on which nobody listens yet. Two may have it at the same time.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.set_reuseport(true).expect("an option");
    socket.bind(address).expect("a port");
    socket
}

/// Takes connections as long as the cable is open.
fn take(
    socket: TcpSocket,
    open: Arc<Mutex<Option<CancellationToken>>>,
    server: String,
) -> JoinHandle<()> {
    let listener = socket.listen(BACKLOG).expect("a listener");
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let Some(end) = open.lock().expect("no panic").clone() else { continue };
            connections.spawn(carry(near, server.clone(), end));
        }
    })
}

async fn carry(mut near: TcpStream, server: String, end: CancellationToken) {
    let mut far = TcpStream::connect(server).await.expect("the server");
    // A cable keeps nothing back: without this, every statement would wait 40 ms for the word that its first half came.
    for side in [&near, &far] {
        side.set_nodelay(true).expect("an option");
    }
    let _ = end.run_until_cancelled(copy_bidirectional(&mut near, &mut far)).await;
}
