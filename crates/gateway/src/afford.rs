//! What a request may cost at most, and whether there is credit for it.
//!
//! Who has credit or a budget is asked before anything is sent. A client that names a ceiling for its answer gets that
//! ceiling or a refusal that names an affordable one; for a client that names none, the ceiling is what the model can do,
//! or what can be afforded of it.

use http::StatusCode;
use ledger::{
    BudgetPeriod, Demand, Meter, ModelPrice, PriceError, Region, Scope, ScopeKind, ServiceTier,
    Terms, Usd,
};
use memchr::memmem;
use wire::Chat;
use wire::chat::{Block, Hosted, Media, MediaKind, Native, Source, Tool};

use crate::app::App;
use crate::clock;
use crate::funds::{Ask, Refusal, Taken};
use crate::inbound::{Inbound, Operation};
use crate::outbound::{self, Outbound};
use crate::problem::Problem;
use crate::routing::{Plan, Target, quoted};
use crate::snapshot::{KeyEntry, Snapshot};
use crate::stored;

/// The ceiling of an answer whose model has none in the price list, in tokens.
const CEILING: u64 = 32_768;
/// A client that named no ceiling waits rather than get less than this, in tokens…
const FAIR: u64 = 1_024;
/// … and is refused rather than get less than this.
const LEAST: u64 = 16;
/// What stands around the client's own words in a prompt, in tokens.
const AROUND: u64 = 64;
/// The same where tools are described to the model.
const AROUND_TOOLS: u64 = 1_024;
/// Calls of a provider's own tools in one answer, where the client does not say how many there may be.
const CALLS: u64 = 10;

/// A request to one target: what it may use at most, and what that costs.
struct Offer<'a> {
    price: &'a ModelPrice,
    demand: Demand,
    /// A second run, whose length is not the client's to choose.
    besides: Option<Demand>,
    /// The commission.
    bps: u32,
}

/// A request to each target of its plan.
struct Offers<'a> {
    offers: Vec<Offer<'a>>,
    at: i64,
    /// The client's own ceiling for one answer.
    own: Option<u64>,
    /// Whether there can be a lower one, where the client names none.
    open: bool,
}

/// Takes what the request may cost from wherever its key spends. Lowers its ceiling where the client left that open.
///
/// A call with the account's own key costs the commission alone, but the house's credential may have to take its place. Where
/// that is too dear, the own key is all that is left of the plan.
pub(crate) async fn take(
    app: &App,
    snapshot: &Snapshot,
    key: &KeyEntry,
    inbound: &mut Inbound,
    plan: &mut Plan,
) -> Result<Taken, Problem> {
    let scopes = key.scopes(plan.at);
    if scopes.is_empty() || inbound.operation == Operation::Count {
        return Ok(Taken::NOTHING);
    }
    if plan.targets.iter().any(Target::is_direct) && !plan.targets.iter().all(Target::is_direct) {
        let offers = Offers::of(inbound, plan)?;
        if let Ok(want) = offers.bound(u64::MAX) {
            if app.funds.hold_at_once(&scopes, want).await.map_err(away)? {
                let output_tokens = offers.output_tokens(u64::MAX);
                return Ok(Taken { scopes, amount: want, output_tokens });
            }
            plan.targets.retain(Target::is_direct);
        }
    }
    let offers = Offers::of(inbound, plan)?;
    let bound = |most| offers.bound(most).map_err(|error| unbounded(&error));
    let want = bound(u64::MAX)?;
    let own = offers.own;
    let ask = if own.is_some() || !offers.open {
        Ask { want, fair: want, least: want }
    } else {
        Ask { want, fair: bound(FAIR)?, least: bound(LEAST)? }
    };
    match app.funds.hold(&scopes, ask).await {
        Ok(amount) => {
            let ceiling = offers.affordable(amount).filter(|_| amount < want);
            if let Some(ceiling) = ceiling {
                inbound.limit_output(ceiling);
            }
            let output_tokens = offers.output_tokens(ceiling.unwrap_or(u64::MAX));
            Ok(Taken { scopes, amount, output_tokens })
        }
        Err(Refusal::Short { scope, left, renews_at }) => {
            let whose = whose(snapshot, key, scope);
            Err(refused(&whose, left, renews_at, own, offers.affordable(left)))
        }
        Err(refusal) => Err(away(refusal)),
    }
}

/// Nobody can say whether there is credit.
fn away(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Away(error) => Problem::store(error),
        Refusal::Fenced | Refusal::Short { .. } => {
            Problem::store("this process may not spend any more")
        }
    }
}

fn unbounded(error: &PriceError) -> Problem {
    let message = format!("this request has no upper bound of its price: {error}");
    Problem::bad_request(message).with_code("unpriced_request")
}

