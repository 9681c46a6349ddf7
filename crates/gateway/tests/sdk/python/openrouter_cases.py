"""The SDK `openrouter`: chat, with what it cost; embeddings, models."""

import json
from decimal import Decimal

from openrouter import OpenRouter, errors
from pydantic import BaseModel

from common import *

client = OpenRouter(api_key=KEY, server_url=f"{BASE_URL}/api/v1", retry_config=None)


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


run(
    globals(),
    [
        ("embeddings", EMBEDDING, embeddings),
        ("generation", MODELS, generation),
        ("models", ["all"], models),
    ],
)
