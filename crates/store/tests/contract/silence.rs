//! A PostgreSQL that is there and does not answer: what others have locked, and connections that have fallen silent.

use std::future::pending;
use std::time::Duration;

use ledger::Usd;
use sqlx::{Connection as _, PgConnection};
use store::{Store, StoreError};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::common::{TestDatabase, id};
use crate::money::{ACCOUNT, Books, NOW, credit_of, usd};

const BOUND: Duration = Duration::from_millis(900);

/// Ada's books with credit, a connection that has locked her account, and the store of a server.
struct Locked {
    books: Books,
    store: Store,
    locker: PgConnection,
    relay: Relay,
}

impl Locked {
    async fn new(name: &str) -> Option<Self> {
        let books = Books::open(TestDatabase::postgres(name).await?).await;
        books.add_credit(100, 1_000, None).await;
        let mut locker = PgConnection::connect(&books.database.url).await.unwrap();
        let lock = "BEGIN; SELECT 1 FROM tollgate.ledger_accounts FOR UPDATE";
        sqlx::raw_sql(lock).execute(&mut locker).await.unwrap();
        let relay = Relay::new(&books.database.url).await;
        let store = Store::open(&relay.url, 2).await.unwrap().bounded(BOUND);
        Some(Self { books, store, locker, relay })
    }

    async fn grant(&self) -> Result<Usd, StoreError> {
        let (replica, scope) = (self.books.replica, credit_of(ACCOUNT));
        let grant = self.store.grant(replica, self.books.epoch, scope, usd(5), usd(5), NOW).await;
        grant.map(|grant| grant.granted)
    }

    async fn close(self) {
        self.store.close().await;
        self.locker.close().await.unwrap();
        self.books.close().await;
    }
}

/// Passes connections on to a server, as long as it is not dropped.
struct Relay {
    url: String,
    frozen: watch::Sender<()>,
    _work: JoinSet<()>,
}

impl Relay {
    async fn new(url: &str) -> Self {
        let (head, name) = url.rsplit_once('/').unwrap();
        let (user, server) = head.rsplit_once('@').unwrap();
        let (listener, server) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), server.to_owned());
        let url = format!("{user}@{}/{name}", listener.local_addr().unwrap());
        let (frozen, freeze) = watch::channel(());
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut passing = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server).await.unwrap();
                let mut freeze = freeze.clone();
                freeze.mark_unchanged();
                passing.spawn(pass(client, server, freeze));
            }
        });
        Self { url, frozen, _work: work }
    }

    /// The connections that there are pass nothing more, and stay open.
    fn freeze(&self) {
        self.frozen.send(()).unwrap();
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, mut freeze: watch::Receiver<()>) {
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = freeze.changed() => pending().await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_locked_is_not_waited_for_without_end() {
    let Some(mut locked) = Locked::new("locked").await else { return };
    let error = locked.grant().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut locked.locker).await.unwrap();
    assert_eq!(locked.grant().await.unwrap(), usd(5));
    assert_eq!(locked.books.balance().await, (1_000, 5));
    locked.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_is_given_up() {
    let Some(mut locked) = Locked::new("silent").await else { return };
    let waits = "SELECT COUNT(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let freeze = async {
        let mut watcher = PgConnection::connect(&locked.books.database.url).await.unwrap();
        let mut waiting = 0_i64;
        while waiting == 0 {
            waiting = sqlx::query_scalar(waits).fetch_one(&mut watcher).await.unwrap();
        }
        locked.relay.freeze();
        watcher.close().await.unwrap();
    };
    let (granted, ()) = tokio::join!(locked.grant(), freeze);
    let error = granted.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut locked.locker).await.unwrap();
    // The server waits a little for what it takes for a slow client.
    let granted = loop {
        match locked.grant().await {
            Ok(granted) => break granted,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    };
    assert_eq!(granted, usd(5));
    assert!(locked.store.replica(id(50)).await.unwrap().is_some());
    locked.close().await;
}
