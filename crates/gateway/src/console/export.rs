//! All requests of an account as a sheet, read and sent page by page: nothing is kept of it, and a client that reads slowly is
//! waited for. One at a time for each user, and a few for all, so that the pages of others do not wait for them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use store::{ReceiptFilter, ReceiptOrder, ReceiptPage, ReceiptPlace, Store, StoreError};
use uuid::Uuid;

use super::page::{self, told};
use super::requests::{COLUMNS, cells};
use crate::app::App;
use crate::problem::Problem;
use crate::web::Call;

/// Sheets under way at once, of all users together.
const MOST: usize = 2;
const ROWS: u16 = 1_000;

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

type Page = Pin<Box<dyn Future<Output = Result<ReceiptPage, StoreError>> + Send>>;

/// A sheet under way.
struct Sheet {
    store: Store,
    filter: Arc<ReceiptFilter>,
    order: ReceiptOrder,
    ready: Option<Bytes>,
    page: Option<Page>,
    _turn: Turn,
}

impl Sheet {
    fn read(&self, after: ReceiptPlace) -> Page {
        let (store, filter, order) = (self.store.clone(), Arc::clone(&self.filter), self.order);
        Box::pin(async move { store.receipts_page(&filter, order, Some(after), ROWS).await })
    }
}

impl http_body::Body for Sheet {
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
            let page = page?;
            sheet.page = page.next.map(|after| sheet.read(after));
            if !page.receipts.is_empty() {
                let rows = page::sheet_rows(page.receipts.iter().map(cells))?;
                return Poll::Ready(Some(Ok(Frame::data(rows.into()))));
            }
        }
        Poll::Ready(None)
    }
}

/// The sheet of all that fits, from `after` on.
pub(super) async fn sheet(
    call: &Call,
    filter: ReceiptFilter,
    order: ReceiptOrder,
    after: Option<ReceiptPlace>,
) -> Result<Response, Problem> {
    let turn = Turn::take(&call.app, call.user()?.0)?;
    let store = call.app.store.clone();
    let first = store.receipts_page(&filter, order, after, ROWS).await.map_err(told)?;
    let head = [COLUMNS.map(str::to_owned).to_vec()];
    let rows = head.into_iter().chain(first.receipts.iter().map(cells));
    let rows = page::sheet_rows(rows).map_err(Problem::internal)?;
    let mut sheet = Sheet {
        store,
        filter: Arc::new(filter),
        order,
        ready: Some(rows.into()),
        page: None,
        _turn: turn,
    };
    sheet.page = first.next.map(|after| sheet.read(after));
    page::download("requests.csv", "text/csv; charset=utf-8", Body::new(sheet))
}
