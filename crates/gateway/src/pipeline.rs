//! The life of a request, top to bottom. What flows from step to step is the value of the step before.

use std::sync::Arc;

use ledger::{Catalogue, Outcome, Receipt};
use tokio::sync::oneshot;
use uuid::Uuid;
use wire::{Chat, Reply, Target};

use crate::app::App;
use crate::auth::Caller;
use crate::native::failure;
use crate::problem::Problem;
use crate::settle::settle;
use crate::{clock, native};

/// A request that may go out: who pays, for what, at which prices.
pub(crate) struct Admitted {
    /// The request's id, in the receipt, the log and `x-request-id`.
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) key_id: Uuid,
    pub(crate) provider: &'static str,
    pub(crate) model: String,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) reasoning: bool,
    /// The price version pinned for this request, and its prices.
    pub(crate) price_version: i64,
    pub(crate) catalogue: Arc<Catalogue>,
    /// The moment whose prices apply.
    pub(crate) at: i64,
}

/// An answer and what it cost.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) receipt: Receipt,
}

/// Step 4: finds the provider, the model and its price, and checks that this key may use it.
pub(crate) fn admit(
    app: &App,
    caller: &Caller,
    provider: &str,
    model: &str,
) -> Result<Admitted, Problem> {
    let snapshot = caller.snapshot();
    let key = caller.key().ok_or_else(|| Problem::internal("a caller without a key"))?;
    let provider = app.providers.get(provider).ok_or_else(|| native::unknown_provider(provider))?;
    let name = provider.row.name;
    let model = model.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')).unwrap_or(model);
    let known =
        snapshot.catalogue.get(name, model).ok_or_else(|| native::unknown_model(name, model))?;
    let at = clock::now();
    if !known.price.prices_text(at) {
        return Err(native::unpriced_model(name, model));
    }
    if !key.may_use(name, model) {
        return Err(native::forbidden_model(name, model));
    }
    if provider.key.is_none() {
        tracing::error!(
            setting = provider.row.credential_setting,
            "a request needs a provider without a key"
        );
        return Err(native::provider_not_set_up(name));
    }
    Ok(Admitted {
        id: clock::new_id(),
        account_id: key.account_id,
        user_id: key.user_id,
        key_id: key.id,
        provider: name,
        model: model.to_owned(),
        max_output_tokens: known.info.max_output_tokens,
        reasoning: known
            .info
            .attributes
            .get("supports_reasoning")
            .is_some_and(|word| word == "true"),
        price_version: snapshot.price_version,
        catalogue: Arc::clone(&snapshot.catalogue),
        at,
    })
}

/// Steps 6 to 9, in a task of their own: a client that hangs up stops nothing, and what the provider charges is
/// settled. Returns when the receipt is committed.
pub(crate) async fn answer(
    app: Arc<App>,
    admitted: Admitted,
    chat: Chat,
) -> Result<Answered, Problem> {
    let (sender, receiver) = oneshot::channel();
    let task = {
        let app = Arc::clone(&app);
        async move {
            let answered = exchange(&app, &admitted, &chat, || sender.is_closed()).await;
            // Nobody waits for it where the client has gone; the receipt is there all the same.
            let _ = sender.send(answered);
        }
    };
    app.tasks.spawn(Box::pin(task));
    receiver.await.unwrap_or_else(|_| Err(Problem::internal("a request's task ended early")))
}

async fn exchange(
    app: &App,
    admitted: &Admitted,
    chat: &Chat,
    client_gone: impl Fn() -> bool + Send,
) -> Result<Answered, Problem> {
    let provider = app
        .providers
        .get(admitted.provider)
        .ok_or_else(|| native::unknown_provider(admitted.provider))?;
    let dialect = wire::dialect(provider.row.dialect)
        .ok_or_else(|| Problem::internal("a provider without a dialect"))?;

    // 6. In the provider's own words. What it has no word for was refused or is named.
    let target = Target {
        provider: admitted.provider,
        model: &admitted.model,
        max_output_tokens: admitted.max_output_tokens,
        reasoning: admitted.reasoning,
    };
    let written = dialect
        .write_request(chat, &target)
        .map_err(|error| Problem::bad_request(error.to_string()))?;

    // 7. Send. The whole answer is read before the client sees any of it.
    let path = dialect.request_path(&admitted.model);
    let sent = app.upstream.post(provider, &path, written.body).await;
    let answer = sent.map_err(|error| failure::of_transport(&error, admitted, provider))?;
    if !answer.status.is_success() {
        return Err(failure::of_provider(dialect, &answer, admitted, provider));
    }

    // 8. Read the answer and, in the same pass, what it used.
    let reply =
        dialect.read_reply(&answer.body).map_err(|error| failure::of_reply(&error, admitted))?;
    let finished = native::chat::finished(&reply, chat);

    // 9. Settle, once, before anybody has the answer.
    let outcome = if client_gone() { Outcome::ClientGone } else { Outcome::Ok };
    let receipt = settle(app, admitted, finished, outcome).await?;
    Ok(Answered { reply, receipt })
}
