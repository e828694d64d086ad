"""Resumable uploads: the tus protocol, version 1.0.0, with creation, expiration, termination and
checksum. See https://tus.io/protocols/resumable-upload.
"""

import base64
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.exceptions import APIException, UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor, project_of
from accounts.permissions import within_reach
from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import whole
from datasets import services
from datasets.models import Upload
from datasets.parsing.names import NAME_MAX, is_showable, shown
from datasets.upload_serializers import UploadSerializer

VERSION = "1.0.0"
PIECE = "application/offset+octet-stream"
RESUMABLE = OpenApiParameter(
    "Tus-Resumable", str, OpenApiParameter.HEADER, required=True, enum=[VERSION]
)


class _WrongVersion(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = f"Say Tus-Resumable: {VERSION}."


class UploadViewSet(mixins.ListModelMixin, GenericViewSet[Upload]):
    """The caller's own uploads that did not become a version yet."""

    queryset = Upload.objects.none()
    serializer_class = UploadSerializer
    filterset_fields = ("project", "path", "size")

    def get_queryset(self) -> QuerySet[Upload]:
        """Nobody sees another's."""
        return within_reach(Upload.objects.order_by("-created_at"), self.request)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        """Every answer says which protocol this is."""
        response = super().finalize_response(*args, **kwargs)
        response["Tus-Resumable"] = VERSION
        response["Tus-Version"] = VERSION
        response["Cache-Control"] = "no-store"
        return response

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """What this server can do."""
        return Response(
            status=status.HTTP_204_NO_CONTENT,
            headers={
                "Tus-Extension": "creation,expiration,termination,checksum",
                "Tus-Max-Size": str(settings.UPLOAD_MAX_BYTES),
                "Tus-Checksum-Algorithm": ",".join(services.CHECKSUMS),
            },
        )

    @extend_schema(
        request=None,
        parameters=[
            RESUMABLE,
            OpenApiParameter("Upload-Length", int, OpenApiParameter.HEADER, required=True),
            OpenApiParameter(
                "Upload-Metadata",
                str,
                OpenApiParameter.HEADER,
                description="`filename`, `path` in its folder, `modified`, by which a client tells"
                " whether the file changed, and `folder_files` and `folder_size` (bytes) of the"
                " whole folder; each with its value in Base64.",
            ),
            OpenApiParameter("X-Project", OpenApiTypes.UUID, OpenApiParameter.HEADER),
        ],
        responses={201: UploadSerializer},
    )
    def create(self, request: Request) -> Response:
        """Announces a file; its address is in `Location`. The project's storage is held for it."""
        _same_version(request)
        size = whole(request.headers.get("Upload-Length", ""), 18)
        if size is None:
            raise DomainError(_("Upload-Length must say how many bytes will come."), code="length")
        told = _metadata(request.headers.get("Upload-Metadata", ""))
        upload = services.upload_create(
            project=project_of(request),
            created_by=actor(request),
            filename=told.get("filename", "file"),
            path=told.get("path", ""),
            modified=told.get("modified", ""),
            folder_files=whole(told.get("folder_files", "")),
            folder_size=whole(told.get("folder_size", ""), 18),
            size=size,
        )
        address = reverse("api-upload-detail", args=[upload.pk])
        return Response(
            self.get_serializer(upload).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": address, **_headers(upload)},
        )

    @extend_schema(responses=UploadSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """How much has arrived; as headers, too, so that HEAD is enough."""
        upload = self.get_object()
        return Response(self.get_serializer(upload).data, headers=_headers(upload))

    @extend_schema(
        request={PIECE: OpenApiTypes.BINARY},
        parameters=[
            RESUMABLE,
            OpenApiParameter("Upload-Offset", int, OpenApiParameter.HEADER, required=True),
            OpenApiParameter("Upload-Checksum", str, OpenApiParameter.HEADER),
        ],
        responses={204: None},
    )
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Appends the body from `Upload-Offset` on, which must be what has arrived."""
        upload = self.get_object()
        _same_version(request)
        if request.content_type != PIECE:
            raise UnsupportedMediaType(request.content_type)
        offset = whole(request.headers.get("Upload-Offset", ""), 18)
        if offset is None:
            raise DomainError(_("Upload-Offset must say where the body begins."), code="offset")
        services.upload_append(
            upload,
            cast("BinaryIO", request.stream or _NOTHING),
            offset=offset,
            checksum=request.headers.get("Upload-Checksum", ""),
        )
        return Response(status=status.HTTP_204_NO_CONTENT, headers=_headers(upload))

    @extend_schema(parameters=[RESUMABLE], responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Discards what has arrived and gives the storage back."""
        upload = self.get_object()
        _same_version(request)
        services.uploads_delete([upload])
        return Response(status=status.HTTP_204_NO_CONTENT)


class _Empty:
    def read(self, _size: int = -1) -> bytes:
        return b""


_NOTHING = _Empty()


def _same_version(request: Request) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise _WrongVersion


def _headers(upload: Upload) -> dict[str, str]:
    return {
        "Upload-Offset": str(upload.received),
        "Upload-Length": str(upload.size),
        "Upload-Expires": http_date(upload.expires_at.timestamp()),
    }


def _metadata(header: str) -> dict[str, str]:
    """Names and values as tus writes them; DomainError for what is no Base64, cannot be shown or
    is too long to be kept.
    """
    found: dict[str, str] = {}
    for pair in filter(None, header.split(",")):
        name, _space, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value, validate=True).decode()
        except ValueError as error:
            raise DomainError(
                _("Upload-Metadata must hold its values in Base64 of UTF-8."), code="metadata"
            ) from error
        if not is_showable(text) or len(text) > NAME_MAX:
            raise DomainError(
                _(
                    "“%(name)s” cannot be kept under this name: with its folder it has more than"
                    " %(limit)s letters, or signs that cannot be shown. Rename it, then upload it"
                    " again."
                )
                % {"name": shown(text, 80), "limit": NAME_MAX},
                code="metadata",
            )
        found[name] = text
    return found
