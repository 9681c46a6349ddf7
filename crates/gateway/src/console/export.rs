//! Lists as sheets, read and sent page by page: nothing is kept of them, and a client that reads slowly is waited for. One at a time for each user, and a few for all, so that the pages of others do not wait for them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use store::{Paged, Place, Seek, StoreError};
use uuid::Uuid;

use super::columns::{self, Column};
use super::page::{self, told};
use crate::app::App;
use crate::problem::Problem;
use crate::web::Call;

/// Sheets under way at once, of all users together.
const MOST: usize = 2;
/// Rows that are read at once.
pub(super) const ROWS: u16 = 1_000;

/// Who has one under way.
#[derive(Default)]
pub(crate) struct Exports(Mutex<Vec<Uuid>>);

/// That one is under way, until this is gone.
struct Turn {
    app: Arc<App>,
    user: Uuid,
}

impl Turn {
    fn take(app: &Arc<App>, user: Uuid) -> Result<Self, Problem> {
        let mut under_way = app.exports.0.lock().unwrap_or_else(PoisonError::into_inner);
        let message = if under_way.contains(&user) {
            "a sheet of yours is under way; wait until it is there"
        } else if under_way.len() >= MOST {
            "others have their sheets written just now; wait a little"
        } else {
            under_way.push(user);
            return Ok(Self { app: Arc::clone(app), user });
        };
        let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_exports", message);
        problem.retry_after = Some(10);
        Err(problem)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.app.exports.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|user| *user != self.user);
    }
}

/// Some rows, and where to go on.
pub(super) type Rows<C> = (Vec<Vec<String>>, Option<C>);
type Page<C> = Pin<Box<dyn Future<Output = Result<Rows<C>, StoreError>> + Send>>;

/// A sheet under way, whose pages `read` reads.
struct Sheet<C, F> {
    read: F,
    ready: Option<Bytes>,
    page: Option<Page<C>>,
    _turn: Turn,
}

impl<C: Unpin, F: Fn(C) -> Page<C> + Unpin> http_body::Body for Sheet<C, F> {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let sheet = self.get_mut();
        if let Some(bytes) = sheet.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        while let Some(page) = &mut sheet.page {
            let page = ready!(page.as_mut().poll(context));
            sheet.page = None;
            // What breaks off here is seen to be no whole sheet.
            let (rows, next) = page?;
            sheet.page = next.map(&sheet.read);
            if !rows.is_empty() {
                let rows = page::sheet_rows(rows)?;
                return Poll::Ready(Some(Ok(Frame::data(rows.into()))));
            }
        }
        Poll::Ready(None)
    }
}

/// The sheet of that name: what stands above its columns, its first rows, and those that `read` reads from each place on.
pub(super) async fn sheet<C, F, P>(
    call: &Call,
    name: &str,
    head: Vec<String>,
    first: impl Future<Output = Result<Rows<C>, StoreError>>,
    read: F,
) -> Result<Response, Problem>
where
    C: Send + Unpin + 'static,
    F: Fn(C) -> P + Send + Unpin + 'static,
    P: Future<Output = Result<Rows<C>, StoreError>> + Send + 'static,
{
    let turn = Turn::take(&call.app, call.user()?.0)?;
    let (rows, next) = first.await.map_err(told)?;
    let rows = page::sheet_rows(std::iter::once(head).chain(rows)).map_err(Problem::internal)?;
    let read = move |place| -> Page<C> { Box::pin(read(place)) };
    let page = next.map(&read);
    let sheet = Sheet { read, ready: Some(rows.into()), page, _turn: turn };
    page::download(name, "text/csv; charset=utf-8", Body::new(sheet))
}

/// The sheet of a list of the store, whose pages `read` reads.
pub(super) async fn listed<R, F, P>(
    call: &Call,
    name: &str,
    (columns, seek): (&'static [Column<R>], Seek),
    read: F,
) -> Result<Response, Problem>
where
    R: 'static,
    F: Fn(Seek) -> P + Clone + Send + Unpin + 'static,
    P: Future<Output = Result<Paged<R>, StoreError>> + Send + 'static,
{
    let rows = move |seek: Seek| {
        let page = read(seek);
        async move {
            let page = page.await?;
            let rows = page.rows.iter().map(|row| columns::line(columns, row)).collect();
            Ok((rows, page.next))
        }
    };
    let (first, rest) = (rows.clone(), seek.clone());
    let read = move |place: Place| rows(rest.clone().behind(Some(place)));
    sheet(call, name, columns::words(columns), Box::pin(first(seek)), read).await
}

/// The sheet of rows that are all there.
pub(super) fn whole<R>(name: &str, columns: &[Column<R>], rows: &[R]) -> Result<Response, Problem> {
    let rows = rows.iter().map(|row| columns::line(columns, row));
    let all = std::iter::once(columns::words(columns)).chain(rows);
    let content = page::sheet_rows(all).map_err(Problem::internal)?;
    page::download(name, "text/csv; charset=utf-8", content)
}
