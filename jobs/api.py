"""Jobs over REST: everything the pages do."""

from typing import Any
from urllib.parse import quote

from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor, project_of
from accounts.models import Event
from accounts.permissions import within_reach
from common.api import number_asked
from common.downloads import download
from common.texts import text_of
from jobs import services
from jobs.archives import archive_stream
from jobs.engines import engine_named
from jobs.engines.base import Choice, Field
from jobs.filters import JobFilter
from jobs.models import Attempt, Job
from jobs.serializers import (
    ChangeSerializer,
    CheckpointSerializer,
    EventSerializer,
    FileSerializer,
    JobRowSerializer,
    JobSerializer,
    LogSerializer,
    MetricsSerializer,
    NewJobSerializer,
    PreviewSerializer,
    ResumeSerializer,
    RetrySerializer,
)
from jobs.services import reading

LOG_BYTES = 64 * 1024
LOG_BYTES_MAX = 1024 * 1024
ATTEMPT = OpenApiParameter("attempt", OpenApiTypes.INT, description="The newest when left out.")


def _choice(row: Choice) -> dict[str, Any]:
    return {
        "value": row.value,
        "title": str(row.title),
        "text": str(row.text),
        "available": not row.reason,
        "reason": str(row.reason),
    }


def _field(row: Field) -> dict[str, Any]:
    return {
        "name": row.name,
        "label": str(row.label),
        "help": str(row.help),
        "kind": row.kind,
        "minimum": row.minimum,
        "maximum": row.maximum,
        "choices": [[value, str(label)] for value, label in row.choices],
        "kinds": row.kinds,
        "stages": row.stages,
        "methods": row.methods,
        "main": row.is_main,
    }


class JobViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Job]):
    """Training, evaluation and export."""

    queryset = Job.objects.none()
    serializer_class = JobSerializer
    filterset_class = JobFilter

    def get_queryset(self) -> QuerySet[Job]:
        """What the user may see, or change."""
        rows = within_reach(Job.objects.with_parts(), self.request)
        if self.action == "list":
            return rows
        return rows.prefetch_related(
            "datasets__dataset_version__dataset",
            "attempts__workload__node",
            "evaluations__baseline",
        )

    def get_serializer_class(self) -> Any:
        """Short in the list."""
        return JobRowSerializer if self.action == "list" else JobSerializer

    def _row(self, job: Job, status: int = 200) -> Response:
        fresh = Job.objects.with_parts().prefetch_related(
            "datasets__dataset_version__dataset",
            "attempts__workload__node",
            "evaluations__baseline",
        )
        return Response(JobSerializer(fresh.get(pk=job.pk)).data, status=status)

    def _draft(self, request: Request) -> dict[str, Any]:
        form = NewJobSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        data = dict(form.validated_data)
        data["project"] = data.pop("project", None) or project_of(request)
        return data

    @extend_schema(
        request=NewJobSerializer,
        responses={201: JobSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="Sending the same key again gives the job of the first time.",
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Checks and submits a job."""
        job = services.job_submit(
            created_by=actor(request),
            idempotency_key=text_of(request.headers, "Idempotency-Key", 120),
            **self._draft(request),
        )
        return self._row(job, 201)

    @extend_schema(request=NewJobSerializer, responses=PreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """The final configuration of a draft, and what it would need; nothing is submitted."""
        data = self._draft(request)
        for name in ("dataset_versions", "eval_dataset_versions", "after_dataset_versions"):
            data[name] = tuple(data.get(name, ()))
        checked = services.draft_check(services.Draft(**data), by=actor(request))
        needs = checked.estimate
        return Response(
            {
                "config": checked.engine.render(checked.order),
                "settings": dict(checked.order.settings),
                "steps": needs.steps,
                "memory_bytes": needs.total,
                "memory": [[str(label), size] for label, size in needs.parts],
                "disk_bytes": needs.disk_bytes,
                "gpus": checked.order.gpus,
            }
        )

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=False, methods=["get"], pagination_class=None, filterset_class=None)
    def options(self, request: Request) -> Response:  # type: ignore[override]
        """Goals, methods, presets and settings that the engine offers, with why not where not."""
        engine = engine_named("llamafactory")
        goals = engine.goals("train")
        return Response(
            {
                "engine": {"name": engine.name, "version": engine.version()},
                "kinds": [{"value": value, "title": str(text)} for value, text in Job.Kind.choices],
                "goals": [
                    _choice(goal)
                    | {
                        "methods": [
                            _choice(row)
                            | {"pausable": not engine.why_not_pausable(goal.value, row.value)}
                            for row in engine.methods(goal.value)
                        ]
                    }
                    for goal in goals
                ],
                "presets": [_choice(row) for row in engine.presets("sft", "lora")],
                "fields": [_field(row) for row in engine.all_fields()],
                "arguments": engine.arguments(),
            }
        )

    @extend_schema(request=ChangeSerializer, responses=JobSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes the priority: 0 to 100, higher is served first."""
        form = ChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        job = self.get_object()
        return self._row(
            services.job_priority_set(job.pk, by=actor(request), **form.validated_data)
        )

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Deletes a job that does not run, with its files; model versions and scores stay."""
        services.job_delete(self.get_object().pk, by=actor(request))
        return Response(status=204)

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Ends the job and keeps nothing."""
        return self._row(services.job_cancel(self.get_object().pk, by=actor(request)))

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Ends a training and keeps what it learnt."""
        return self._row(services.job_stop(self.get_object().pk, by=actor(request)))

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Saves a checkpoint and gives the place free."""
        return self._row(services.job_pause(self.get_object().pk, by=actor(request)))

    @extend_schema(request=ResumeSerializer, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Goes on from the last checkpoint or the named one."""
        form = ResumeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        chosen = form.validated_data.get("checkpoint")
        return self._row(
            services.job_resume(self.get_object().pk, by=actor(request), checkpoint_id=chosen)
        )

    @extend_schema(request=RetrySerializer, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Tries a failed job again."""
        form = RetrySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return self._row(
            services.job_retry(self.get_object().pk, by=actor(request), **form.validated_data)
        )

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["get"], filterset_class=None)
    def clone(self, request: Request, pk: str) -> Response:
        """A body for POST /jobs/ that would submit the same again."""
        job = self.get_object()
        uses: dict[str, list[str]] = {"train": [], "eval": [], "after": []}
        for row in job.datasets.all():
            uses[row.use].append(str(row.dataset_version_id))
        return Response(
            {
                "kind": job.kind,
                "name": job.name,
                "project": str(job.project_id),
                "model_version": str(job.model_version_id),
                "dataset_versions": uses["train"],
                "eval_dataset_versions": uses["eval"],
                "after_dataset_versions": uses["after"],
                "stage": job.stage,
                "method": job.method,
                "preset": job.preset,
                "settings": job.settings,
                "config_overrides": job.config_overrides,
                "priority": job.priority,
                "gpus": job.gpus,
                "output_name": job.output_name,
                "parent": str(job.pk),
            }
        )

    @extend_schema(responses=MetricsSerializer)
    @action(detail=True, methods=["get"], filterset_class=None)
    def metrics(self, request: Request, pk: str) -> Response:
        """All points, by step; `after` gives those after a step only."""
        rows = self.get_object().metrics.select_related("attempt")
        after = number_asked(request, "after", -1)
        points = [
            {
                "step": row.step,
                "epoch": row.epoch,
                "time": row.at,
                "attempt": row.attempt.number,
                "values": row.values,
            }
            for row in (rows.filter(step__gt=after) if after >= 0 else rows)
        ]
        return Response({"points": points})

    @extend_schema(responses=CheckpointSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def checkpoints(self, request: Request, pk: str) -> Response:
        """States that can be resumed from."""
        rows = self.get_object().checkpoints.select_related("attempt")
        return Response(CheckpointSerializer(rows, many=True).data)

    @extend_schema(responses=EventSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def events(self, request: Request, pk: str) -> Response:
        """What happened to it."""
        rows = Event.objects.of(self.get_object()).select_related("actor")
        return Response(EventSerializer(rows, many=True).data)

    def _attempt(self, request: Request) -> Attempt:
        job = self.get_object()
        rows = job.attempts.select_related("workload")
        number = number_asked(request, "attempt", 0)
        found = rows.filter(number=number).first() if number else rows.last()
        if found is None:
            raise Http404
        return found

    @extend_schema(
        parameters=[
            ATTEMPT,
            OpenApiParameter("offset", OpenApiTypes.INT, description="From this byte on."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="At most 1048576 bytes."),
        ],
        responses=LogSerializer,
    )
    @action(detail=True, methods=["get"], filterset_class=None)
    def log(self, request: Request, pk: str) -> Response:
        """An attempt's log from a byte on; without `offset` its end."""
        path = self._attempt(request).workload.log_path
        limit = min(max(number_asked(request, "limit", LOG_BYTES), 1), LOG_BYTES_MAX)
        offset, raw = 0, b""
        if path.exists():
            with path.open("rb") as log:
                size = log.seek(0, 2)
                offset = min(number_asked(request, "offset", max(size - limit, 0)), size)
                log.seek(offset)
                raw = log.read(limit)
        text = raw.decode("utf-8", errors="replace")
        return Response({"offset": offset, "next": offset + len(raw), "text": text})

    @extend_schema(parameters=[ATTEMPT], responses=FileSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def files(self, request: Request, pk: str) -> Response:
        """What an attempt wrote."""
        attempt = self._attempt(request)
        rows = [
            {**vars(row), "url": f"{request.path}{quote(row.path)}/?attempt={attempt.number}"}
            for row in reading.files_of(attempt)
        ]
        return Response(FileSerializer(rows, many=True).data)

    @extend_schema(parameters=[ATTEMPT], responses={(200, "application/octet-stream"): bytes})
    @action(
        detail=True,
        methods=["get"],
        url_path=r"files/(?P<path>.+)",
        url_name="file",
        filterset_class=None,
    )
    def file(self, request: Request, pk: str, path: str) -> HttpResponseBase:
        """One file."""
        found = reading.file_of(self._attempt(request), path)
        if found is None:
            raise Http404
        return download(found, filename=found.name)

    @extend_schema(
        parameters=[
            ATTEMPT,
            OpenApiParameter("checkpoints", OpenApiTypes.BOOL, description="With checkpoints."),
        ],
        responses={(200, "application/zip"): bytes},
    )
    @action(detail=True, methods=["get"], filterset_class=None)
    def archive(self, request: Request, pk: str) -> HttpResponseBase:
        """All files as a zip, made while it is sent."""
        attempt = self._attempt(request)
        name = f"{attempt.job_id}-{attempt.number}.zip"
        everything = request.query_params.get("checkpoints", "").lower() in {"1", "true"}
        return StreamingHttpResponse(
            archive_stream(attempt, with_checkpoints=everything),
            content_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
