"""The SDK `google-genai`: generateContent, token counts, embeddings, models."""

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from common import *

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=BASE_URL))


class Weather(BaseModel):
    city: str
    degrees: int
    words: list[str]


def config(*names, **more):
    """With these tools, which the SDK is not to call by itself."""
    functions = [
        types.FunctionDeclaration(
            name=name,
            description=TOOLS[name][0],
            parameters=types.Schema(
                type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]
            ),
        )
        for name in names
    ]
    if functions:
        more["tools"] = [types.Tool(function_declarations=functions)]
    return types.GenerateContentConfig(**more)


def user(text):
    return types.UserContent(parts=[types.Part.from_text(text=text)])


def create(model, contents, config=None):
    return client.models.generate_content(model=model, contents=contents, config=config)


def used(answer):
    usage = answer.usage_metadata
    prompt = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
    output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    equal(usage.total_token_count, prompt + output, "the total")
    return prompt, output


def plain(model):
    answer = create(model, HELLO)
    contains(answer.text, HELLO)
    equal(answer.candidates[0].finish_reason, types.FinishReason.STOP)
    return used(answer)


def stream(model):
    text, last = "", None
    for chunk in client.models.generate_content_stream(model=model, contents=HELLO):
        text += chunk.text or ""
        last = chunk
    contains(text, HELLO)
    equal(last.candidates[0].finish_reason, types.FinishReason.STOP)
    return used(last)


def results(calls):
    """What the tools say to these calls."""
    for call in calls:
        assert isinstance(call.args["city"], str), call
    parts = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"result": TOOLS[call.name][1]}
            )
        )
        for call in calls
    ]
    return types.UserContent(parts=parts)


def called(model, question, names, **more):
    """A question whose answer needs these tools: the answer that calls them, the last one, the usage of both."""
    settings = config(*names, **more)
    first = create(model, [user(question)], settings)
    equal([call.name for call in first.function_calls], list(names))
    history = [user(question), first.candidates[0].content, results(first.function_calls)]
    second = create(model, history, settings)
    return first, second, total(used(first), used(second))


def tools_round_trip(model):
    _, answer, usage = called(model, ASK_WEATHER, ["get_weather"])
    contains(answer.text, WEATHER)
    return usage


def streamed(model, contents, settings):
    """The parts of all elements, as a history takes them, and the last element."""
    parts, last = [], None
    for last in client.models.generate_content_stream(model=model, contents=contents, config=settings):
        parts += last.candidates[0].content.parts or []
    return parts, last


def tools_stream(model):
    settings = config("get_weather")
    parts, last = streamed(model, [user(ASK_WEATHER)], settings)
    calls = [part.function_call for part in parts if part.function_call]
    equal([call.name for call in calls], ["get_weather"])
    history = [user(ASK_WEATHER), types.ModelContent(parts=parts), results(calls)]
    texts, end = streamed(model, history, settings)
    contains("".join(part.text or "" for part in texts), WEATHER)
    return total(used(last), used(end))


def parallel_tools(model):
    _, answer, usage = called(model, ASK_BOTH, ["get_weather", "get_time"])
    contains(answer.text, WEATHER)
    contains(answer.text, TIME)
    return usage


def tools_by_the_sdk(model):
    """The SDK calls the functions by itself, and asks again."""

    def get_weather(city: str) -> str:
        """The weather in a city."""
        assert isinstance(city, str), city
        return WEATHER

    chat = client.chats.create(model=model, config=types.GenerateContentConfig(tools=[get_weather]))
    answer = chat.send_message(ASK_WEATHER)
    contains(answer.text, WEATHER)
    # The usage of the request that called for the function is not in the answer.
    return "unknown"


STRUCTURED = {"response_mime_type": "application/json", "response_schema": Weather}


def structured(model):
    answer = create(model, ASK_WEATHER, config(**STRUCTURED))
    assert isinstance(answer.parsed, Weather), answer
    return used(answer)