/// The client's own ceiling for one answer. Chat has two fields for it, and which one is obeyed depends on the model.
fn own_ceiling(inbound: &Inbound, chat: &Chat) -> Option<u64> {
    let is_chat = inbound.face.is(wire::openai_chat::NAME);
    chat.max_tokens.max(inbound.peek.max_tokens.filter(|_| is_chat))
}

/// What is known of a body that goes on as it came and that the canonical form has no words for.
fn outline(inbound: &Inbound, plan: &Plan, problem: Problem) -> Result<Chat, Problem> {
    if !plan.targets.iter().any(|target| outbound::goes_unread(inbound, target)) {
        return Err(problem);
    }
    let read = match inbound.face.dialect() {
        Some(dialect) => wire::outline::read(&inbound.body, dialect.name()),
        None => wire::outline::of_completion(&inbound.body),
    };
    read.map_err(|_| problem)
}

impl<'a> Offers<'a> {
    fn of(inbound: &Inbound, plan: &'a Plan) -> Result<Self, Problem> {
        let mut open = true;
        let outlined;
        let chat = match inbound.operation {
            Operation::Chat => Some(match inbound.chat() {
                Ok(chat) => chat,
                Err(problem) => {
                    let can = |target| {
                        outbound::goes_unread(inbound, target)
                            && outbound::can_limit(inbound, target)
                    };
                    open = plan.targets.iter().all(can);
                    outlined = outline(inbound, plan, problem)?;
                    &outlined
                }
            }),
            Operation::Embed | Operation::Count => None,
        };
        // Where there is nothing to generate, none is generated.
        let own = chat.map_or(Some(0), |chat| own_ceiling(inbound, chat));
        let mut offers = Vec::with_capacity(plan.targets.len());
        for target in &plan.targets {
            let Some(model) = plan.catalogue.get(target.provider, &target.model) else { continue };
            let window = model.info.context_window;
            let mut demand = chat.map_or_else(
                || Demand { input_tokens: length(inbound.body.len()), ..Demand::default() },
                |chat| demand(inbound, chat, target, window),
            );
            if let Some(window) = window {
                demand.input_tokens = demand.input_tokens.min(window);
            }
            let most = target.max_output_tokens.or(window).unwrap_or(CEILING);
            demand.output_tokens = own.unwrap_or(most);
            demand.direct = target.is_direct();
            let bps = target.commission_bps(&plan.settings);
            let sums_up = chat.is_some_and(|c| stored::sums_up(c, target.dialect().name()));
            let again = Demand { output_tokens: most, choices: 1, calls: 0, ..demand };
            let offer =
                Offer { price: &model.price, demand, besides: sums_up.then_some(again), bps };
            if let Some(chat) = chat.filter(|_| target.provider == "anthropic") {
                let before = offers.len();
                add_fallbacks(&offer, chat, plan, own, &mut offers)?;
                open &= offers.len() == before;
            }
            offers.push(offer);
        }
        Ok(Self { offers, at: plan.at, own, open })
    }

    /// What the dearest of them costs at most, with an answer of `most` tokens at most.
    fn bound(&self, most: u64) -> Result<Usd, PriceError> {
        let mut dearest = Usd::ZERO;
        for offer in &self.offers {
            let output_tokens = offer.demand.output_tokens.min(most);
            let demand = Demand { output_tokens, ..offer.demand };
            let answer = ledger::bound(offer.price, &demand, self.at, offer.bps)?;
            dearest = dearest.max(answer.checked_add(offer.besides(self.at)?)?);
        }
        Ok(dearest)
    }

    /// How long the answers of any of them may be, each of `most` tokens at most.
    fn output_tokens(&self, most: u64) -> u64 {
        let all = |demand: &Demand| demand.output_tokens.min(most).saturating_mul(demand.choices);
        self.offers.iter().map(|offer| all(&offer.demand)).max().unwrap_or(0)
    }

    /// How long an answer of any of them may be for an amount.
    fn affordable(&self, amount: Usd) -> Option<u64> {
        let each = self.offers.iter().map(|offer| {
            let Offer { price, demand, bps, .. } = offer;
            let left = amount.checked_sub(offer.besides(self.at).ok()?).ok()?;
            ledger::affordable_output(price, demand, self.at, *bps, left)
        });
        each.min().flatten()
    }
}

impl Offer<'_> {
    /// What the second run costs at most.
    fn besides(&self, at: i64) -> Result<Usd, PriceError> {
        let bound = |demand| ledger::bound(self.price, &demand, at, self.bps);
        self.besides.map_or(Ok(Usd::ZERO), bound)
    }
}

