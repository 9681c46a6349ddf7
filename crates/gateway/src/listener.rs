//! The door: opened at an address, or taken over from whoever has opened it; closed so that nobody who knocked is lost.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::app::App;
use crate::config;

/// Connections that may wait to be taken.
const BACKLOG: u32 = 1_024;
/// How long nobody is let in when a connection could not be accepted.
const NO_FILES: Duration = Duration::from_millis(50);
/// What may wait in the kernel that the client has no room for, in bytes.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// A listener, and whose it is.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    /// Who has opened it keeps it open: nobody who waits there is lost when this process goes.
    inherited: bool,
}

/// A door that systemd has opened, or else one at the address of the settings.
pub(crate) fn listen(app: &App) -> anyhow::Result<(Door, SocketAddr)> {
    if let Some(inherited) = config::inherited()? {
        inherited.set_nonblocking(true)?;
        keep_little(&SockRef::from(&inherited));
        let listener = TcpListener::from_std(inherited)?;
        let address = listener.local_addr()?;
        return Ok((Door { listener, inherited: true }, address));
    }
    let wanted = SocketAddr::new(app.settings.host, app.settings.port);
    let listener = bind(wanted, app.settings.network.reuse_port)
        .map_err(|error| anyhow::anyhow!("cannot listen on {wanted}: {error}"))?;
    let address = listener.local_addr()?;
    Ok((Door { listener, inherited: false }, address))
}

/// Opens any free port, where that of the settings is taken.
pub(crate) fn listen_anywhere(app: &App) -> anyhow::Result<(Door, SocketAddr)> {
    let listener = bind(SocketAddr::new(app.settings.host, 0), false)?;
    let address = listener.local_addr()?;
    Ok((Door { listener, inherited: false }, address))
}

pub(crate) fn bind(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if shared {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    keep_little(&SockRef::from(&listener));
    Ok(listener)
}

/// Of what its client does not read yet, the kernel would keep megabytes for every connection.
#[cfg(target_os = "linux")]
fn keep_little(listener: &SockRef<'_>) {
    // Whoever comes by it inherits that.
    if let Err(error) = listener.set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, "the kernel keeps as much for each connection as it likes");
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_little(_: &SockRef<'_>) {}

/// Whoever comes next.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                // Mostly there is no file left for it, which takes a while to change.
                if !matches!(error.kind(), ErrorKind::ConnectionAborted) {
                    sleep(NO_FILES).await;
                }
            }
        }
    }
}

impl Door {
    /// Closes it, and returns those who had come before: dropped with it, their connections would be reset.
    pub(crate) fn close(self) -> Vec<(TcpStream, SocketAddr)> {
        let mut waiting = Vec::new();
        if self.inherited {
            return waiting;
        }
        let Ok(listener) = self.listener.into_std() else { return waiting };
        // From here on as good as nobody new may wait: who knocks again finds another process, if there is one.
        if let Err(error) = rustix::net::listen(&listener, 0) {
            tracing::debug!(%error, "clients may still come while the door closes");
        }
        while let Some((stream, peer)) = next(&listener) {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                waiting.push((stream, peer));
            }
        }
        waiting
    }
}

/// The next who waits.
fn next(listener: &StdListener) -> Option<(std::net::TcpStream, SocketAddr)> {
    loop {
        match listener.accept() {
            Ok(accepted) => return Some(accepted),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                ) => {}
            Err(_) => return None,
        }
    }
}
