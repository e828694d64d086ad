"""Who asks, and in which project."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.models import Membership, Project, User


def actor(request: HttpRequest) -> User:
    """The signed-in user; PermissionDenied for anybody else."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def project_of(request: HttpRequest) -> Project:
    """The project the user works in now: the one chosen in this session, else the personal one."""
    user = actor(request)
    chosen = request.session.get("project") if hasattr(request, "session") else None
    project = Project.objects.visible_to(user).filter(pk=chosen).first() if chosen else None
    if project is None:
        project = Project.objects.filter(personal_of=user).first()
    if project is None:
        membership = Membership.objects.filter(user=user).select_related("project").first()
        if membership is None:
            raise PermissionDenied
        project = membership.project
    return project
