"""The SDK `openrouter`: chat and Responses, with what they cost; embeddings, models; keys, credit, activity."""

import base64
import hashlib
import json
from datetime import datetime, timezone
from decimal import Decimal

from openrouter import OpenRouter, errors
from pydantic import BaseModel

from common import *



def make(key):
    return OpenRouter(api_key=key, server_url=f"{BASE_URL}/api/v1", retry_config=None)


client = make(KEY)
manager = make(MANAGEMENT_KEY)


class Weather(BaseModel):
    city: str
    degrees: int
    words: list[str]

    model_config = {"extra": "forbid"}


# As OpenRouter names them.
NAMES = {
    "gpt-4o": "openai/gpt-4o",
    "gpt-5-mini": "openai/gpt-5-mini",
    "gpt-5.4": "openai/gpt-5.4",
    "claude-sonnet-4-5": "anthropic/claude-sonnet-4.5",
    "claude-opus-5-5": "anthropic/claude-opus-5.5",
    "gemini-2.5-flash": "google/gemini-2.5-flash",
    "gemini-3-flash-preview": "google/gemini-3-flash-preview",
    "deepseek-v4-flash": "deepseek/deepseek-v4-flash",
}


def tools(*names):
    function = lambda name: {"name": name, "description": TOOLS[name][0], "parameters": WEATHER_SCHEMA}
    return [{"type": "function", "function": function(name)} for name in names]


def user(content):
    return {"role": "user", "content": content}


def send(model, messages, **more):
    return client.chat.send(model=NAMES[model], messages=messages, **more)


def used(answer):
    usage = answer.usage
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "the total")
    return int(usage.prompt_tokens), int(usage.completion_tokens), Decimal(repr(usage.cost))


def plain(model):
    answer = send(model, [user(HELLO)])
    contains(answer.choices[0].message.content, HELLO)
    equal(answer.choices[0].finish_reason, "stop")
    return used(answer)


class Gathered:
    """A stream's chunks, put together as a client does it."""

    def __init__(self, events):
        self.text, self.reasoning, self.details, self.calls, self.usage = "", "", [], {}, None
        with events:
            for chunk in events:
                assert not chunk.error, chunk
                self.usage = chunk.usage and used(chunk) or self.usage
                for choice in chunk.choices:
                    self.take(choice.delta)

    def take(self, delta):
        self.text += delta.content or ""
        self.reasoning += delta.reasoning or ""
        self.details += [detail.model_dump(by_alias=True, mode="json") for detail in delta.reasoning_details or []]
        for part in delta.tool_calls or []:
            call = self.calls.setdefault(int(part.index), {"id": "", "name": "", "arguments": ""})
            call["id"] = part.id or call["id"]
            if part.function:
                call["name"] = part.function.name or call["name"]
                call["arguments"] += part.function.arguments or ""

    def message(self):
        calls = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in self.calls.values()
        ]
        message = {"role": "assistant", "content": self.text, "tool_calls": calls}
        if self.details:
            message["reasoning_details"] = self.details
        return message


def stream(model):
    answer = Gathered(send(model, [user(HELLO)], stream=True))
    contains(answer.text, HELLO)
    return answer.usage


def results(calls):
    """What the tools say to (id, name, arguments)."""
    for _, _, arguments in calls:
        assert isinstance(json.loads(arguments)["city"], str), arguments
    return [{"role": "tool", "tool_call_id": id, "content": TOOLS[name][1]} for id, name, _ in calls]


def calls_of(message):
    return [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]


def called(model, question, names, **more):
    """A question whose answer needs these tools: the message that calls them, the last one, the usage of both."""
    more = {"tools": tools(*names), **more}
    first = send(model, [user(question)], **more)
    message = first.choices[0].message
    equal([name for _, name, _ in calls_of(message)], list(names))
    second = send(model, [user(question), message, *results(calls_of(message))], **more)
    return message, second.choices[0].message, total(used(first), used(second))


def tools_round_trip(model):
    _, answer, usage = called(model, ASK_WEATHER, ["get_weather"])
    contains(answer.content, WEATHER)
    return usage


def streamed(model, **more):
    more = {"tools": tools("get_weather"), "stream": True, **more}
    first = Gathered(send(model, [user(ASK_WEATHER)], **more))
    calls = [(call["id"], call["name"], call["arguments"]) for call in first.calls.values()]
    equal([name for _, name, _ in calls], ["get_weather"])
    second = Gathered(send(model, [user(ASK_WEATHER), first.message(), *results(calls)], **more))
    contains(second.text, WEATHER)
    return first, total(first.usage, second.usage)


