"""The OpenAI-compatible doors: POST /v1/chat/completions and GET /v1/models.

Asynchronous Django views, because only these notice at once that a client is gone. A request costs
one look-up of the key and one of the deployment; the answer's bytes are passed on as they come.
"""

import asyncio
import functools
import logging
import threading
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Concatenate, ParamSpec, Self

import orjson
from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import override
from django.views.decorators.csrf import csrf_exempt

from accounts.authentication import user_for_key
from accounts.models import ApiKey, User
from common.languages import accepted, spoken
from common.phrases import gettext as _
from common.texts import whole
from inference.activity import Use
from inference.models import Deployment
from inference.openai import REQUEST_MAX_BYTES, ApiError, model_not_found, read_chat_request
from inference.services import NotReady, Target, deployment_named, model_target
from inference.threads import in_database
from inference.upstream import Answer, unavailable

P = ParamSpec("P")
Answering = Coroutine[Any, Any, HttpResponseBase]
logger = logging.getLogger(__name__)
LOADING_RETRY_SECONDS = 5


class Caller:
    """Who sent a request: by which key, and in which language to refuse it."""

    def __init__(self, request: HttpRequest) -> None:
        self._header = request.headers.get("accept-language", "")
        scheme, _space, key = request.headers.get("authorization", "").strip().partition(" ")
        self._key = key.strip() if scheme.lower() == "bearer" else ""
        self._preference: str | None = None  # of the key's owner; None until the key is looked up

    def user(self, *, writes: bool) -> User:
        """Whose key it is; ApiError for none, an unknown one or too small a scope."""
        self.key_required()
        found = self._look_up()
        if found is None:
            raise ApiError(
                _("Incorrect API key provided: it is unknown, revoked or expired."),
                status=401,
                kind="authentication_error",
                code="invalid_api_key",
            )
        user, row = found
        if writes and row.scope == ApiKey.Scope.READ:
            raise ApiError(
                _("This key may only read. Use one with the scope “chat” or “all”."),
                status=403,
                kind="permission_error",
                code="scope_too_small",
            )
        return user

    def key_required(self) -> None:
        """ApiError when the request brought no key."""
        if not self._key:
            raise ApiError(
                _(
                    "You did not provide an API key. Send it as “Authorization: Bearer <key>”; "
                    "keys are made on the account page."
                ),
                status=401,
                kind="authentication_error",
                code="missing_api_key",
            )

    async def language(self) -> str:
        """That of the header, else of the key's owner, else the default.

        Only for what is refused before its key was looked up does this ask the database.
        """
        if wish := accepted(self._header):
            return wish
        if self._preference is None and self._key:
            with suppress(Error):  # a refusal is told in any case
                await in_database(self._look_up)
        return spoken(self._preference or "")

    def _look_up(self) -> tuple[User, ApiKey] | None:
        found = user_for_key(self._key)
        self._preference = found[0].language if found else ""
        return found


View = Callable[Concatenate[HttpRequest, Caller, P], Answering]
Door = Callable[Concatenate[HttpRequest, P], Answering]


