"""What nodes without the shared directory ask and tell: `/api/v1/agent/…`.

A node signs in with its own key and reaches nothing but the workloads that have their place on it,
in the epoch that it claims: a node that names another's workload, or speaks for an epoch that is
over, is refused and changes nothing.
"""

import json
import uuid
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.errors import Conflict, DomainError
from common.texts import id_of, whole
from nodes.authentication import IsNode, NodeKeyAuthentication
from nodes.models import Node, Workload
from nodes.services.sharing import home_id
from nodes.signals import workload_progressed, workload_staged
from nodes.staging.growth import grow
from nodes.staging.inputs import input_entries, input_file, input_links, pieces, span_of
from nodes.staging.outputs import (
    output_take,
    outputs_forget,
    outputs_keep,
    outputs_wanted,
    refuse_own,
)
from nodes.staging.trees import BadTree, Entry, entries_read, is_inside, is_sha256

FRAME_MAX_BYTES = 8 * 2**20
State = Workload.State
# Not before it was claimed and not after its end; `placed` may read its inputs already.
BEGUN = (State.STARTING, State.RUNNING, State.STOPPING)


class NotYours(DomainError):
    """The workload has its place elsewhere, or the epoch is not the present one."""

    http_status = 403
    code = "not_yours"


class Over(Conflict):
    """The workload has ended; nothing of it is taken any more."""

    code = "over"


class BadMessage(DomainError):
    """The message is not what this address expects."""

    http_status = 400
    code = "bad_message"


class BytesParser(BaseParser):
    """A body of plain bytes; the views read it themselves."""

    media_type = "application/octet-stream"

    def parse(self, stream: Any, *args: Any, **kwargs: Any) -> Any:
        """The body; a byte more than is allowed shows that it is too long."""
        return bytes(stream.read(FRAME_MAX_BYTES + 1))


class NodeView(APIView):
    """An address for nodes; of no interest to people, and not in their list of addresses."""

    schema = None
    authentication_classes = (NodeKeyAuthentication,)
    permission_classes = (IsNode,)
    renderer_classes = (JSONRenderer,)

    @property
    def node(self) -> Node:
        """Who asks."""
        node = self.request.auth
        assert isinstance(node, Node)
        return node


def _whole_number(value: object, what: str) -> int:
    number = whole(str(value), 18)
    if number is None:
        raise BadMessage(f"{what} is a number of bytes.")
    return number


def workload_of(node: Node, workload_id: object, epoch: object) -> Workload:
    """The workload if it has begun on this node in this epoch. Raises `NotYours` or `Over`."""
    key = id_of(str(workload_id))
    if key is None:
        raise BadMessage(f"{str(workload_id)[:80]!r} is not a workload.")
    workload = Workload.objects.filter(pk=key, node=node).first()
    if workload is None or str(workload.epoch) != str(epoch):
        raise NotYours(f"{node.name} does not run epoch {str(epoch)[:20]} of workload {key}.")
    if workload.state == State.ENDED:
        raise Over(f"Workload {key} has ended.")
    if workload.state not in BEGUN:
        raise NotYours(f"Workload {key} has not been claimed.")
    return workload


def _entries(rows: object) -> list[Entry]:
    try:
        found = entries_read(rows)
        refuse_own(found)
    except BadTree as error:
        raise BadMessage(str(error)) from None
    return found


class AgentHome(NodeView):
    """For a node that starts."""

    def get(self, request: Request) -> Response:
        """The node's name, and the mark of the control plane's directory."""
        return Response({"node": self.node.name, "home": home_id(make=True)})


class AgentGrowth(NodeView):
    """Logs and metrics of the node's workloads, as they grow."""

    parser_classes = (BytesParser,)

    def post(self, request: Request) -> Response:
        """One line of JSON, `{"parts": [{workload, epoch, file, offset, size, seal}]}`, and then
        the bytes of all parts one behind the other. Each part is judged by itself.
        """
        header, parts, body = self._read(request.data)
        answers, position = [], 0
        for part in parts:
            size = _whole_number(part.get("size"), "A size")
            data = body[position : position + size]
            position += size
            if len(data) != size:
                raise BadMessage("There are fewer bytes than the parts have.")
            answers.append(self._take(part, bytes(data)))
        if position != len(body) or header.keys() != {"parts"}:
            raise BadMessage("There are more bytes than the parts have.")
        return Response({"parts": answers})

    def _read(self, message: object) -> tuple[dict[str, Any], list[dict[str, Any]], memoryview]:
        if not isinstance(message, bytes) or len(message) > FRAME_MAX_BYTES:
            raise BadMessage(f"A message has at most {FRAME_MAX_BYTES} bytes.")
        line, _newline, _rest = message.partition(b"\n")
        try:
            header = json.loads(line)
            parts = header["parts"]
            good = isinstance(parts, list) and all(isinstance(part, dict) for part in parts)
        except (ValueError, KeyError, TypeError, RecursionError):
            good = False
        if not good:
            raise BadMessage("The first line is not a list of parts.")
        return header, parts, memoryview(message)[len(line) + 1 :]

    def _take(self, part: dict[str, Any], data: bytes) -> dict[str, Any]:
        answer = {"workload": part.get("workload"), "file": part.get("file")}
        try:
            workload = workload_of(self.node, part.get("workload"), part.get("epoch"))
            offset = _whole_number(part.get("offset"), "An offset")
            if part.get("file") not in {"log", "metrics"}:
                raise BadMessage("A file is “log” or “metrics”.")
        except DomainError as refused:
            return {**answer, "refused": refused.code, "detail": refused.message}
        is_log = part["file"] == "log"
        path = workload.log_path if is_log else workload.metrics_path
        seal = bool(part.get("seal"))
        following = grow(path, offset, data, seal=seal)
        if not is_log and (data or seal):
            workload_progressed.send_robust(sender=Workload, workload_id=workload.pk)
        return {**answer, "next": following}


