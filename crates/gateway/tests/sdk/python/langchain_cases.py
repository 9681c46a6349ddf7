"""LangChain: `langchain-openai`, over both of OpenAI's APIs, `langchain-anthropic` and `langchain-google-genai`.

CLIENT chooses one of the four.
"""

import os
import warnings

from langchain_core import exceptions
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from common import *

warnings.simplefilter("ignore")

CLIENT = os.environ["CLIENT"]
# The newer way to ask for thoughts, where the model's own API has it.
ADAPTIVE = {"claude-opus-5-5", "gpt-5.4", "gemini-3-flash-preview"}


class Weather(BaseModel):
    """The weather in a city"""

    city: str
    degrees: int
    words: list[str]


@tool
def get_weather(city: str) -> str:
    """The weather in a city"""
    assert isinstance(city, str), city
    return WEATHER


@tool
def get_time(city: str) -> str:
    """The time in a city"""
    return TIME


def make(model, key=KEY, **more):
    """The model as each package makes it."""
    if CLIENT == "anthropic":
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(model=model, base_url=BASE_URL, api_key=key, max_tokens=8000, max_retries=0, **more)
    if CLIENT == "google":
        from langchain_google_genai import ChatGoogleGenerativeAI

        return ChatGoogleGenerativeAI(model=model, base_url=BASE_URL, google_api_key=key, max_retries=0, **more)
    from langchain_openai import ChatOpenAI

    responses = CLIENT == "openai-responses"
    return ChatOpenAI(
        model=model,
        base_url=f"{BASE_URL}/v1",
        api_key=key,
        max_retries=0,
        stream_usage=True,
        use_responses_api=responses,
        **more,
    )


def thoughtful(model):
    """A model that is asked to think and to show it."""
    if CLIENT == "openai":
        return make(model, reasoning_effort="low")
    if CLIENT == "openai-responses":
        reasoning = {"effort": "low", "summary": "auto"}
        return make(model, reasoning=reasoning, store=False, include=["reasoning.encrypted_content"])
    if CLIENT == "anthropic" and model in ADAPTIVE:
        return make(model, thinking={"type": "adaptive", "display": "summarized"})
    if CLIENT == "anthropic":
        return make(model, thinking={"type": "enabled", "budget_tokens": 2048})
    if model in ADAPTIVE:
        return make(model, include_thoughts=True, thinking_level="low")
    return make(model, include_thoughts=True, thinking_budget=2048)


