"""The SDK `openai`: Chat Completions, embeddings, models."""

import json

import openai
from pydantic import BaseModel

from common import *

client = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=KEY, max_retries=0)


class Weather(BaseModel):
    city: str
    degrees: int
    words: list[str]


def tools(*names):
    function = lambda name: {"name": name, "description": TOOLS[name][0], "parameters": WEATHER_SCHEMA, "strict": True}
    return [{"type": "function", "function": function(name)} for name in names]


def user(content):
    return {"role": "user", "content": content}


def used(answer):
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer.usage
    return answer.usage.prompt_tokens, answer.usage.completion_tokens


def plain(model):
    answer = client.chat.completions.create(model=model, messages=[user(HELLO)])
    contains(answer.choices[0].message.content, HELLO)
    equal(answer.choices[0].finish_reason, "stop")
    return used(answer)


def stream(model):
    text, usage, reasons = "", None, []
    events = client.chat.completions.create(
        model=model, messages=[user(HELLO)], stream=True, stream_options={"include_usage": True}
    )
    for chunk in events:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons.append(choice.finish_reason)
        if chunk.usage:
            usage = used(chunk)
    contains(text, HELLO)
    equal([reason for reason in reasons if reason], ["stop"])
    return usage


def results(message):
    """What the tools say to the calls of a message."""
    for call in message.tool_calls:
        assert isinstance(json.loads(call.function.arguments)["city"], str), call
    return [
        {"role": "tool", "tool_call_id": call.id, "content": TOOLS[call.function.name][1]} for call in message.tool_calls
    ]


def called(model, question, names, **more):
    """A question whose answer needs these tools, and the answer: its text, and the usage of both requests."""
    more = {"tools": tools(*names), **more}
    first = client.chat.completions.create(model=model, messages=[user(question)], **more)
    message = first.choices[0].message
    equal(first.choices[0].finish_reason, "tool_calls")
    equal([call.function.name for call in message.tool_calls], list(names))
    second = client.chat.completions.create(
        model=model, messages=[user(question), message, *results(message)], **more
    )
    return message, second.choices[0].message, total(used(first), used(second))


def tools_round_trip(model):
    _, answer, usage = called(model, ASK_WEATHER, ["get_weather"])
    contains(answer.content, WEATHER)
    return usage


def tools_stream(model):
    question = [user(ASK_WEATHER)]
    with client.chat.completions.stream(
        model=model, messages=question, tools=tools("get_weather"), stream_options={"include_usage": True}
    ) as events:
        done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
        first = events.get_final_completion()
    equal([event.name for event in done], ["get_weather"])
    message = first.choices[0].message
    with client.chat.completions.stream(
        model=model,
        messages=[*question, message, *results(message)],
        tools=tools("get_weather"),
        stream_options={"include_usage": True},
    ) as events:
        second = events.get_final_completion()
    contains(second.choices[0].message.content, WEATHER)
    return total(used(first), used(second))


def parallel_tools(model):
    message, answer, usage = called(model, ASK_BOTH, ["get_weather", "get_time"])
    equal(len({call.id for call in message.tool_calls}), 2, "the number of ids")
    contains(answer.content, WEATHER)
    contains(answer.content, TIME)
    return usage


def structured(model):
    answer = client.chat.completions.parse(model=model, messages=[user(ASK_WEATHER)], response_format=Weather)
    assert isinstance(answer.choices[0].message.parsed, Weather), answer
    return used(answer)


def structured_stream(model):
    with client.chat.completions.stream(
        model=model,
        messages=[user(ASK_WEATHER)],
        response_format=Weather,
        stream_options={"include_usage": True},
    ) as events:
        answer = events.get_final_completion()
    assert isinstance(answer.choices[0].message.parsed, Weather), answer
    return used(answer)


def picture():
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_BASE64}"}}
    return user([{"type": "text", "text": "What is this?"}, image])


def image(model):
    answer = client.chat.completions.create(model=model, messages=[picture()])
    contains(answer.choices[0].message.content, SEES)
    return used(answer)


def image_refused(model):
    raises(
        openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=[picture()]), 400
    )


def thinking(model):
    """The SDK hands back what it got, the opaque state of thinking too, in fields that it does not know."""
    _, answer, usage = called(model, ASK_WEATHER, ["get_weather"], reasoning_effort="low")
    contains(answer.content, WEATHER)
    return usage


def thinking_stream(model):
    text, usage, tokens = "", None, 0
    for chunk in client.chat.completions.create(
        model=model,
        messages=[user(HELLO)],
        reasoning_effort="low",
        stream=True,
        stream_options={"include_usage": True},
    ):
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        if chunk.usage:
            usage = used(chunk)
            tokens = chunk.usage.completion_tokens_details.reasoning_tokens
    contains(text, HELLO)
    assert 0 < tokens < usage[1] or model.startswith("claude"), (tokens, usage)
    return usage


def bad_key(model):
    other = client.with_options(api_key=BAD_KEY)
    call = lambda: other.chat.completions.create(model=model, messages=[user(HELLO)])
    equal(raises(openai.AuthenticationError, call, 401).code, "invalid_api_key")


def unknown_model(model):
    call = lambda: client.chat.completions.create(model=f"{model}-{UNKNOWN_MODEL}", messages=[user(HELLO)])
    equal(raises(openai.NotFoundError, call, 404).code, "model_not_found")


def bad_request(model):
    nonsense = {"role": "nobody", "content": HELLO}
    call = lambda: client.chat.completions.create(model=model, messages=[nonsense])
    error = raises(openai.BadRequestError, call, 400)
    contains(str(error), "role")


def rate_limit(model):
    call = lambda: client.chat.completions.create(model=model, messages=[user(RATE_LIMIT)])
    error = raises(openai.RateLimitError, call, 429)
    equal(error.response.headers["retry-after"], "7")


def server_error(model):
    call = lambda: client.chat.completions.create(model=model, messages=[user(SERVER_ERROR)])
    error = raises(openai.InternalServerError, call)
    assert error.request_id and error.status_code >= 500, error


def cancel(model):
    events = client.chat.completions.create(model=model, messages=[user(SLOW)], stream=True)
    for chunk in events:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    events.close()
    return "cancelled"


def retry(model):
    """The SDK loses its patience with the first, and by its own retries gets the answer to it."""
    create = client.with_options(timeout=IMPATIENT, max_retries=5).chat.completions.with_raw_response.create
    answer = create(model=model, messages=[user(LATE)], extra_headers={"idempotency-key": f"retry-{model}"})
    equal(answer.headers["x-tollgate-replayed"], "true")
    assert answer.retries_taken > 0
    return used(answer.parse())


def embeddings(model):
    answer = client.embeddings.create(model=model, input=["one text", "another"])
    equal(len(answer.data), 2)
    assert all(isinstance(number, float) for number in answer.data[1].embedding), answer.data[1]
    return answer.usage.prompt_tokens, 0


def models(_):
    listed = {model.id for model in client.models.list()}
    assert listed.issuperset(MODELS), set(MODELS) - listed
    equal(client.models.retrieve("claude-opus-5-5").id, "claude-opus-5-5")


run(
    globals(),
    [
        ("retry", MODELS, retry),
        ("embeddings", EMBEDDING, embeddings),
        ("models", ["all"], models),
    ],
)
