//! What a request may cost at most, and whether there is credit for it.
//!
//! Who has credit or a budget is asked before anything is sent. A client that names a ceiling for its answer gets that
//! ceiling or a refusal that names an affordable one; for a client that names none, the ceiling is what the model can do,
//! or what can be afforded of it.

use http::StatusCode;
use ledger::{BudgetPeriod, Demand, ModelPrice, PriceError, Scope, ScopeKind, Usd};
use wire::Chat;
use wire::chat::{Block, Hosted, Media, MediaKind, Source, Tool};

use crate::app::App;
use crate::clock;
use crate::funds::{Ask, Refusal, Taken};
use crate::inbound::{Inbound, Operation};
use crate::problem::Problem;
use crate::routing::{Plan, Target};
use crate::snapshot::{KeyEntry, Snapshot};

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
    /// The commission.
    bps: u32,
}

/// A request to each target of its plan.
struct Offers<'a> {
    offers: Vec<Offer<'a>>,
    at: i64,
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
    let own = own_ceiling(inbound)?;
    if plan.targets.iter().any(Target::is_direct) && !plan.targets.iter().all(Target::is_direct) {
        let offers = Offers::of(app, inbound, plan, own)?;
        if let Ok(want) = offers.bound(u64::MAX) {
            if app.funds.hold_at_once(&scopes, want).await.map_err(away)? {
                let output_tokens = offers.output_tokens(u64::MAX);
                return Ok(Taken { scopes, amount: want, output_tokens });
            }
            plan.targets.retain(Target::is_direct);
        }
    }
    let offers = Offers::of(app, inbound, plan, own)?;
    let bound = |most| offers.bound(most).map_err(|error| unbounded(&error));
    let want = bound(u64::MAX)?;
    let ask = if own.is_some() {
        Ask { want, fair: want, least: want }
    } else {
        Ask { want, fair: bound(FAIR)?, least: bound(LEAST)? }
    };
    match app.funds.hold(&scopes, ask).await {
        Ok(amount) => {
            let ceiling = offers.affordable(amount).filter(|_| amount < want);
            if let Some(ceiling) = ceiling {
                inbound.limit_output(ceiling)?;
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

/// The client's own ceiling for one answer.
fn own_ceiling(inbound: &Inbound) -> Result<Option<u64>, Problem> {
    match inbound.operation {
        Operation::Chat => {
            let read = inbound.chat()?.max_tokens;
            // Chat has two fields for it, and which one is obeyed depends on the model.
            let is_chat = inbound.face.is(wire::openai_chat::NAME);
            Ok(read.max(inbound.peek.max_tokens.filter(|_| is_chat)))
        }
        // There is none to generate.
        Operation::Embed | Operation::Count => Ok(Some(0)),
    }
}

impl<'a> Offers<'a> {
    fn of(app: &App, inbound: &Inbound, plan: &'a Plan, own: Option<u64>) -> Result<Self, Problem> {
        let chat = match inbound.operation {
            Operation::Chat => Some(inbound.chat()?),
            Operation::Embed | Operation::Count => None,
        };
        let choices = chat.map_or(Ok(1), choices)?;
        let offers = plan.targets.iter().filter_map(|target| {
            let model = plan.catalogue.get(target.provider, &target.model)?;
            let window = model.info.context_window;
            let mut demand = chat.map_or_else(
                || Demand { input_tokens: length(inbound.body.len()), ..Demand::default() },
                |chat| demand(inbound, chat, target, window),
            );
            demand.choices = choices;
            if let Some(window) = window {
                demand.input_tokens = demand.input_tokens.min(window);
            }
            let most = target.max_output_tokens.or(window).unwrap_or(CEILING);
            demand.output_tokens = own.unwrap_or(most);
            demand.direct = target.is_direct();
            let bps = target.commission_bps(&app.live.load());
            Some(Offer { price: &model.price, demand, bps })
        });
        Ok(Self { offers: offers.collect(), at: plan.at })
    }

    /// What the dearest of them costs at most, with an answer of `most` tokens at most.
    fn bound(&self, most: u64) -> Result<Usd, PriceError> {
        let mut dearest = Usd::ZERO;
        for Offer { price, demand, bps } in &self.offers {
            let output_tokens = demand.output_tokens.min(most);
            let demand = Demand { output_tokens, ..*demand };
            dearest = dearest.max(ledger::bound(price, &demand, self.at, *bps)?);
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
        let each = self.offers.iter().map(|Offer { price, demand, bps }| {
            ledger::affordable_output(price, demand, self.at, *bps, amount)
        });
        each.min().flatten()
    }
}

/// What a chat may use at most, but for the length of its answer.
fn demand(inbound: &Inbound, chat: &Chat, target: &Target, window: Option<u64>) -> Demand {
    let mut input = length(inbound.body.len()).saturating_add(AROUND);
    if !chat.tools.is_empty() {
        input = input.saturating_add(AROUND_TOOLS);
    }
    let blocks = chat.system.iter().chain(chat.turns.iter().flat_map(|turn| &turn.blocks));
    for block in blocks {
        add_media(block, target, &mut input);
    }
    let calls = chat.tools.iter().map(calls).chain(chat.native.iter().map(searches)).sum();
    // What such a tool finds, and what the provider has of an earlier conversation, is in the prompt too.
    if calls > 0 || chat.native.iter().any(|native| STORED.contains(&native.field.as_str())) {
        input = window.unwrap_or(u64::MAX);
    }
    let service_tier = chat.service_tier.as_deref();
    Demand {
        input_tokens: input,
        calls,
        service_tier: service_tier.map_or_else(Default::default, ledger::ServiceTier::from_answer),
        ..Demand::default()
    }
}

/// Members that ask for several answers.
const CHOICES: [&str; 3] = ["n", "best_of", "generationConfig.candidateCount"];
/// How many answers are asked for. Providers take a number for that which is written with a point or as a text, too.
fn choices(chat: &Chat) -> Result<u64, Problem> {
    let mut most = 1;
    for native in &chat.native {
        let raw = native.raw.get();
        if CHOICES.contains(&native.field.as_str()) && raw != "null" {
            let text = serde_json::from_str::<String>(raw);
            let number = whole(text.as_deref().unwrap_or(raw)).ok_or_else(|| {
                Problem::bad_request(format!("{}: expected a whole number", native.field))
            })?;
            most = most.max(number);
        }
    }
    Ok(most)
}

/// A whole number, however it is written: `8`, `8.0`, `8e0`.
fn whole(text: &str) -> Option<u64> {
    let exponent = |text: &str| text.parse::<u32>().ok().filter(|exponent| *exponent < 10);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, digits)) => (mantissa, exponent(digits.trim_start_matches('+'))?),
        None => (text, 0),
    };
    let (digits, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let behind = behind.trim_end_matches('0');
    if !behind.is_empty() {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(exponent)?)
}

/// Members that name something the provider has stored.
const STORED: [&str; 5] =
    ["previous_response_id", "conversation", "cachedContent", "container", "prompt"];

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Media is in the body in base64, or elsewhere; how many tokens it is has nothing to do with that.
fn add_media(block: &Block, target: &Target, input: &mut u64) {
    match block {
        Block::Media(media) => {
            let inline =
                if let Source::Base64(data) = &media.source { length(data.len()) } else { 0 };
            *input =
                input.saturating_sub(inline).saturating_add(media_tokens(media, target, inline));
        }
        Block::ToolResult { blocks, .. } => {
            for block in blocks {
                add_media(block, target, input);
            }
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

fn searches(native: &wire::chat::Native) -> u64 {
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
