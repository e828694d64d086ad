"""Who asks, and in which project."""

from collections.abc import Callable, Mapping
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from accounts.models import Membership, Project, User
from accounts.services import project_enter
from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import id_of

_KEPT = "_trainer_project"  # where a request keeps the project it was found to be about


def actor(request: HttpRequest) -> User:
    """The signed-in user; PermissionDenied for anybody else."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def operator_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Only operators find the page; for everybody else there is none."""

    @login_required
    @wraps(view)
    def checked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not actor(request).is_staff:
            raise Http404
        return view(request, *args, **kwargs)

    return checked


def work_in(request: HttpRequest, project: Project) -> None:
    """From now on the pages show this project, also after the next log-in."""
    request.session["project"] = str(project.pk)
    project_enter(project, user=actor(request))
    vars(request)[_KEPT] = project


def project_of(request: HttpRequest) -> Project:
    """The project the user works in now.

    Over the API the one named by the field `project` or the header `X-Project` (DomainError when
    the user does not see it); on pages the one chosen in this session; else the personal one.
    """
    kept = vars(request)
    if _KEPT not in kept:
        kept[_KEPT] = _find_project(request)
    project: Project = kept[_KEPT]
    return project


def _find_project(request: HttpRequest) -> Project:
    user = actor(request)
    if named := _named(request):
        return _project_named(user, named)
    chosen = request.session.get("project") if hasattr(request, "session") else None
    project = Project.objects.visible_to(user).filter(pk=chosen).first() if chosen else None
    return project or _home_of(user)


def _named(request: HttpRequest) -> str:
    """The project's id as an API call names it."""
    data = getattr(request, "data", None)  # DRF's requests only: a page's form has no such say
    value = data.get("project") if isinstance(data, Mapping) else None
    return str(value or request.headers.get("X-Project") or "")


def _project_named(user: User, named: str) -> Project:
    wanted = id_of(named)
    found = Project.objects.visible_to(user).filter(pk=wanted).first() if wanted else None
    if found is None:
        raise DomainError(
            _("You are in no project with this id. GET /api/v1/projects/ lists yours."),
            field="project",
            code="project_unknown",
        )
    return found


def _home_of(user: User) -> Project:
    """The personal project, or where there is none the first the user is a member of."""
    project = Project.objects.filter(personal_of=user).first()
    if project is not None:
        return project
    membership = Membership.objects.filter(user=user).select_related("project").first()
    if membership is None:
        raise PermissionDenied
    return membership.project