def used(message):
    usage = message.usage_metadata
    equal(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"], "the total")
    return usage["input_tokens"], usage["output_tokens"]


def plain(model):
    answer = make(model).invoke(HELLO)
    contains(answer.text, HELLO)
    return used(answer)


def gathered(llm, messages):
    """The chunks of a stream, put together."""
    whole, count = None, 0
    for chunk in llm.stream(messages):
        assert isinstance(chunk, AIMessageChunk), chunk
        whole = chunk if whole is None else whole + chunk
        count += 1
    assert count > 1, "one chunk is no stream"
    return whole


def stream(model):
    answer = gathered(make(model), HELLO)
    contains(answer.text, HELLO)
    return used(answer)


def results(message, tools):
    return [tools[call["name"]].invoke({**call, "type": "tool_call"}) for call in message.tool_calls]


def called(llm, question, tools, ask):
    """A question whose answer needs these tools: the answer that calls them, the last one, the usage of both."""
    bound = llm.bind_tools(tools)
    first = ask(bound, [HumanMessage(question)])
    equal([call["name"] for call in first.tool_calls], [tool.name for tool in tools])
    answers = results(first, {tool.name: tool for tool in tools})
    assert all(isinstance(answer, ToolMessage) for answer in answers), answers
    second = ask(bound, [HumanMessage(question), first, *answers])
    return first, second, total(used(first), used(second))


def invoke(llm, messages):
    return llm.invoke(messages)


def tools_round_trip(model):
    _, answer, usage = called(make(model), ASK_WEATHER, [get_weather], invoke)
    contains(answer.text, WEATHER)
    return usage


def tools_stream(model):
    _, answer, usage = called(make(model), ASK_WEATHER, [get_weather], gathered)
    contains(answer.text, WEATHER)
    return usage


def parallel_tools(model):
    first, answer, usage = called(make(model), ASK_BOTH, [get_weather, get_time], invoke)
    equal(len({call["id"] for call in first.tool_calls}), 2, "the number of ids")
    contains(answer.text, WEATHER)
    contains(answer.text, TIME)
    return usage


def structured(model):
    answer = make(model).with_structured_output(Weather, method="json_schema", include_raw=True).invoke(ASK_WEATHER)
    assert isinstance(answer["parsed"], Weather), answer
    return used(answer["raw"])


def structured_stream(model):
    whole = {}
    for part in make(model).with_structured_output(Weather, method="json_schema", include_raw=True).stream(ASK_WEATHER):
        for key, value in part.items():
            whole[key] = whole[key] + value if key == "raw" and key in whole else value
    assert isinstance(whole["parsed"], Weather), whole
    return used(whole["raw"])


def picture():
    image = {"type": "image", "base64": PNG_BASE64, "mime_type": "image/png"}
    return [HumanMessage(content=[{"type": "text", "text": "What is this?"}, image])]


def image(model):
    answer = make(model).invoke(picture())
    contains(answer.text, SEES)
    return used(answer)


def image_refused(model):
    raises(exceptions.ModelInvalidRequestError, lambda: make(model).invoke(picture()))


def thoughts(message):
    """What the package shows of the thoughts."""
    return [block for block in message.content_blocks if block["type"] == "reasoning"]


def thinking(model):
    first, answer, usage = called(thoughtful(model), ASK_WEATHER, [get_weather], invoke)
    # `langchain-openai` has no place for them in Chat Completions.
    assert CLIENT == "openai" or thoughts(first), first.content_blocks
    contains(answer.text, WEATHER)
    return usage


def thinking_stream(model):
    first, answer, usage = called(thoughtful(model), ASK_WEATHER, [get_weather], gathered)
    assert CLIENT == "openai" or thoughts(first), first.content_blocks
    contains(answer.text, WEATHER)
    return usage


def bad_key(model):
    raises(exceptions.ModelAuthenticationError, lambda: make(model, key=BAD_KEY).invoke(HELLO))


def unknown_model(model):
    raises(exceptions.ModelNotFoundError, lambda: make(f"{model}-{UNKNOWN_MODEL}").invoke(HELLO))


def bad_request(model):
    raises(exceptions.ModelInvalidRequestError, lambda: make(model).invoke(BAD_REQUEST))


def rate_limit(model):
    raises(exceptions.ModelRateLimitError, lambda: make(model).invoke(RATE_LIMIT))


def server_error(model):
    raises(exceptions.ModelAPIError, lambda: make(model).invoke(SERVER_ERROR))


def cancel(model):
    events = make(model).stream(SLOW)
    for chunk in events:
        if chunk.text:
            break
    events.close()
    return "cancelled"


def embeddings(model):
    if CLIENT == "google":
        from langchain_google_genai import GoogleGenerativeAIEmbeddings

        maker = GoogleGenerativeAIEmbeddings(
            model=model, google_api_key=KEY, base_url=BASE_URL
        )
    else:
        from langchain_openai import OpenAIEmbeddings

        maker = OpenAIEmbeddings(
            model=model, base_url=f"{BASE_URL}/v1", api_key=KEY, check_embedding_ctx_length=False
        )
    vectors = maker.embed_documents(["one text", "another"])
    equal(len(vectors), 2)
    assert all(isinstance(number, float) for number in vectors[1]), vectors[1]
    # The package does not say what was used.
    return "unknown"


run(
    globals(),
    [
        ("embeddings", EMBEDDING if CLIENT in ("openai", "google") else [], embeddings),
    ],
)
