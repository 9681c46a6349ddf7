"""What the scripts have in common: the models, the words of the cases, the bill, and one line of JSON for each case.

A case is a function of a model. It uses the SDK as its documentation shows, checks what comes back, and returns the
tokens (input, output) that the SDK says were used. They have to be what the bill grew by.
"""

import base64
import json
import os
import struct
import sys
import time
import traceback
import urllib.request
import zlib
from decimal import Decimal

BASE_URL = os.environ["BASE_URL"]
KEY = os.environ["KEY"]
MANAGEMENT_KEY = os.environ["MANAGEMENT_KEY"]
PAST_KEY = os.environ["PAST_KEY"]
USER = os.environ["USER_NAME"]

# Of each provider an older and a newer one, which are asked in different ways.
MODELS = [
    "gpt-4o",
    "gpt-5-mini",
    "gpt-5.4",
    "claude-sonnet-4-5",
    "claude-opus-5-5",
    "gemini-2.5-flash",
    "gemini-3-flash-preview",
    "deepseek-v4-flash",
]
# gpt-4o does not think.
THINKING = [model for model in MODELS if model != "gpt-4o"]
# DeepSeek's model does not see: an image has to be refused, not dropped.
SEEING = [model for model in MODELS if not model.startswith("deepseek")]
BLIND = [model for model in MODELS if model.startswith("deepseek")]
# Those of OpenAI and Gemini make vectors.
EMBEDDING = ["text-embedding-3-small", "gemini-embedding-001"]

UNKNOWN_MODEL = "no-such-model"
BAD_KEY = "tg-000000000000000000000000000000000000"

HELLO = "Hello there"
ASK_WEATHER = "What is the weather in Paris?"
ASK_BOTH = "What are both the weather and the time in Paris?"
WEATHER = "18 degrees and sunny"
TIME = "a quarter past nine"
BAD_REQUEST = "fault:status:400"
RATE_LIMIT = "fault:429:7"
SERVER_ERROR = "fault:status:500"
SLOW = "fault:slow:30"
LATE = "fault:delay:500"
# In seconds; less than that.
IMPATIENT = 0.3

WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "A city"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = {
    "get_weather": ("The weather in a city", WEATHER),
    "get_time": ("The time in a city", TIME),
}


# What every SDK is tried with: a name, the models, and the function of the script that does it.
CASES = [
    ("plain", MODELS, "plain"),
    ("stream", MODELS, "stream"),
    ("tools", MODELS, "tools_round_trip"),
    ("tools_stream", MODELS, "tools_stream"),
    ("parallel_tools", MODELS, "parallel_tools"),
    ("structured", MODELS, "structured"),
    ("structured_stream", MODELS, "structured_stream"),
    ("image", SEEING, "image"),
    ("image", BLIND, "image_refused"),
    ("thinking", THINKING, "thinking"),
    ("thinking_stream", THINKING, "thinking_stream"),
    ("bad_key", MODELS, "bad_key"),
    ("unknown_model", MODELS, "unknown_model"),
    ("bad_request", MODELS, "bad_request"),
    ("rate_limit", MODELS, "rate_limit"),
    ("server_error", MODELS, "server_error"),
    ("cancel", MODELS, "cancel"),
]


def png(width=2, height=2):
    """A small white picture."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + b"\xff" * 3 * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PNG = png()
PNG_BASE64 = base64.b64encode(PNG).decode()
SEES = f"image (image/png, {len(PNG)} bytes)"


def bill():
    """`priceToPay` as it stands."""
    request = urllib.request.Request(f"{BASE_URL}/api/usage/check", headers={"user": USER, "api-key": KEY})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
        return json.load(response)["priceToPay"]


def counters(price):
    exact = Decimal(price["exact"]["final_price"])
    return price["total_input_tokens"], price["total_output_tokens"], exact


def equal(found, expected, what="it"):
    assert found == expected, f"{what} is {found!r}, not {expected!r}"


def contains(text, part):
    assert part in (text or ""), f"{part!r} is not in {text!r}"


def total(*usages):
    """The sum of several (input, output), or (input, output, cost)."""
    return tuple(sum(parts) for parts in zip(*usages, strict=True))


def raises(kind, call, status=None):
    """The exception of this kind that a call raises."""
    try:
        call()
    except Exception as error:
        assert isinstance(error, kind), f"{type(error).__name__} in place of {kind.__name__}: {error}"
        if status is not None:
            found = getattr(error, "status_code", None) or getattr(error, "code", None)
            equal(found, status, "the status")
        return error
    raise AssertionError(f"nothing was raised in place of {kind.__name__}")


def grown_by(before, used):
    """Compares what the bill grew by with what the SDK reports.

    Of a cancelled stream there has to be something, and where an SDK says nothing of the usage too.
    """
    if used in ("cancelled", "unknown"):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if counters(bill())[0] > before[0]:
                return
            time.sleep(0.02)
        raise AssertionError("nothing of it is in the bill")
    used = tuple(used or (0, 0, 0))
    # Most SDKs do not know what it cost.
    grown = tuple(new - old for new, old in zip(counters(bill()), before, strict=True))[: len(used)]
    equal(used, grown, "the usage that the SDK reports, beside the growth of the bill,")


def run(functions, more=()):
    """Runs what every SDK is tried with, by the names of a script's functions, and more: (name, models, function).

    Arguments of the command line choose names and models.
    """
    cases = [(name, models, functions[function]) for name, models, function in CASES]
    cases.extend(more)
    chosen = set(sys.argv[1:])
    for name, models, case in cases:
        for model in models:
            if chosen and not chosen & {name, model}:
                continue
            line = {"case": name, "model": model, "ok": True, "detail": ""}
            try:
                before = counters(bill())
                grown_by(before, case(model))
            except Exception as error:
                line["ok"] = False
                line["detail"] = f"{type(error).__name__}: {error}"[:1500]
                if chosen:
                    traceback.print_exc()
            print(json.dumps(line), flush=True)
