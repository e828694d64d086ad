"""Read a chat completion request as the OpenAI API defines it, and refuse what is wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .generation import Sampling
from .models import Loaded

MAX_STOPS = 4
REFUSED_WHEN_SET = ("tools", "functions", "logit_bias", "logprobs", "top_logprobs", "audio")


class RequestError(Exception):
    """A request that is answered with an error object."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class ChatRequest:
    """A request that can be answered."""

    prompt: list[int]
    sampling: Sampling
    stream: bool
    include_usage: bool


@dataclass(frozen=True)
class Defaults:
    """What holds where a request is silent."""

    model_name: str
    max_model_len: int
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None


def _number(body: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    """Return a number of the request, None where it is absent."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(f"'{name}' has to be a number.", param=name, code="invalid_type")
    if not low <= value <= high:
        code = "decimal_below_min_value" if value < low else "decimal_above_max_value"
        text = f"'{name}' has to be between {low:g} and {high:g}; it is {value:g}."
        raise RequestError(text, param=name, code=code)
    return float(value)


def _integer(body: Mapping[str, Any], name: str, low: int) -> int | None:
    """Return a whole number of the request, None where it is absent."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"'{name}' has to be a whole number.", param=name, code="invalid_type")
    if value < low:
        text = f"'{name}' has to be at least {low}; it is {value}."
        raise RequestError(text, param=name, code="integer_below_min_value")
    return value


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts that end an answer."""
    value = body.get("stop")
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        text = "'stop' has to be a text or a list of texts."
        raise RequestError(text, param="stop", code="invalid_type")
    if len(texts) > MAX_STOPS:
        text = f"'stop' takes up to {MAX_STOPS} texts."
        raise RequestError(text, param="stop", code="array_above_max_length")
    return tuple(text for text in texts if text)


def _text(content: Any, param: str) -> str:
    """Return the text of a message, which may come in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = []
        for part in content:
            kind = part.get("type") if isinstance(part, Mapping) else None
            if kind not in ("text", "input_text") or not isinstance(part.get("text"), str):
                text = "Only text is understood here, no images, sounds or files."
                raise RequestError(text, param=param, code="invalid_value")
            parts.append(part["text"])
        return "".join(parts)
    raise RequestError("A message needs a text as its content.", param=param, code="invalid_type")


def _messages(body: Mapping[str, Any]) -> tuple[str | None, list[dict[str, str]]]:
    """Return the system text and the turns, which alternate and end with the user's."""
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        text = "'messages' has to be a list with at least one message."
        raise RequestError(text, param="messages", code="missing_required_parameter")
    system: list[str] = []
    turns: list[dict[str, str]] = []
    for place, message in enumerate(given):
        param = f"messages[{place}]"
        if not isinstance(message, Mapping):
            raise RequestError("A message has to be an object.", param=param, code="invalid_type")
        role = message.get("role")
        content = _text(message.get("content"), f"{param}.content")
        if role in ("system", "developer"):
            system.append(content)
        elif role in ("user", "assistant"):
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += "\n\n" + content
            else:
                turns.append({"role": role, "content": content})
        else:
            text = f"The role {role!r} is unknown; use system, developer, user or assistant."
            raise RequestError(text, param=f"{param}.role", code="invalid_value")
    if not turns or turns[0]["role"] != "user" or turns[-1]["role"] != "user":
        text = "The conversation has to begin and to end with a message of the user."
        raise RequestError(text, param="messages", code="invalid_value")
    return "\n\n".join(system) or None, turns


def _flags(body: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether to stream, and whether to tell the usage at the end of the stream."""
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise RequestError("'stream' has to be true or false.", param="stream", code="invalid_type")
    options = body.get("stream_options")
    if options is None:
        return bool(stream), False
    if not isinstance(options, Mapping):
        text = "'stream_options' has to be an object."
        raise RequestError(text, param="stream_options", code="invalid_type")
    if not stream:
        text = "'stream_options' is only allowed when 'stream' is true."
        raise RequestError(text, param="stream_options", code="invalid_value")
    return True, bool(options.get("include_usage"))


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    """Refuse what would silently be ignored otherwise."""
    if body.get("n") not in (None, 1):
        raise RequestError("'n' can only be 1 here.", param="n", code="unsupported_value")
    for name in REFUSED_WHEN_SET:
        if body.get(name):
            text = f"'{name}' is not supported by this model server."
            raise RequestError(text, param=name, code="unsupported_parameter")
    wanted = body.get("response_format")
    if wanted is not None and (not isinstance(wanted, Mapping) or wanted.get("type") != "text"):
        text = "'response_format' can only be of type 'text' here."
        raise RequestError(text, param="response_format", code="unsupported_value")


def _room(body: Mapping[str, Any], prompt: int, defaults: Defaults) -> int:
    """Return how many tokens the answer may have."""
    room = defaults.max_model_len - prompt
    name = "max_completion_tokens"
    wanted = _integer(body, name, 1)
    if wanted is None:
        name = "max_tokens"
        wanted = _integer(body, name, 1)
    if room < 1 or (wanted is not None and wanted > room):
        asked = f" and {wanted} were asked for the answer" if wanted else ""
        text = (
            f"This model's context holds {defaults.max_model_len} tokens; the messages have "
            f"{prompt}{asked}. Shorten them or ask for a shorter answer."
        )
        param = "messages" if room < 1 else name
        raise RequestError(text, param=param, code="context_length_exceeded")
    if wanted is None:
        wanted = defaults.max_tokens
    return min(wanted, room) if wanted else room


def read_request(body: Any, loaded: Loaded, defaults: Defaults) -> ChatRequest:
    """Check a request and prepare its prompt."""
    if not isinstance(body, Mapping):
        raise RequestError("The body has to be a JSON object.", code="invalid_type")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        text = "'model' is missing."
        raise RequestError(text, param="model", code="missing_required_parameter")
    if model != defaults.model_name:
        text = f"The model '{model}' does not exist here; this server has '{defaults.model_name}'."
        raise RequestError(text, param="model", code="model_not_found", status=404)
    _refuse_unsupported(body)
    stream, include_usage = _flags(body)
    temperature = _number(body, "temperature", 0, 2)
    top_p = _number(body, "top_p", 0, 1)
    presence = _number(body, "presence_penalty", -2, 2)
    frequency = _number(body, "frequency_penalty", -2, 2)
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise RequestError("'seed' has to be a whole number.", param="seed", code="invalid_type")
    stops = _stops(body)
    system, turns = _messages(body)
    prompt, _ = loaded.template.encode_oneturn(
        loaded.tokenizer, [*turns, {"role": "assistant", "content": ""}], system
    )
    sampling = Sampling(
        max_tokens=_room(body, len(prompt), defaults),
        temperature=defaults.temperature if temperature is None else temperature,
        top_p=defaults.top_p if top_p is None else top_p,
        seed=None if seed is None else seed % 2**63,
        stop=stops,
        presence_penalty=presence or 0.0,
        frequency_penalty=frequency or 0.0,
    )
    return ChatRequest(prompt, sampling, stream, include_usage)
