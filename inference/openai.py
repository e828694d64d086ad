"""The OpenAI chat interface: what a request may say, and the shape of a refusal.

The official client raises its exceptions by the HTTP status and retries 408, 409, 429 and 5xx by
itself unless `x-should-retry` says otherwise, so every refusal says whether a retry makes sense.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.phrases import gettext as _
from common.phrases import said

REQUEST_MAX_BYTES = 2 * 2**20
MESSAGES_MAX = 1000
TOKENS_MAX = 131_072  # of one answer; the model's own context is usually smaller and checked there
STOPS_MAX = 4
ROLES = frozenset({"system", "developer", "user", "assistant"})
# Known parameters that would change the answer if they were honoured: silently ignoring them
# would be a lie. Unknown ones are ignored, as OpenAI's own servers do with many.
UNSUPPORTED = (
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "audio",
    "modalities",
    "prediction",
    "web_search_options",
)


class ApiError(Exception):
    """A refusal in OpenAI's shape. `message` is for people and never holds addresses or keys.

    `retry_after` (seconds) tells the client to try again by itself; without it a client must not.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the answer, in the language that is active now."""
        return {
            "error": {
                "message": said(self.message),
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        """What tells the official client whether to retry."""
        if self.retry_after is None:
            return {"x-should-retry": "false"}
        return {"x-should-retry": "true", "retry-after": str(self.retry_after)}


def model_not_found(name: str) -> ApiError:
    """The same answer for a model that does not exist and for one that is somebody else's."""
    return ApiError(
        _("The model “{name}” does not exist or you do not have access to it.").format(
            name=name[:120]
        ),
        status=404,
        param="model",
        code="model_not_found",
    )


@dataclass(frozen=True)
class ChatRequest:
    """A checked request: which model, and what is sent on."""

    model: str
    messages: list[dict[str, str]]
    stream: bool = False
    include_usage: bool = False
    options: dict[str, Any] = field(default_factory=dict)  # sampling, by OpenAI's names

    def upstream_body(self, served_name: str) -> dict[str, Any]:
        """The request for the engine, built anew from what was checked."""
        body: dict[str, Any] = {"model": served_name, "messages": self.messages, **self.options}
        if self.stream:
            body["stream"] = True
            if self.include_usage:
                body["stream_options"] = {"include_usage": True}
        return body


def read_chat_request(body: object) -> ChatRequest:
    """Checks a chat completion request; ApiError names the parameter to blame."""
    if not isinstance(body, dict):
        raise ApiError(_("The request body has to be a JSON object."), code="invalid_type")
    model = body.get("model")
    if not isinstance(model, str) or not model.strip():
        raise ApiError(
            _("“model” is missing: name one of GET /v1/models."),
            param="model",
            code="missing_required_parameter",
        )
    _refuse_unsupported(body)
    stream, include_usage = _stream(body)
    return ChatRequest(
        model=model.strip(),
        messages=_messages(body.get("messages")),
        stream=stream,
        include_usage=include_usage,
        options=_options(body),
    )


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    """What would be ignored silently is refused by name."""
    for name in UNSUPPORTED:
        if body.get(name) and not (name == "tool_choice" and body[name] == "none"):
            raise ApiError(
                _("“{name}” is not supported here.").format(name=name),
                param=name,
                code="unsupported_parameter",
            )
    if body.get("n") not in {None, 1} or isinstance(body.get("n"), bool):
        raise ApiError(
            _("“n” can only be 1: ask again for another answer."),
            param="n",
            code="unsupported_value",
        )
    wanted = body.get("response_format")
    if wanted is not None and (not isinstance(wanted, dict) or wanted.get("type") != "text"):
        raise ApiError(
            _("“response_format” can only be of type “text” here."),
            param="response_format",
            code="unsupported_value",
        )


