"""A line of work on the start page: from its data to its service."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import cached_property

from accounts.models import Project
from common.phrases import gettext as _
from config.home import data_of, with_data
from config.templatetags.trainer import duration, metric, number_short
from datasets.models import Dataset
from inference.models import Deployment
from jobs.models import Job
from jobs.services import reading
from registry.metrics import BY_KEY as METRICS
from registry.models import Evaluation, ModelVersion


@dataclass(frozen=True)
class Step:
    """One station of the way. `look` is done, now, bad or empty: it comes later."""

    icon: str
    title: str
    text: str
    look: str = ""
    url: str = ""


class Way:
    """A line of work from its data to its service, read from what is really there."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.title = job.output_name or job.name

    @cached_property
    def output(self) -> ModelVersion | None:
        """What the training made."""
        return self.job.output_version

    @cached_property
    def family(self) -> list[ModelVersion]:
        """What the training made and what was exported from it."""
        if self.output is None:
            return []
        exported = ModelVersion.objects.filter(base=self.output).exclude(
            kind=ModelVersion.Kind.ADAPTER
        )
        return [self.output, *exported.select_related("model")]

    @property
    def steps(self) -> list[Step]:
        """The five stations."""
        return [self._data(), self._train(), self._evaluate(), self._export(), self._deploy()]

    def _data(self) -> Step:
        versions = data_of(self.job)
        if not versions:
            return Step("database", _("Data"), _("deleted"), "done")
        first = versions[0]
        rows = _("%(n)s rows") % {"n": number_short(sum(version.rows for version in versions))}
        url = reverse("datasets:dataset_detail", args=[first.dataset_id])
        return Step("database", _("Data"), f"{first} · {rows}", "done", url)

    def _train(self) -> Step:
        job = self.job
        words = [job.get_method_display() or job.get_stage_display()]
        look = "now"
        if job.state == Job.State.SUCCEEDED:
            look = "done"
            loss = job.latest.get("train_loss", job.latest.get("loss"))
            words += [_("loss %(value)s") % {"value": metric(loss)}] if loss is not None else []
        elif job.state in Job.FINAL:
            look = "bad" if job.state == Job.State.FAILED else "done" if self.output else ""
            words.append(str(job.get_state_display()))
        elif job.state == Job.State.RUNNING and job.total_steps:
            words.append(f"{job.percent} %")
            if found := reading.remaining(job):
                words.append(_("%(time)s left") % {"time": duration(found.seconds)})
        else:
            words.append(str(job.get_state_display()))
        url = reverse("jobs:job_detail", args=[job.pk])
        return Step("graduation-cap", _("Train"), " · ".join(words), look, url)

    def _evaluate(self) -> Step:
        icon, title = "scale", _("Evaluate")
        found = Evaluation.objects.filter(version__in=self.family).first() if self.family else None
        if found is not None:
            url = reverse("registry:evaluation_detail", args=[found.pk])
            return Step(icon, title, _score(found), "done", url)
        running = self._running(Job.Kind.EVALUATE)
        if running is not None:
            return self._going_on(icon, title, running)
        return Step(icon, title, _("scores beside the base model"), self._next(), self._model_url())

    def _export(self) -> Step:
        icon, title = "package", _("Export")
        for version in self.family[1:]:
            url = reverse("registry:version_detail", args=[version.pk])
            return Step(icon, title, f"{version} · {version.get_kind_display()}", "done", url)
        running = self._running(Job.Kind.EXPORT)
        if running is not None:
            return self._going_on(icon, title, running)
        return Step(icon, title, _("merge, check parity"), "", self._model_url())

    def _deploy(self) -> Step:
        icon, title = "rocket", _("Deploy")
        found = Deployment.objects.filter(version__in=self.family, project=self.job.project)
        current = found.active().first() if self.family else None
        if current is not None:
            look = "done" if current.state == Deployment.State.READY else "now"
            url = reverse("inference:deployment_detail", args=[current.pk])
            return Step(icon, title, f"{current.name} · {current.get_state_display()}", look, url)
        if self.family and found.exists():
            return Step(icon, title, _("was in service"), "done", self._model_url())
        return Step(icon, title, _("API and playground"), "", self._model_url())

    def _running(self, kind: str) -> Job | None:
        if not self.family:
            return None
        jobs = Job.objects.filter(kind=kind, model_version__in=self.family).active()
        return jobs.first()

    def _going_on(self, icon: str, title: str, job: Job) -> Step:
        text = f"{job.percent} %" if job.percent else str(job.get_state_display())
        return Step(icon, title, text, "now", reverse("jobs:job_detail", args=[job.pk]))

    def _next(self) -> str:
        return "now" if self.output is not None else ""

    def _model_url(self) -> str:
        if self.output is None:
            return ""
        return reverse("registry:model_detail", args=[self.output.model_id])


def _score(evaluation: Evaluation) -> str:
    """The score that says most."""
    for name in ("rougeL", "bleu", "exact_match", "perplexity"):
        if evaluation.scores.get(name) is not None:
            return f"{METRICS[name].label} {metric(evaluation.scores[name])}"
    return str(evaluation.dataset_label)


def way(project: Project) -> Way | None:
    """The newest training's line of work; None before the first training."""
    jobs = Job.objects.filter(project=project, kind=Job.Kind.TRAIN)
    jobs = jobs.exclude(state=Job.State.CANCELLED)
    job = with_data(jobs.select_related("output_version__model", "project")).first()
    return Way(job) if job is not None else None


def first_steps(project: Project) -> list[Step]:
    """The way of somebody who has trained nothing yet."""
    dataset = Dataset.objects.filter(project=project).first()
    has_data = dataset is not None
    data_url = reverse("datasets:dataset_create")
    if dataset is not None:
        data_url = reverse("datasets:dataset_detail", args=[dataset.pk])
    return [
        Step(
            "database",
            _("Data"),
            str(dataset) if dataset else _("Upload tables or documents; each row is checked"),
            "done" if has_data else "now",
            data_url,
        ),
        Step(
            "graduation-cap",
            _("Train"),
            _("Choose a base model and what it should learn"),
            "now" if has_data else "",
            reverse("jobs:job_create"),
        ),
        Step("scale", _("Evaluate"), _("See whether it got better, and how surely")),
        Step("package", _("Export"), _("Merge the weights and check that nothing changed")),
        Step("rocket", _("Deploy"), _("Chat with it here or by the OpenAI API")),
    ]
