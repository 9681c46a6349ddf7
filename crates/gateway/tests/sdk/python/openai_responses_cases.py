"""The SDK `openai`: Responses and its token counts."""

import json

import openai
from pydantic import BaseModel

from common import *

client = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=KEY, max_retries=0)

# Nothing is kept by the provider: what the next request needs comes back with the answer.
STATELESS = {"store": False, "include": ["reasoning.encrypted_content"]}


class Weather(BaseModel):
    city: str
    degrees: int
    words: list[str]


def tools(*names):
    return [
        {
            "type": "function",
            "name": name,
            "description": TOOLS[name][0],
            "parameters": WEATHER_SCHEMA,
            "strict": True,
        }
        for name in names
    ]


def user(content):
    return {"role": "user", "content": content}


def used(answer):
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens, answer.usage
    return answer.usage.input_tokens, answer.usage.output_tokens


def plain(model):
    answer = client.responses.create(model=model, input=HELLO, instructions="Be brief.")
    contains(answer.output_text, HELLO)
    equal(answer.status, "completed")
    return used(answer)


def streamed(model, input, **more):
    with client.responses.stream(model=model, input=input, **more) as events:
        kinds = [event.type for event in events]
        return kinds, events.get_final_response()


def stream(model):
    text, final = "", None
    for event in client.responses.create(model=model, input=HELLO, stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        if event.type == "response.completed":
            final = event.response
    contains(text, HELLO)
    equal(final.output_text, text)
    return used(final)


def calls(answer):
    return [item for item in answer.output if item.type == "function_call"]


def results(answer):
    """What the tools say to the calls of an answer."""
    for call in calls(answer):
        assert isinstance(json.loads(call.arguments)["city"], str), call
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": TOOLS[call.name][1]}
        for call in calls(answer)
    ]


def called(model, question, names, **more):
    """A question whose answer needs these tools: the answer that calls them, the last one, the usage of both."""
    more = {"tools": tools(*names), **more}
    first = client.responses.create(model=model, input=[user(question)], **more)
    equal([call.name for call in calls(first)], list(names))
    history = [user(question), *first.output, *results(first)]
    second = client.responses.create(model=model, input=history, **more)
    return first, second, total(used(first), used(second))


def tools_round_trip(model):
    _, answer, usage = called(model, ASK_WEATHER, ["get_weather"])
    contains(answer.output_text, WEATHER)
    return usage


def tools_stream(model):
    more = {"tools": tools("get_weather")}
    kinds, first = streamed(model, [user(ASK_WEATHER)], **more)
    assert "response.function_call_arguments.done" in kinds, kinds
    equal([call.name for call in calls(first)], ["get_weather"])
    # Parsed arguments are the SDK's own and no part of the format.
    output = [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in first.output]
    _, second = streamed(model, [user(ASK_WEATHER), *output, *results(first)], **more)
    contains(second.output_text, WEATHER)
    return total(used(first), used(second))


def parallel_tools(model):
    first, answer, usage = called(model, ASK_BOTH, ["get_weather", "get_time"])
    equal(len({call.call_id for call in calls(first)}), 2, "the number of ids")
    contains(answer.output_text, WEATHER)
    contains(answer.output_text, TIME)
    return usage


def structured(model):
    answer = client.responses.parse(model=model, input=ASK_WEATHER, text_format=Weather)
    assert isinstance(answer.output_parsed, Weather), answer
    return used(answer)


def structured_stream(model):
    _, answer = streamed(model, ASK_WEATHER, text_format=Weather)
    assert isinstance(answer.output_parsed, Weather), answer
    return used(answer)


def picture():
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG_BASE64}", "detail": "auto"}
    return [user([{"type": "input_text", "text": "What is this?"}, image])]


def image(model):
    answer = client.responses.create(model=model, input=picture())
    contains(answer.output_text, SEES)
    return used(answer)


def image_refused(model):
    raises(openai.BadRequestError, lambda: client.responses.create(model=model, input=picture()), 400)


def thinking(model):
    """What was thought goes back encrypted, before the calls that came of it."""
    first, answer, usage = called(
        model, ASK_WEATHER, ["get_weather"], reasoning={"effort": "low", "summary": "auto"}, **STATELESS
    )
    equal(first.output[0].type, "reasoning", "the first item")
    contains(answer.output_text, WEATHER)
    assert first.usage.output_tokens_details.reasoning_tokens > 0 or model.startswith("claude"), first.usage
    return usage


def thinking_stream(model):
    kinds, answer = streamed(model, HELLO, reasoning={"effort": "low", "summary": "auto"}, **STATELESS)
    shown = {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}
    assert shown.intersection(kinds), kinds
    contains(answer.output_text, HELLO)
    return used(answer)


def bad_key(model):
    other = client.with_options(api_key=BAD_KEY)
    call = lambda: other.responses.create(model=model, input=HELLO)
    equal(raises(openai.AuthenticationError, call, 401).code, "invalid_api_key")


def unknown_model(model):
    call = lambda: client.responses.create(model=f"{model}-{UNKNOWN_MODEL}", input=HELLO)
    equal(raises(openai.NotFoundError, call, 404).code, "model_not_found")


def bad_request(model):
    call = lambda: client.responses.create(model=model, input=[{"role": "nobody", "content": HELLO}])
    raises(openai.BadRequestError, call, 400)


def rate_limit(model):
    error = raises(openai.RateLimitError, lambda: client.responses.create(model=model, input=RATE_LIMIT), 429)
    equal(error.response.headers["retry-after"], "7")


def server_error(model):
    error = raises(openai.InternalServerError, lambda: client.responses.create(model=model, input=SERVER_ERROR))
    assert error.request_id and error.status_code >= 500, error


def cancel(model):
    events = client.responses.create(model=model, input=SLOW, stream=True)
    for event in events:
        if event.type == "response.output_text.delta":
            break
    events.close()
    return "cancelled"


def count_tokens(model):
    counted = client.responses.input_tokens.count(model=model, input=HELLO).input_tokens
    answer = client.responses.create(model=model, input=HELLO)
    # DeepSeek does not count, so that for its model it is an estimate.
    if not model.startswith("deepseek"):
        equal(counted, used(answer)[0], "the count")
    assert counted > 0
    return used(answer)


run(
    globals(),
    [
        ("count_tokens", MODELS, count_tokens),
    ],
)