def door(*methods: str) -> Callable[[View[P]], Door[P]]:
    """Makes a view of the gateway: allowed methods, refusals in OpenAI's shape, a request id."""

    def decorate(view: View[P]) -> Door[P]:
        async def wrapped(
            request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            request_id = f"req_{uuid.uuid4().hex}"
            caller = Caller(request)
            try:
                if request.method not in methods:
                    raise ApiError(
                        _("Not allowed: {method} {path}. Use {other}.").format(
                            method=request.method, path=request.path, other=methods[0]
                        ),
                        status=405,
                        code="method_not_allowed",
                    )
                response = await view(request, caller, *args, **kwargs)
            except ApiError as refusal:
                response = await _refused(refusal, caller)
            except Exception:
                logger.exception("gateway request %s", request_id)
                text = _("The platform failed. Tell an operator this number: {number}")
                failure = ApiError(text.format(number=request_id), status=500, kind="server_error")
                response = await _refused(failure, caller)
            response["x-request-id"] = request_id
            return response

        functools.update_wrapper(wrapped, view)
        return csrf_exempt(wrapped)

    return decorate


async def _refused(refusal: ApiError, caller: Caller) -> HttpResponse:
    """A refusal in the caller's language."""
    with override(await caller.language()):
        return _json(refusal.body, refusal.status, refusal.headers)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """A JSON answer; bytes are JSON already."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpResponse(raw, content_type="application/json", status=status, headers=headers)


@door("POST")
async def chat_completions(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """Answers a chat, whole or as a stream."""
    caller.key_required()
    chat = read_chat_request(_body(request))
    target = await in_database(_enter, caller, chat.model)
    use = Use(target)
    if not await use.begin():
        await in_database(_enter, caller, chat.model)  # says what became of it
        raise unavailable()
    answer = Answer(target, chat)
    try:
        await answer.open()
        if chat.stream:
            relay = Relay(answer, use, caller)
            response = StreamingHttpResponse(relay, content_type="text/event-stream; charset=utf-8")
            response["Cache-Control"] = "no-cache"
            response["X-Accel-Buffering"] = "no"
            return response
        whole = await answer.whole()
    except BaseException:
        answer.close()
        use.end()
        raise
    use.end()
    return _json(whole)


@door("GET", "HEAD")
async def model_list(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """The deployments that answer now."""
    rows = await in_database(_ready_models, caller)
    return _json({"object": "list", "data": rows})


@door("GET", "HEAD")
async def model_detail(request: HttpRequest, caller: Caller, name: str) -> HttpResponseBase:
    """One deployment by its name or id, in whatever state."""
    return _json(await in_database(_one_model, caller, name))


@door("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
async def unknown(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """Every other address below /v1/."""
    raise ApiError(
        _(
            "Unknown address: {method} {path}. Here are POST /v1/chat/completions and "
            "GET /v1/models."
        ).format(method=request.method, path=request.path),
        status=404,
        code="unknown_url",
    )


class Relay:
    """Passes a replica's events on. It ends with an error event when the replica breaks off, and
    stops the replica when the client is gone."""

    def __init__(self, answer: Answer, use: Use, caller: Caller) -> None:
        self._answer = answer
        self._use = use
        self._caller = caller
        self._events = answer.events()
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next events."""
        if self._over:
            raise StopAsyncIteration
        try:
            return await anext(self._events)
        except ApiError as error:
            self.close()
            with override(await self._caller.language()):
                return b"data: " + orjson.dumps(error.body) + b"\n\n"
        except BaseException:  # the end, or the client is gone
            self.close()
            raise

    def close(self) -> None:
        """Called at the end of the response, however it ends, and by Django from another thread."""
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self.close)
        elif not self._over:
            self._over = True
            self._answer.close()
            self._use.end()

    async def aclose(self) -> None:
        """The same, for `aclosing`."""
        self.close()


def _body(request: HttpRequest) -> object:
    """The request's JSON, of bounded size."""
    too_large = ApiError(
        _("The request is larger than {size} MB.").format(size=REQUEST_MAX_BYTES // 2**20),
        status=413,
        code="request_too_large",
    )
    if (whole(request.headers.get("content-length", ""), 18) or 0) > REQUEST_MAX_BYTES:
        raise too_large
    raw = request.read(REQUEST_MAX_BYTES + 1)
    if len(raw) > REQUEST_MAX_BYTES:
        raise too_large
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(
            _("The request body is not valid JSON: {error}, line {line}.").format(
                error=error.msg, line=error.lineno
            ),
            code="invalid_json",
        ) from None


def _enter(caller: Caller, name: str) -> Target:
    """The replica that answers for a name, for whoever holds the key."""
    user = caller.user(writes=True)
    try:
        target = model_target(user, name)
    except NotReady as refusal:
        raise _not_ready(refusal) from None
    if target is None:
        raise model_not_found(name)
    return target


def _not_ready(refusal: NotReady) -> ApiError:
    """A deployment that loads is worth a retry; one that has ended is not."""
    if refusal.code in {Deployment.State.LOADING, Deployment.State.WAITING}:
        return ApiError(
            refusal.message,
            status=503,
            kind="server_error",
            param="model",
            code=f"model_{refusal.code}",
            retry_after=LOADING_RETRY_SECONDS,
        )
    return ApiError(
        refusal.message, status=409, kind="conflict_error", param="model", code="model_not_deployed"
    )


def _row(deployment: Deployment) -> dict[str, Any]:
    """A deployment as OpenAI describes a model."""
    return {
        "id": deployment.name,
        "object": "model",
        "created": int(deployment.created_at.timestamp()),
        "owned_by": deployment.project.name,
        "x_deployment": str(deployment.pk),
        "x_state": deployment.state,
    }


def _ready_models(caller: Caller) -> list[dict[str, Any]]:
    """What the key's user can chat with now."""
    user = caller.user(writes=False)
    rows = Deployment.objects.editable_by(user).filter(state=Deployment.State.READY)
    return [_row(row) for row in rows.select_related("project")[:1000]]


def _one_model(caller: Caller, name: str) -> dict[str, Any]:
    """A deployment of the key's user."""
    deployment = deployment_named(caller.user(writes=False), name)
    if deployment is None:
        raise model_not_found(name)
    return _row(deployment)