def structured_stream(model):
    parts, last = streamed(model, ASK_WEATHER, config(**STRUCTURED))
    Weather.model_validate_json("".join(part.text or "" for part in parts))
    return used(last)


def picture():
    return [types.Part.from_bytes(data=PNG, mime_type="image/png"), "What is this?"]


def image(model):
    answer = create(model, picture())
    contains(answer.text, SEES)
    return used(answer)


def image_refused(model):
    raises(errors.ClientError, lambda: create(model, picture()), 400)


def thoughts(model):
    if model in ("gemini-2.5-flash", "claude-sonnet-4-5"):
        return types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
    return types.ThinkingConfig(include_thoughts=True, thinking_level="LOW")


def thinking(model):
    """The thoughts and their signatures go back where they were."""
    first, answer, usage = called(model, ASK_WEATHER, ["get_weather"], thinking_config=thoughts(model))
    parts = first.candidates[0].content.parts
    assert parts[0].thought and parts[0].text, parts
    contains(answer.text, WEATHER)
    return usage


def thinking_stream(model):
    parts, last = streamed(model, HELLO, config(thinking_config=thoughts(model)))
    assert any(part.thought and part.text for part in parts), parts
    contains("".join(part.text or "" for part in parts if not part.thought), HELLO)
    return used(last)


def bad_key(model):
    other = genai.Client(api_key=BAD_KEY, http_options=types.HttpOptions(base_url=BASE_URL))
    error = raises(errors.ClientError, lambda: other.models.generate_content(model=model, contents=HELLO))
    assert (error.code, error.status) in [(401, "UNAUTHENTICATED"), (400, "INVALID_ARGUMENT")], error


def unknown_model(model):
    error = raises(errors.ClientError, lambda: create(f"{model}-{UNKNOWN_MODEL}", HELLO), 404)
    equal(error.status, "NOT_FOUND")


def bad_request(model):
    nonsense = types.Content(role="nobody", parts=[types.Part.from_text(text=HELLO)])
    error = raises(errors.ClientError, lambda: create(model, [nonsense]), 400)
    equal(error.status, "INVALID_ARGUMENT")


def rate_limit(model):
    error = raises(errors.ClientError, lambda: create(model, RATE_LIMIT), 429)
    equal(error.status, "RESOURCE_EXHAUSTED")
    # Google says it in the body, the gateway in the header too.
    equal(error.response.headers.get("retry-after"), "7")


def server_error(model):
    assert raises(errors.ServerError, lambda: create(model, SERVER_ERROR)).code >= 500


def cancel(model):
    events = client.models.generate_content_stream(model=model, contents=SLOW)
    next(events)
    events.close()
    return "cancelled"


def count_tokens(model):
    counted = client.models.count_tokens(model=model, contents=HELLO).total_tokens
    answer = create(model, HELLO)
    # DeepSeek does not count, so that for its model it is an estimate.
    if not model.startswith("deepseek"):
        equal(counted, used(answer)[0], "the count")
    assert counted > 0
    return used(answer)


def embeddings(model):
    answer = client.models.embed_content(model=model, contents=["one text", "another"])
    equal(len(answer.embeddings), 2)
    assert all(isinstance(number, float) for number in answer.embeddings[1].values), answer
    # The SDK does not say what was used.
    return "unknown"


def models(_):
    listed = {model.name for model in client.models.list(config={"page_size": 50})}
    expected = {f"models/{model}" for model in MODELS}
    assert listed.issuperset(expected), expected - listed
    equal(client.models.get(model="claude-opus-5-5").name, "models/claude-opus-5-5")


run(
    globals(),
    [
        ("tools_by_the_sdk", MODELS, tools_by_the_sdk),
        ("count_tokens", MODELS, count_tokens),
        ("embeddings", EMBEDDING, embeddings),
        ("models", ["all"], models),
    ],
)