class AgentInput(NodeView):
    """What a workload reads."""

    def get(self, request: Request, workload_id: uuid.UUID, epoch: int, name: str) -> Response:
        """The files of an input, and where else those can be read that the store holds."""
        workload = workload_of(self.node, workload_id, epoch)
        entries = input_entries(workload, name)
        links = input_links(workload, name, entries)
        return Response({"files": [entry.as_json() for entry in entries], "links": links})


class AgentInputFile(NodeView):
    """A file of an input, whole or the part that a Range header names."""

    def get(
        self, request: Request, workload_id: uuid.UUID, epoch: int, name: str
    ) -> HttpResponseBase:
        """The file `?path=`; 206 with the bytes asked for, 416 where there are none."""
        workload = workload_of(self.node, workload_id, epoch)
        path = input_file(workload, name, request.query_params.get("path", ""))
        size = path.stat().st_size
        header = request.headers.get("Range", "")
        span = span_of(header, size)
        if span is None:
            return HttpResponse(
                status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                headers={"Content-Range": f"bytes */{size}"},
            )
        response = StreamingHttpResponse(
            pieces(path, span.start, span.end), content_type="application/octet-stream"
        )
        response["Accept-Ranges"] = "bytes"
        response["Content-Length"] = span.end - span.start
        if span.end - span.start < size:
            response.status_code = HTTPStatus.PARTIAL_CONTENT
            response["Content-Range"] = span.content_range
        return response


class AgentOutputs(NodeView):
    """What a workload brings back: offered first, kept when all of it has come."""

    def post(self, request: Request, workload_id: uuid.UUID, epoch: int) -> Response:
        """Which contents are wanted, and from which byte on."""
        workload = workload_of(self.node, workload_id, epoch)
        entries = _entries(self._message(request).get("files"))
        return Response({"wanted": outputs_wanted(workload, entries)})

    def put(self, request: Request, workload_id: uuid.UUID, epoch: int) -> Response:
        """Keeps the files: all below the folder `below`, or with an empty one all there are."""
        workload = workload_of(self.node, workload_id, epoch)
        message = self._message(request)
        entries, below = _entries(message.get("files")), str(message.get("below", ""))
        if below and not (below.startswith("output/") and is_inside(below)):
            raise BadMessage(f"{below[:200]!r} is not a folder of the output.")
        if below and not all(entry.path.startswith(f"{below}/") for entry in entries):
            raise BadMessage("A file lies outside of the folder.")
        folders = message.get("folders")
        if below and not isinstance(folders, list):
            raise BadMessage("The folders of the output are a list of names.")
        outputs_keep(workload, below, entries, folders=set(map(str, folders or ())))
        if not below:
            outputs_forget(workload.pk)
        workload_staged.send_robust(sender=Workload, workload_id=workload.pk)
        return Response(status=HTTPStatus.NO_CONTENT)

    def _message(self, request: Request) -> dict[str, Any]:
        if not isinstance(request.data, dict):
            raise BadMessage("A list of files is expected.")
        return request.data


class AgentOutputBytes(NodeView):
    """The contents of a file that was offered."""

    parser_classes = (BytesParser,)

    def put(self, request: Request, workload_id: uuid.UUID, epoch: int, sha256: str) -> Response:
        """A piece at `?offset=` of the `?size=` bytes; the next offset wanted."""
        workload = workload_of(self.node, workload_id, epoch)
        if not is_sha256(sha256):
            raise BadMessage("A SHA-256 is 64 lower-case hexadecimal digits.")
        size = _whole_number(request.query_params.get("size"), "A size")
        offset = _whole_number(request.query_params.get("offset"), "An offset")
        data = request.data if isinstance(request.data, bytes) else b""
        if len(data) > FRAME_MAX_BYTES:
            raise BadMessage(f"A piece has at most {FRAME_MAX_BYTES} bytes.")
        try:
            following = output_take(workload, sha256, size=size, offset=offset, data=data)
        except BadTree as error:
            raise BadMessage(str(error)) from None
        return Response({"next": following})
