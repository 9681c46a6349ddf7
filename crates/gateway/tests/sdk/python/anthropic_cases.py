"""The SDK `anthropic`: Messages, token counts, models."""

import warnings

import anthropic
from pydantic import BaseModel

from common import *

# It tells which models will be retired.
warnings.simplefilter("ignore", DeprecationWarning)

client = anthropic.Anthropic(base_url=BASE_URL, api_key=KEY, max_retries=0)

# The newer way to ask for thoughts, where the model's own API has it.
ADAPTIVE = {"claude-opus-5-5", "gpt-5.4", "gemini-3-flash-preview"}


class Weather(BaseModel):
    city: str
    degrees: int
    words: list[str]


def tools(*names):
    return [{"name": name, "description": TOOLS[name][0], "input_schema": WEATHER_SCHEMA} for name in names]


def user(content):
    return {"role": "user", "content": content}


def create(model, messages, **more):
    return client.messages.create(model=model, max_tokens=8000, messages=messages, **more)


def used(answer):
    usage = answer.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return usage.input_tokens + cached, usage.output_tokens


def text(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


def plain(model):
    answer = create(model, [user(HELLO)])
    contains(text(answer), HELLO)
    equal(answer.stop_reason, "end_turn")
    return used(answer)


def stream(model):
    with client.messages.stream(model=model, max_tokens=8000, messages=[user(HELLO)]) as events:
        streamed = "".join(events.text_stream)
        answer = events.get_final_message()
    contains(streamed, HELLO)
    equal(text(answer), streamed)
    equal(answer.stop_reason, "end_turn")
    return used(answer)


def calls(answer):
    return [block for block in answer.content if block.type == "tool_use"]


def results(answer):
    """What the tools say to the calls of an answer."""
    for call in calls(answer):
        assert isinstance(call.input["city"], str), call
    return user(
        [
            {"type": "tool_result", "tool_use_id": call.id, "content": TOOLS[call.name][1]}
            for call in calls(answer)
        ]
    )


def called(model, question, names, **more):
    """A question whose answer needs these tools: the answer that calls them, the last one, the usage of both."""
    more = {"tools": tools(*names), **more}
    first = create(model, [user(question)], **more)
    equal(first.stop_reason, "tool_use")
    equal([call.name for call in calls(first)], list(names))
    second = create(model, [user(question), {"role": "assistant", "content": first.content}, results(first)], **more)
    return first, second, total(used(first), used(second))


def streamed(model, messages, **more):
    with client.messages.stream(model=model, max_tokens=8000, messages=messages, **more) as events:
        return events.get_final_message()


def tools_round_trip(model):
    _, answer, usage = called(model, ASK_WEATHER, ["get_weather"])
    contains(text(answer), WEATHER)
    return usage


def tools_stream(model):
    question, more = user(ASK_WEATHER), {"tools": tools("get_weather")}
    first = streamed(model, [question], **more)
    equal([call.name for call in calls(first)], ["get_weather"])
    second = streamed(model, [question, {"role": "assistant", "content": first.content}, results(first)], **more)
    contains(text(second), WEATHER)
    return total(used(first), used(second))


def parallel_tools(model):
    first, answer, usage = called(model, ASK_BOTH, ["get_weather", "get_time"])
    equal(len({call.id for call in calls(first)}), 2, "the number of ids")
    contains(text(answer), WEATHER)
    contains(text(answer), TIME)
    return usage


def structured(model):
    answer = client.messages.parse(
        model=model, max_tokens=8000, messages=[user(ASK_WEATHER)], output_format=Weather
    )
    assert isinstance(answer.parsed_output, Weather), answer
    return used(answer)


def structured_stream(model):
    answer = streamed(model, [user(ASK_WEATHER)], output_format=Weather)
    assert isinstance(answer.parsed_output, Weather), answer
    return used(answer)


def picture():
    source = {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}
    return user([{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}])


def image(model):
    answer = create(model, [picture()])
    contains(text(answer), SEES)
    return used(answer)


def image_refused(model):
    raises(anthropic.BadRequestError, lambda: create(model, [picture()]), 400)


def thoughts(model):
    if model in ADAPTIVE:
        return {"thinking": {"type": "adaptive", "display": "summarized"}}
    return {"thinking": {"type": "enabled", "budget_tokens": 2048}}


def thinking(model):
    """The thoughts go back as they came, with what seals them."""
    first, answer, usage = called(model, ASK_WEATHER, ["get_weather"], **thoughts(model))
    thought = first.content[0]
    equal(thought.type, "thinking", "the first block")
    assert thought.thinking and isinstance(thought.signature, str), thought
    contains(text(answer), WEATHER)
    return usage


def thinking_stream(model):
    question, more = user(ASK_WEATHER), {"tools": tools("get_weather"), **thoughts(model)}
    first = streamed(model, [question], **more)
    # What seals a call of Gemini's is a block of its own behind it.
    equal([block.type for block in first.content if block.type != "redacted_thinking"], ["thinking", "tool_use"])
    assert first.content[0].thinking, first.content
    second = streamed(model, [question, {"role": "assistant", "content": first.content}, results(first)], **more)
    contains(text(second), WEATHER)
    return total(used(first), used(second))


def bad_key(model):
    other = client.with_options(api_key=BAD_KEY)
    call = lambda: other.messages.create(model=model, max_tokens=10, messages=[user(HELLO)])
    equal(raises(anthropic.AuthenticationError, call, 401).body["error"]["type"], "authentication_error")


def unknown_model(model):
    error = raises(anthropic.NotFoundError, lambda: create(f"{model}-{UNKNOWN_MODEL}", [user(HELLO)]), 404)
    equal(error.body["error"]["type"], "not_found_error")


def bad_request(model):
    error = raises(anthropic.BadRequestError, lambda: create(model, [{"role": "nobody", "content": HELLO}]), 400)
    equal(error.body["error"]["type"], "invalid_request_error")
    contains(str(error), "role")


def rate_limit(model):
    error = raises(anthropic.RateLimitError, lambda: create(model, [user(RATE_LIMIT)]), 429)
    equal(error.body["error"]["type"], "rate_limit_error")
    equal(error.response.headers["retry-after"], "7")


def server_error(model):
    error = raises(anthropic.InternalServerError, lambda: create(model, [user(SERVER_ERROR)]))
    equal(error.body["error"]["type"], "api_error")
    assert error.request_id and error.status_code >= 500, error


def cancel(model):
    with client.messages.stream(model=model, max_tokens=8000, messages=[user(SLOW)]) as events:
        next(iter(events.text_stream))
    return "cancelled"


def retry(model):
    """The SDK loses its patience with the first, and by its own retries gets the answer to it."""
    create = client.with_options(timeout=IMPATIENT, max_retries=5).messages.with_raw_response.create
    headers = {"idempotency-key": f"retry-{model}"}
    answer = create(model=model, max_tokens=8000, messages=[user(LATE)], extra_headers=headers)
    equal(answer.headers["x-tollgate-replayed"], "true")
    assert answer.retries_taken > 0
    return used(answer.parse())


def count_tokens(model):
    message = user(HELLO)
    counted = client.messages.count_tokens(model=model, messages=[message]).input_tokens
    answer = create(model, [message])
    # DeepSeek does not count, so that for its model it is an estimate.
    if not model.startswith("deepseek"):
        equal(counted, used(answer)[0], "the count")
    assert counted > 0
    return used(answer)


def models(_):
    # The pages are fetched one after the other.
    listed = [model.id for model in client.models.list(limit=50)]
    assert set(listed).issuperset(MODELS), set(MODELS) - set(listed)
    equal(len(listed), len(set(listed)), "the number of models")
    equal(client.models.retrieve("gpt-5.4").id, "gpt-5.4")


run(
    globals(),
    [
        ("retry", MODELS, retry),
        ("count_tokens", MODELS, count_tokens),
        ("models", ["all"], models),
    ],
)