def tools_stream(model):
    return streamed(model)[1]


def parallel_tools(model):
    message, answer, usage = called(model, ASK_BOTH, ["get_weather", "get_time"])
    equal(len({id for id, _, _ in calls_of(message)}), 2, "the number of ids")
    contains(answer.content, WEATHER)
    contains(answer.content, TIME)
    return usage


def shape():
    schema = {"name": "weather", "schema": Weather.model_json_schema(), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def structured(model):
    answer = send(model, [user(ASK_WEATHER)], response_format=shape())
    Weather.model_validate_json(answer.choices[0].message.content)
    return used(answer)


def structured_stream(model):
    answer = Gathered(send(model, [user(ASK_WEATHER)], response_format=shape(), stream=True))
    Weather.model_validate_json(answer.text)
    return answer.usage


def picture():
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_BASE64}"}}
    return [user([{"type": "text", "text": "What is this?"}, image])]


def image(model):
    answer = send(model, picture())
    contains(answer.choices[0].message.content, SEES)
    return used(answer)


def image_refused(model):
    raises(errors.BadRequestResponseError, lambda: send(model, picture()), 400)


def thinking(model):
    """The thoughts and what seals them go back in `reasoning_details`."""
    message, answer, usage = called(model, ASK_WEATHER, ["get_weather"], reasoning={"effort": "low"})
    assert message.reasoning and message.reasoning_details, message
    contains(answer.content, WEATHER)
    return usage


def thinking_stream(model):
    first, usage = streamed(model, reasoning={"effort": "low"})
    assert first.reasoning and first.details, first.__dict__
    return usage


def bad_key(model):
    other = OpenRouter(api_key=BAD_KEY, server_url=f"{BASE_URL}/api/v1")
    call = lambda: other.chat.send(model=NAMES[model], messages=[user(HELLO)])
    equal(raises(errors.UnauthorizedResponseError, call, 401).data.error.code, 401)


def unknown_model(model):
    call = lambda: client.chat.send(model=f"{NAMES[model]}-{UNKNOWN_MODEL}", messages=[user(HELLO)])
    equal(raises(errors.NotFoundResponseError, call, 404).data.error.code, 404)


def bad_request(model):
    raises(errors.BadRequestResponseError, lambda: send(model, [user(BAD_REQUEST)]), 400)


def rate_limit(model):
    error = raises(errors.TooManyRequestsResponseError, lambda: send(model, [user(RATE_LIMIT)]), 429)
    equal(error.headers["retry-after"], "7")


def server_error(model):
    # It means that the provider failed, not the gateway.
    raises(errors.BadGatewayResponseError, lambda: send(model, [user(SERVER_ERROR)]), 502)


def cancel(model):
    events = send(model, [user(SLOW)], stream=True)
    for chunk in events:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    events.response.close()
    return "cancelled"


def used_by(answer):
    """Of an answer in Responses' form. The parts of the provider's price have other names there, and the SDK wants both."""
    usage = answer.usage
    equal(usage.total_tokens, usage.input_tokens + usage.output_tokens, "the total")
    told = usage.cost_details
    parts = told.upstream_inference_input_cost, told.upstream_inference_output_cost
    equal(sum(Decimal(repr(part)) for part in parts), Decimal(repr(told.upstream_inference_cost)), "both parts")
    return usage.input_tokens, usage.output_tokens, Decimal(repr(usage.cost))


def said(answer):
    messages = [item for item in answer.output if item.type == "message"]
    return "".join(part.text for message in messages for part in message.content)


def respond(model, input, **more):
    return client.responses.send(model=NAMES[model], input=input, **more)


def respond_in_events(model, input, **more):
    """The answer at the end of a stream."""
    seen = {}
    with respond(model, input, stream=True, **more) as events:
        for event in events:
            seen[event.type] = event
    begun = seen["response.created"].response, seen["response.in_progress"].response
    equal([answer.status for answer in begun], ["in_progress"] * 2, "the beginning")
    return seen["response.completed"].response


def responses(model):
    answer = respond(model, HELLO, instructions="Be brief.")
    contains(said(answer), HELLO)
    equal((answer.frequency_penalty, answer.presence_penalty, answer.error), (0, 0, None))
    equal((answer.object, answer.status, answer.incomplete_details), ("response", "completed", None))
    # The older name of the same.
    older = client.beta.responses.send(model=NAMES[model], input=HELLO)
    contains(said(older), HELLO)
    return total(used_by(answer), used_by(older))