def _messages(given: object) -> list[dict[str, str]]:
    """The turns, each with a role and a text."""
    if not isinstance(given, list) or not given:
        raise ApiError(
            _("“messages” has to be a list with at least one message."),
            param="messages",
            code="missing_required_parameter" if given is None else "invalid_type",
        )
    if len(given) > MESSAGES_MAX:
        raise ApiError(
            _("“messages” has {count} entries; {most} are the most.").format(
                count=len(given), most=MESSAGES_MAX
            ),
            param="messages",
            code="array_above_max_length",
        )
    return [_message(message, f"messages[{place}]") for place, message in enumerate(given)]


def _message(message: object, param: str) -> dict[str, str]:
    """One turn."""
    if not isinstance(message, dict):
        raise ApiError(_("A message has to be an object."), param=param, code="invalid_type")
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise ApiError(
            _("The role has to be one of {roles}.").format(roles=", ".join(sorted(ROLES))),
            param=f"{param}.role",
            code="invalid_value",
        )
    return {"role": role, "content": _content(message.get("content"), f"{param}.content")}


def _content(content: object, param: str) -> str:
    """A text, which may come as a list of text parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ApiError(
            _("A message needs a text as its content."), param=param, code="invalid_type"
        )
    parts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise ApiError(
                _("Only text is understood here, no images, sounds or files."),
                param=param,
                code="invalid_value",
            )
        parts.append(text)
    return "".join(parts)


def _stream(body: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether to stream, and whether the last chunk tells the usage."""
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise ApiError(_("“stream” has to be true or false."), param="stream", code="invalid_type")
    options = body.get("stream_options")
    if options is None:
        return bool(stream), False
    if not isinstance(options, dict) or not stream:
        raise ApiError(
            _("“stream_options” has to be an object and needs “stream” to be true."),
            param="stream_options",
            code="invalid_value",
        )
    return True, bool(options.get("include_usage"))


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling settings that were given, within their bounds."""
    options: dict[str, Any] = {}
    for name, low, high in (
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("presence_penalty", -2.0, 2.0),
        ("frequency_penalty", -2.0, 2.0),
    ):
        number = _number(body.get(name), name, low, high)
        if number is not None:
            options[name] = number
    for name, least, most in (
        ("max_tokens", 1, TOKENS_MAX),
        ("max_completion_tokens", 1, TOKENS_MAX),
        ("seed", -(2**63), 2**63 - 1),
    ):
        whole = _whole(body.get(name), name, least, most)
        if whole is not None:
            options[name] = whole
    # The newer name wins, as the client's documentation says.
    if "max_completion_tokens" in options:
        options["max_tokens"] = options.pop("max_completion_tokens")
    stops = _stops(body.get("stop"))
    if stops:
        options["stop"] = stops
    return options


def _number(value: object, name: str, low: float, high: float) -> float | None:
    """A number within bounds, None where it is absent."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(
            _("“{name}” has to be a number.").format(name=name), param=name, code="invalid_type"
        )
    if not low <= value <= high:  # also refuses NaN
        raise ApiError(
            _("“{name}” has to be between {low} and {high}.").format(
                name=name, low=f"{low:g}", high=f"{high:g}"
            ),
            param=name,
            code="decimal_below_min_value" if value < low else "decimal_above_max_value",
        )
    return float(value)


def _whole(value: object, name: str, least: int, most: int) -> int | None:
    """A whole number within bounds, None where it is absent."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ApiError(
            _("“{name}” has to be a whole number.").format(name=name),
            param=name,
            code="invalid_type",
        )
    if not least <= value <= most:
        raise ApiError(
            _("“{name}” has to be between {low} and {high}.").format(
                name=name, low=least, high=most
            ),
            param=name,
            code="integer_below_min_value" if value < least else "integer_above_max_value",
        )
    return value


def _stops(value: object) -> list[str]:
    """The texts that end an answer."""
    if value is None:
        return []
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ApiError(
            _("“stop” has to be a text or a list of texts."), param="stop", code="invalid_type"
        )
    if len(texts) > STOPS_MAX:
        raise ApiError(
            _("“stop” takes at most {most} texts.").format(most=STOPS_MAX),
            param="stop",
            code="array_above_max_length",
        )
    return [text for text in texts if text]