/// The models that may answer in the place of the one asked for, on the same terms where they have none of their own.
fn add_fallbacks<'a>(
    asked: &Offer<'a>,
    chat: &Chat,
    plan: &'a Plan,
    own: Option<u64>,
    offers: &mut Vec<Offer<'a>>,
) -> Result<(), Problem> {
    let unknown = |why: &str| {
        let message = format!("this request has no upper bound of its price: fallbacks: {why}");
        Problem::bad_request(message).with_code("unpriced_request")
    };
    let fallbacks = stored::fallbacks(chat)
        .ok_or_else(|| unknown("name the models, each as an object with `model`"))?;
    for fallback in fallbacks {
        let model = plan.catalogue.get("anthropic", &fallback.model).ok_or_else(|| {
            unknown(&format!("{} is not in the price list", quoted(&fallback.model)))
        })?;
        let price = &model.price;
        let info = &model.info;
        let most = info.max_output_tokens.or(info.context_window).unwrap_or(CEILING);
        let fast = fallback.is_fast(asked.demand.fast, price.multipliers.fast.is_some());
        let output_tokens = fallback.max_tokens.or(own).unwrap_or(most);
        let demand = Demand { output_tokens, fast, ..asked.demand };
        offers.push(Offer { price, demand, besides: asked.besides, bps: asked.bps });
    }
    Ok(())
}

/// What a chat may use at most, but for the length of its answer.
fn demand(inbound: &Inbound, chat: &Chat, target: &Target, window: Option<u64>) -> Demand {
    let mut input = length(inbound.body.len()).saturating_add(AROUND);
    if !chat.tools.is_empty() {
        input = input.saturating_add(AROUND_TOOLS);
    }
    let blocks = || chat.system.iter().chain(chat.turns.iter().flat_map(|turn| &turn.blocks));
    for block in blocks() {
        add_unseen(block, target, window, &mut input);
    }
    let hosts = |block: &&Block| matches!(block, Block::Native(native) if stored::hosts(native));
    let added = if blocks().any(|block| hosts(&block)) { CALLS } else { 0 };
    let calls = chat.tools.iter().map(calls).chain(chat.native.iter().map(searches));
    let calls = calls.fold(added, u64::saturating_add);
    let own = |native: &&Native| native.dialect == target.dialect().name();
    // What such a tool finds, and what the provider has of an earlier conversation, is in the prompt too.
    if calls > 0 || chat.native.iter().filter(own).any(stored::is_named_by) {
        input = window.unwrap_or(u64::MAX);
    }
    let is_choices =
        |native: &&Native| CHOICES.contains(&native.field.as_str()) && native.raw.get() != "null";
    let choices = chat.native.iter().filter(is_choices);
    let choices = choices.map(|native| wire::outline::count(&native.raw).unwrap_or(MOST_CHOICES));
    let is_anthropic = target.provider == "anthropic";
    Demand {
        input_tokens: input,
        choices: choices.max().unwrap_or(1),
        calls,
        service_tier: service_tier(chat),
        fast: is_anthropic && stored::is_fast(chat),
        region: if is_anthropic { stored::region(chat) } else { Region::Global },
        ..Demand::default()
    }
}

/// The tier asked for. What `auto` and no tier at all come to is the operator's setting at the provider, and so at its risk.
fn service_tier(chat: &Chat) -> ServiceTier {
    match chat.service_tier.as_deref().map(ServiceTier::from_answer) {
        // Batches are not asked for here.
        None | Some(ServiceTier::Batch) => ServiceTier::Standard,
        Some(tier) => tier,
    }
}

/// Members that ask for several answers.
pub(crate) const CHOICES: [&str; 3] = ["n", "best_of", "generationConfig.candidateCount"];
/// The most that any provider gives.
const MOST_CHOICES: u64 = 128;

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Media is in the body in base64, or elsewhere; how many tokens it is has nothing to do with that. Of other blocks a name may
/// be all that is there.
fn add_unseen(block: &Block, target: &Target, window: Option<u64>, input: &mut u64) {
    let dialect = target.dialect().name();
    match block {
        Block::Media(media) => {
            let inline =
                if let Source::Base64(data) = &media.source { length(data.len()) } else { 0 };
            *input =
                input.saturating_sub(inline).saturating_add(media_tokens(media, target, inline));
        }
        Block::ToolResult { blocks, .. } => {
            for block in blocks {
                add_unseen(block, target, window, input);
            }
        }
        Block::Native(native) if native.dialect == dialect && !stored::is_whole(native) => {
            *input = u64::MAX;
        }
        // No longer than an answer may be.
        Block::Thinking { seal: Some(seal), .. }
            if seal.dialect == dialect && stored::has_thoughts(seal) =>
        {
            let most = target.max_output_tokens.or(window).unwrap_or(u64::MAX);
            *input = input.saturating_add(most);
        }
        _ => {}
    }
}