def responses_stream(model):
    answer = respond_in_events(model, HELLO)
    contains(said(answer), HELLO)
    return used_by(answer)


def responses_tools(model):
    """Tools, and thoughts where the model has any: of both the answer and its request are made."""
    description, result = TOOLS["get_weather"]
    named = {"name": "get_weather", "description": description, "parameters": WEATHER_SCHEMA, "strict": True}
    more = {"tools": [{"type": "function", **named}]}
    if model in THINKING:
        more |= {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    usages = []
    for ask in (respond, respond_in_events):
        first = ask(model, [user(ASK_WEATHER)], **more)
        (call,) = [item for item in first.output if item.type == "function_call"]
        equal((call.name, list(json.loads(call.arguments))), ("get_weather", ["city"]))
        equal(any(item.type == "reasoning" for item in first.output), model in THINKING, "whether it thinks")
        told = {"type": "function_call_output", "call_id": call.call_id, "output": result}
        # What comes is of other types than what goes, so that it goes back as it came.
        history = [item.model_dump(by_alias=True, mode="json") for item in first.output]
        second = ask(model, [user(ASK_WEATHER), *history, told], **more)
        contains(said(second), result)
        usages += [used_by(first), used_by(second)]
    return total(*usages)


def embeddings(model):
    answer = client.embeddings.generate(model=model, input=["one text", "another"])
    equal(len(answer.data), 2)
    assert all(isinstance(number, float) for number in answer.data[1].embedding), answer.data[1]
    return int(answer.usage.prompt_tokens), 0


def models(_):
    listed = {model.id for model in client.models.list().result.data}
    expected = {f"{name.split('/')[0].replace('google', 'gemini')}/{model}" for model, name in NAMES.items()}
    assert listed.issuperset(expected), expected - listed


def generation(model):
    answer = send(model, [user(HELLO)])
    found = client.generations.get_generation(id=answer.id).data
    equal((found.id, found.is_byok, found.cancelled), (answer.id, False, False), "the generation")
    equal(found.model, NAMES[model].replace("google/", "gemini/").split("/")[0] + "/" + model, "the model")
    tokens = int(found.tokens_prompt), int(found.tokens_completion), Decimal(repr(found.total_cost))
    equal(tokens, used(answer), "what it says of the answer")
    unknown = lambda: client.generations.get_generation(id="gen-0")
    raises(errors.NotFoundResponseError, unknown, 404)
    return tokens


def models_of_key(_):
    equal(client.models.get(author="openai", slug="gpt-4o").data.id, "openai/gpt-4o")
    count = client.models.count().data.count
    bearer = {"bearer": KEY}
    equal(len(client.models.list_for_user(security=bearer).result.data), count, "what the key may use")
    vectors = {model.id for model in client.embeddings.list_models().result.data}
    assert "openai/text-embedding-3-small" in vectors and "openai/gpt-4o" not in vectors, vectors


def endpoints(_):
    found = client.endpoints.list(author="anthropic", slug="claude-sonnet-4.5").data
    (endpoint,) = found.endpoints
    equal((found.id, endpoint.provider_name), ("anthropic/claude-sonnet-4-5", "Anthropic"))
    # 3 and 15 dollars a million, and 5 %.
    equal((endpoint.pricing.prompt, endpoint.pricing.completion), ("0.00000315", "0.00001575"), "the prices")
    unknown = lambda: client.endpoints.list(author="openai", slug="gpt-none")
    raises(errors.NotFoundResponseError, unknown, 404)


def providers(_):
    slugs = [provider.slug for provider in client.providers.list().data]
    equal(slugs, ["openai", "gemini", "anthropic", "deepseek"])


def current_key(_):
    """A key of its own asks, and is told what that cost."""
    end = datetime(2099, 1, 31, tzinfo=timezone.utc)
    made = manager.api_keys.create(name="own", limit=0.5, limit_reset="daily", expires_at=end)
    own = make(made.key)
    answer = own.chat.send(model="openai/gpt-4o", messages=[user(HELLO)])
    told, usage = own.api_keys.get_current_key_metadata().data, used(answer)
    equal(Decimal(repr(told.usage)), usage[2], "what was used")
    equal(Decimal(repr(told.limit_remaining)), Decimal("0.5") - usage[2], "what is left")
    equal((told.limit, told.limit_reset, told.usage_daily), (0.5, "daily", told.usage))
    equal((told.expires_at, told.is_management_key), (end, False))
    (budget,) = told.budgets
    equal((budget.scope, budget.limit_usd, budget.spend_usd), ("key_limit", 0.5, told.usage), "the budget")
    equal(told.effective_budget, budget)
    managing = manager.api_keys.get_current_key_metadata().data
    equal((managing.is_management_key, managing.limit, managing.budgets), (True, None, []))
    return usage


def keys(_):
    made = manager.api_keys.create(name="sdk", limit=2, include_byok_in_limit=True)
    hash, own = made.data.hash, make(made.key)
    equal((made.data.name, made.data.limit, made.data.limit_reset), ("sdk", 2, None))
    equal(own.api_keys.get_current_key_metadata().data.label, made.data.label)
    wish = {"name": "renamed", "disabled": True, "limit": 3, "limit_reset": "monthly"}
    changed = manager.api_keys.update(hash=hash, **wish).data
    equal({name: getattr(changed, name) for name in wish}, wish, "what was changed")
    shown = manager.api_keys.get(hash=hash).data
    equal(shown.model_dump(), changed.model_dump(), "the key")
    raises(errors.UnauthorizedResponseError, own.api_keys.get_current_key_metadata, 401)
    listed = lambda **more: hash in {key.hash for key in manager.api_keys.list(**more).data}
    equal((listed(), listed(include_disabled=True, include_expired=True)), (False, True), "what is listed")
    equal(manager.api_keys.list(offset=1_000).data, [])
    manager.api_keys.delete(hash=hash)
    raises(errors.NotFoundResponseError, lambda: manager.api_keys.get(hash=hash), 404)
    raises(errors.BadRequestResponseError, lambda: manager.api_keys.create(name="x", limit=-1), 400)
    # Who manages does not ask, and who asks does not see the credit.
    ask = lambda: manager.chat.send(model="openai/gpt-4o", messages=[user(HELLO)])
    raises(errors.ForbiddenResponseError, ask, 403)
    raises(errors.ForbiddenResponseError, client.credits.get_credits, 403)


def credits(_):
    before = manager.credits.get_credits().data
    usage = used(send("gpt-4o", [user(HELLO)]))
    after = manager.credits.get_credits().data
    grown = Decimal(repr(after.total_usage)) - Decimal(repr(before.total_usage))
    equal(grown, usage[2], "what was used")
    equal((before.total_credits, after.total_credits), (0, 0))
    return usage


def activity(_):
    past = make(PAST_KEY)
    (row,) = past.analytics.get_user_activity().data
    equal((row.model, row.provider_name, row.requests), ("openai/gpt-4o-mini", "OpenAI", 1))
    # The worked example.
    equal((row.prompt_tokens, row.completion_tokens, row.usage), (1234, 567, 0.000551565))
    equal(past.analytics.get_user_activity(request={"date_": row.date_}).data, [row])
    wrong = lambda: past.analytics.get_user_activity(request={"date_": "2020-01-01"})
    raises(errors.BadRequestResponseError, wrong, 400)


def codes(_):
    """As a program does it that has no key."""
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    code = manager.o_auth.create_auth_code(
        callback_url="http://localhost:3000/", code_challenge=challenge, code_challenge_method="S256", limit=1
    ).data
    bring = lambda: make("none").o_auth.exchange_auth_code_for_api_key(
        code=code.id, code_verifier=verifier, code_challenge_method="S256"
    )
    got = bring()
    told = make(got.key).api_keys.get_current_key_metadata().data
    equal((told.creator_user_id, told.limit), (got.user_id, 1))
    raises(errors.ForbiddenResponseError, bring, 403)


run(
    globals(),
    [
        ("responses", MODELS, responses),
        ("responses_stream", MODELS, responses_stream),
        ("responses_tools", MODELS, responses_tools),
        ("embeddings", EMBEDDING, embeddings),
        ("generation", MODELS, generation),
        ("models", ["all"], models),
        ("models_of_key", ["all"], models_of_key),
        ("endpoints", ["all"], endpoints),
        ("providers", ["all"], providers),
        ("current_key", ["all"], current_key),
        ("keys", ["all"], keys),
        ("credits", ["all"], credits),
        ("activity", ["all"], activity),
        ("codes", ["all"], codes),
    ],
)
