//! A way to a database server that can be cut and mended.

use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::books::Books;

pub(crate) struct Cable {
    /// What ends every connection; none where the cable is cut.
    open: Arc<Mutex<Option<CancellationToken>>>,
}

impl Cable {
    /// A cable to the server of these books, and the URL of the books by way of it.
    pub(crate) async fn to(books: &Books) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (scheme, rest) = books.url.split_once("://").expect("a URL");
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let (server, database) = rest.split_once('/').expect("a database");
        let at = if user.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{user}{at}{address}/{database}");
        let cable = Self { open: Arc::new(Mutex::new(Some(CancellationToken::new()))) };
        let (open, server) = (Arc::clone(&cable.open), server.to_owned());
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let Some(end) = open.lock().expect("no panic").clone() else { continue };
                let server = server.clone();
                connections.spawn(async move {
                    let mut far = TcpStream::connect(server).await.expect("the server");
                    let _ = end.run_until_cancelled(copy_bidirectional(&mut near, &mut far)).await;
                });
            }
        });
        (cable, url)
    }

    /// Breaks every connection and lets none through from now on.
    pub(crate) fn cut(&self) {
        if let Some(open) = self.open.lock().expect("no panic").take() {
            open.cancel();
        }
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        *self.open.lock().expect("no panic") = Some(CancellationToken::new());
    }
}
