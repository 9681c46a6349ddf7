//! Providers over TLS: the certificate counts, and a private authority can be trusted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, version};

use crate::app::{Answer, App, Start, are_free};
use crate::books::Books;
use crate::chat::say;

/// An authority of our own.
pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("a certificate")
}

/// How a server of that name proves itself.
fn server(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    protocols: &[&str],
) -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    let mut config = config.expect("a configuration");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A server of TLS with a certificate of an authority that nobody else knows.
pub(crate) async fn stranger() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = server(&authority(), "localhost", &[]);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust it says no more.
            drop(acceptor.accept(stream).await);
        }
    });
    (format!("https://localhost:{port}/v1"), tasks)
}

/// A program whose OpenAI is behind a server of TLS.
struct Behind {
    app: App,
    /// The protocol agreed on with each connection.
    agreed: mpsc::UnboundedReceiver<String>,
    _tasks: JoinSet<()>,
}

impl Behind {
    /// `trusted` is the authority that the program is told to trust.
    async fn start(acceptor: TlsAcceptor, trusted: &CertifiedIssuer<'static, KeyPair>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let books = Books::sqlite();
        let file = books.folder.path().join("authority.pem");
        std::fs::write(&file, trusted.pem()).expect("written");
        let start = Start::default()
            .set("OPENAI_BASE_URL", format!("https://localhost:{port}/v1"))
            .set("SSL_CERT_FILE", file.to_str().expect("text"));
        let app = App::start_on(books, start).await;
        let (tell, agreed) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(pass_on(listener, acceptor, app.simulator.addr(), tell));
        Self { app, agreed, _tasks: tasks }
    }

    async fn chat(&self) -> Answer {
        Answer::of(self.app.chat(&say("openai", "gpt-4o", "Hello"))).await
    }
}

/// Takes TLS off and passes the rest on.
async fn pass_on(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    to: SocketAddr,
    tell: mpsc::UnboundedSender<String>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, tell) = (acceptor.clone(), tell.clone());
        connections.spawn(async move {
            // Who does not like the certificate goes away.
            let Ok(mut inside) = acceptor.accept(stream).await else { return };
            let protocol = inside.get_ref().1.alpn_protocol().unwrap_or_default();
            let protocol = String::from_utf8_lossy(protocol).into_owned();
            let mut outside = TcpStream::connect(to).await.expect("the simulator");
            tell.send(protocol).expect("somebody listens");
            let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
        });
    }
}

#[tokio::test]
async fn a_private_authority_that_is_trusted() {
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1"), (&[], "")]
    {
        let authority = authority();
        let mut behind = Behind::start(server(&authority, "localhost", offered), &authority).await;
        for _ in 0..3 {
            let answer = behind.chat().await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        assert_eq!(behind.agreed.recv().await.as_deref(), Some(agreed));
        assert!(behind.agreed.try_recv().is_err(), "one connection serves all");
        assert_eq!(behind.app.close().await.len(), 3);
    }
}

#[tokio::test]
async fn a_certificate_that_proves_nothing() {
    let (known, stranger) = (authority(), authority());
    for (acceptor, why) in [
        (server(&stranger, "localhost", &["h2"]), "signed by somebody else"),
        (server(&known, "example.org", &["h2"]), "another's name"),
    ] {
        let behind = Behind::start(acceptor, &known).await;
        let answer = behind.chat().await;
        assert_eq!((answer.status, answer.code()), (502, "upstream_unavailable"), "{why}");
        assert_eq!(answer.message(), "openai gave no usable answer: no connection", "{why}");
        assert_eq!(behind.app.simulator.count(), 0, "{why}");
        let receipts = behind.app.close().await;
        assert!(are_free(&receipts) && receipts.len() == 1, "{receipts:?}");
    }
}
