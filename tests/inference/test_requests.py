"""What a chat request may say: the table of refusals."""

import json

import pytest

from inference.openai import ApiError, read_chat_request

HI = [{"role": "user", "content": "hi"}]
GOOD = {"model": "m", "messages": HI}


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": None}, "model", "missing_required_parameter"),
        ({"model": " "}, "model", "missing_required_parameter"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": []}, "messages", "invalid_type"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": HI * 1001}, "messages", "array_above_max_length"),
        ({"messages": ["hi"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": ["user"], "content": ""}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
            "invalid_value",
        ),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"temperature": -1}, "temperature", "decimal_below_min_value"),
        ({"temperature": float("nan")}, "temperature", "decimal_above_max_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
        ({"frequency_penalty": 3}, "frequency_penalty", "decimal_above_max_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 10**9}, "max_tokens", "integer_above_max_value"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens", "invalid_type"),
        ({"seed": "x"}, "seed", "invalid_type"),
        ({"stop": 1}, "stop", "invalid_type"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"n": 2}, "n", "unsupported_value"),
        ({"tools": [{}]}, "tools", "unsupported_parameter"),
        ({"functions": [{}]}, "functions", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
    ],
)
def test_refusals_name_the_parameter(change, param, code) -> None:
    with pytest.raises(ApiError) as refused:
        read_chat_request(GOOD | change)
    assert (refused.value.param, refused.value.code, refused.value.status) == (param, code, 400)
    assert refused.value.headers == {"x-should-retry": "false"}


@pytest.mark.parametrize("body", [[], "x", None, 1])
def test_a_body_that_is_no_object(body) -> None:
    with pytest.raises(ApiError):
        read_chat_request(body)


def test_what_is_sent_on_is_built_anew_from_what_was_checked() -> None:
    body = GOOD | {
        "messages": [
            {"role": "developer", "content": "be kind", "name": "x"},
            {"role": "user", "content": [{"type": "text", "text": text} for text in "ab"]},
        ],
        "temperature": 0,
        "max_tokens": 7,
        "max_completion_tokens": 9,
        "stop": "end",
        "n": 1,
        "tool_choice": "none",
        "tools": [],
        "user": "me",
        "made_up": {"deep": 1},
        "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    sent = read_chat_request(body).upstream_body("served")
    assert sent == {
        "model": "served",
        "messages": [
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": "ab"},
        ],
        "temperature": 0.0,
        "max_tokens": 9,
        "stop": ["end"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    json.dumps(sent)