/// The most tokens that a provider counts for a piece of media. What is elsewhere may be as long as the model's window.
fn media_tokens(media: &Media, target: &Target, inline: u64) -> u64 {
    match (media.kind, target.provider) {
        // At Gemini, tiles of 258. https://ai.google.dev/gemini-api/docs/tokens
        // https://docs.anthropic.com/en/docs/build-with-claude/vision
        (MediaKind::Image, "anthropic" | "gemini") => 5_000,
        // A large picture in high resolution; OpenAI's small models count it 33 times.
        // https://platform.openai.com/docs/guides/images-vision
        (MediaKind::Image, _) => 40_000,
        (MediaKind::Document, _) if inline > 0 => inline.saturating_mul(2),
        (MediaKind::Audio | MediaKind::Video, _) if inline > 0 => inline,
        _ => u64::MAX,
    }
}

/// How often a provider's own tool may be called.
fn calls(tool: &Tool) -> u64 {
    match tool {
        Tool::Hosted { kind: Hosted::WebSearch(search), .. } => search.max_uses.unwrap_or(CALLS),
        Tool::Function { .. } => 0,
        Tool::Hosted { .. } | Tool::Native(_) => CALLS,
    }
}

/// Refuses what a provider would do although nobody can say what it costs: a search of the web, by a model without a price
/// for one.
pub(crate) fn check_searches(
    inbound: &Inbound,
    plan: &Plan,
    target: &Target,
    outbound: &Outbound,
) -> Result<(), Problem> {
    let model = plan.catalogue.get(target.provider, &target.model);
    let terms = Terms { at: plan.at, ..Terms::default() };
    let priced = || {
        let rates = model.map(|model| model.price.rates(0, &terms));
        matches!(rates, Some(Ok(rates)) if Meter::CALLS.iter().any(|call| rates.get(*call).is_some()))
    };
    // Clients of Chat Completions ask for it beside their tools, and Google's word for it has a capital.
    let asks = inbound.operation == Operation::Chat;
    if !asks || priced() || memmem::find(&outbound.body, b"earch").is_none() {
        return Ok(());
    }
    let searches = |chat: &Chat| {
        let kind = |tool: &Tool| matches!(tool, Tool::Hosted { kind: Hosted::WebSearch(_), .. });
        chat.tools.iter().any(kind)
    };
    let asked = match inbound.chat() {
        Ok(chat) => searches(chat),
        Err(problem) => outline(inbound, plan, problem).is_ok_and(|chat| searches(&chat)),
    };
    if !asked {
        return Ok(());
    }
    let Target { provider, model, .. } = target;
    let message = format!(
        "tools: {provider}/{model} has no price for a search of the web, so it is not asked for one; leave the tool out"
    );
    Err(Problem::bad_request(message).with_code("unpriced_request"))
}

fn searches(native: &Native) -> u64 {
    if native.field == "web_search_options" { CALLS } else { 0 }
}

/// Whose money or budget it is, in words.
fn whose(snapshot: &Snapshot, key: &KeyEntry, scope: Scope) -> String {
    let budget = snapshot.budgets.get(&scope.id).filter(|_| scope.kind == ScopeKind::Budget);
    let Some(budget) = budget else { return "the account's credit".to_owned() };
    let owner = match budget.owner {
        store::BudgetOwner::Key(_) => "this API key".to_owned(),
        store::BudgetOwner::User(_) => format!("user {}", key.user),
        store::BudgetOwner::Account(_) => "the account".to_owned(),
    };
    let each = match budget.period {
        BudgetPeriod::Day => " a day",
        BudgetPeriod::Week => " a week",
        BudgetPeriod::Month => " a month",
        BudgetPeriod::Total => "",
    };
    format!("the budget of {owner} (${}{each})", budget.limit)
}

fn refused(
    whose: &str,
    left: Usd,
    renews_at: Option<i64>,
    own: Option<u64>,
    affordable: Option<u64>,
) -> Problem {
    let renews =
        renews_at.map_or_else(String::new, |at| format!("; it renews at {}", clock::rfc3339(at)));
    let afford = match (own, affordable.filter(|tokens| *tokens > 0)) {
        (Some(own), Some(tokens)) if own > 0 => format!(
            ": up to {own} tokens were asked for, and {tokens} can be afforded. \
             Ask for fewer max_tokens, or add credit"
        ),
        _ => ": it does not pay for this request. Add credit, or send a shorter one".to_owned(),
    };
    let message = format!("{whose} has ${left} left{renews}{afford}");
    let message = message[..1].to_uppercase() + message.get(1..).unwrap_or_default();
    Problem::new(StatusCode::PAYMENT_REQUIRED, "insufficient_credits", message)
}
