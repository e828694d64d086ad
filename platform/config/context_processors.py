"""What every page's frame needs."""

from functools import cached_property
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.http import project_of
from accounts.models import Membership, Project, Role, User
from inference.models import Deployment
from jobs.models import Job

THEMES = ("light", "dark", "auto")


class Shell:
    """The frame's facts; each is looked up only when a page shows it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def user(self) -> User | None:
        """The signed-in user."""
        user = getattr(self._request, "user", None)
        return user if isinstance(user, User) else None

    @cached_property
    def project(self) -> Project | None:
        """The project the user works in now."""
        if self.user is None:
            return None
        try:
            return project_of(self._request)
        except PermissionDenied:
            return None

    @cached_property
    def _roles(self) -> dict[Project, int]:
        """The user's projects with his role in each."""
        rows = Membership.objects.filter(user=self.user).select_related("project")
        return {row.project: row.role for row in rows.order_by("project__name")}

    @property
    def projects(self) -> list[Project]:
        """The projects the user may switch to: his own, also for operators who could see all."""
        return [] if self.user is None else list(self._roles)

    @cached_property
    def _role(self) -> int:
        """The user's role in the project as a number, 0 for none."""
        if self.project is None or self.user is None:
            return 0
        if self.user.is_staff:
            return self.project.role_of(self.user)
        return self._roles.get(self.project, 0)

    @property
    def role(self) -> str:
        """The user's role in the project, in words."""
        return str(Role(self._role).label) if self._role else ""

    @cached_property
    def may_train(self) -> bool:
        """Whether data may be uploaded and trainings started in the project."""
        return self._role >= Role.RESEARCHER

    @cached_property
    def may_deploy(self) -> bool:
        """Whether models may be deployed in the project."""
        return self._role >= Role.DEVELOPER

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trainings go on and how many models are in service in the project."""
        if self.project is None:
            return {"jobs": 0, "deployments": 0}
        jobs = Job.objects.filter(project=self.project).active()
        deployments = Deployment.objects.filter(project=self.project).active()
        return {
            "jobs": jobs.filter(kind=Job.Kind.TRAIN).count(),
            "deployments": deployments.count(),
        }

    @property
    def theme(self) -> str:
        """What the reader chose: light, dark or auto."""
        chosen = self._request.COOKIES.get("theme", "").split("-")[0]
        return chosen if chosen in THEMES else "auto"

    @property
    def theme_shown(self) -> str:
        """light or dark; for auto what the reader's system said last time."""
        return "dark" if self._request.COOKIES.get("theme", "").endswith("dark") else "light"


def shell(request: HttpRequest) -> dict[str, Any]:
    """The user's project, those he may switch to, and the counts beside the navigation."""
    frame = Shell(request)
    return {
        "shell": frame,
        "project": SimpleLazyObject(lambda: frame.project),
        "projects": SimpleLazyObject(lambda: frame.projects),
        "counts": SimpleLazyObject(lambda: frame.counts),
    }
