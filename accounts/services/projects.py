"""Projects, their people and their limits."""

import uuid

from django.db import transaction

from accounts.models import Membership, Project, Role, User
from accounts.services.events import event_record
from accounts.signals import project_usage
from common.errors import Conflict, DomainError
from common.phrases import gettext as _


def role_require(user: User, project: Project, role: int) -> None:
    """DomainError when the user's role in the project is smaller than `role`."""
    have = project.role_of(user)
    if have >= role:
        return
    raise DomainError(
        _(
            "You are %(have)s in %(project)s; this needs the role %(need)s."
            " Ask a manager of the project, or work in another project."
        )
        % {
            "have": Role(have).label if have else _("no member"),
            "project": project.name,
            "need": Role(role).label,
        },
        field="project",
        code="role_too_small",
    )


def role_check(role: int) -> None:
    """DomainError when there is no such role."""
    if role not in Role.values:
        raise DomainError(
            _("The role must be one of: %(roles)s.")
            % {"roles": ", ".join(str(value) for value in Role.values)},
            field="role",
        )


def project_hold(project_id: uuid.UUID) -> Project:
    """The project's row, locked until the caller's transaction ends, so that it is not deleted.

    Whatever begins something in a project holds it: Conflict when it was deleted meanwhile.
    """
    project = Project.objects.select_for_update(no_key=True).filter(pk=project_id).first()
    if project is None or project.deleted_at is not None:
        raise Conflict(
            _("This project was deleted. Work in another one."),
            field="project",
            code="project_deleted",
        )
    return project


def project_usage_of(project: Project) -> dict[str, int]:
    """What the project uses now, as the apps above count it: `active_jobs`, `storage_bytes`."""
    total: dict[str, int] = {}
    for _receiver, answer in project_usage.send(Project, project=project):
        counts: dict[str, int] = answer if isinstance(answer, dict) else {}
        for word, amount in counts.items():
            total[word] = total.get(word, 0) + int(amount)
    return total


@transaction.atomic
def project_create(*, name: str, created_by: User) -> Project:
    """A new project with its maker as manager."""
    project = Project.objects.create(name=_checked_name(name))
    Membership.objects.create(project=project, user=created_by, role=Role.MANAGER)
    event_record(project, project=project, actor=created_by, verb="created", new=project.name[:24])
    return project


def project_enter(project: Project, *, user: User) -> None:
    """Remembers that the user works in the project, for the next log-in."""
    user.last_project = project
    user.save(update_fields=["last_project"])


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise DomainError(_("Give the project a name of 1 to 80 signs."), field="name")
    return name


def project_managed(project_id: uuid.UUID, by: User) -> Project:
    """The locked row of a project that the user manages; Project.DoesNotExist otherwise."""
    return Project.objects.editable_by(by).select_for_update(of=("self",)).get(pk=project_id)


@transaction.atomic
def project_rename(project_id: uuid.UUID, *, name: str, by: User) -> Project:
    """Gives a project another name."""
    project = project_managed(project_id, by)
    old, project.name = project.name, _checked_name(name)
    if project.name != old:
        project.save(update_fields=["name"])
        event_record(
            project,
            project=project,
            actor=by,
            verb="renamed",
            data={"from": old, "to": project.name},
        )
    return project


@transaction.atomic
def project_limits_set(
    project_id: uuid.UUID,
    *,
    by: User,
    max_active_jobs: int | None = None,
    max_storage_bytes: int | None = None,
) -> Project:
    """What operators let a project use. DomainError for anybody else."""
    project = project_managed(project_id, by)
    if not by.is_staff:
        raise DomainError(
            _("Only operators change a project's limits. Ask one of them."), code="operators_only"
        )
    before = {
        "max_active_jobs": project.max_active_jobs,
        "max_storage_bytes": project.max_storage_bytes,
    }
    if max_active_jobs is not None:
        project.max_active_jobs = max_active_jobs
    if max_storage_bytes is not None:
        project.max_storage_bytes = max_storage_bytes
    changed = {
        name: [old, getattr(project, name)]
        for name, old in before.items()
        if old != getattr(project, name)
    }
    if changed:
        project.save(update_fields=[*before])
        event_record(project, project=project, actor=by, verb="limits_changed", data=changed)
    return project


def _refuse_personal(project: Project) -> None:
    if project.personal_of_id is not None:
        raise DomainError(
            _(
                "%(project)s is a personal project and stays with one person."
                " Make a project for working together and add people there."
            )
            % {"project": project.name},
            field="user",
            code="personal_project",
        )


def _keep_a_manager(project: Project, membership: Membership, role: int = 0) -> None:
    """Conflict when the membership is the last manager's and `role` is smaller (0: it goes)."""
    if membership.role < Role.MANAGER or role >= Role.MANAGER:
        return
    others = project.memberships.filter(role__gte=Role.MANAGER).exclude(pk=membership.pk)
    if not others.exists():
        raise Conflict(
            _(
                "%(user)s is the last manager of %(project)s."
                " Make somebody else a manager first, so that the project is not left alone."
            )
            % {"user": membership.user.username, "project": project.name},
            field="role",
            code="last_manager",
        )


def user_named(who: str) -> User:
    """The person with exactly this user name or e-mail address; DomainError when there is none."""
    who = who.strip()
    key = "email__iexact" if "@" in who else "username__iexact"
    user = User.objects.filter(**{key: who}, is_active=True).first() if who else None
    if user is None:
        raise DomainError(
            _(
                "Nobody is registered here as “%(who)s”. Check the user name or the e-mail address,"
                " or ask an operator for an invitation."
            )
            % {"who": who},
            field="user",
            code="user_unknown",
        )
    return user


@transaction.atomic
def member_add(project_id: uuid.UUID, *, who: str, role: int, by: User) -> Membership:
    """Makes the person with this user name or e-mail address a member."""
    user = user_named(who)
    if Membership.objects.filter(project_id=project_id, user=user).exists():
        raise Conflict(
            _("%(user)s is a member already. Change the role in the list instead.")
            % {"user": user.username},
            field="user",
            code="member_already",
        )
    return member_set(project_id, user.pk, role=role, by=by)


@transaction.atomic
def member_set(project_id: uuid.UUID, user_id: uuid.UUID, *, role: int, by: User) -> Membership:
    """Gives a person a role in a project, as a new or an old member.

    Conflict when the last manager would be demoted; DomainError for a personal project.
    """
    project = project_managed(project_id, by)
    _refuse_personal(project)
    role_check(role)
    user = User.objects.get(pk=user_id)
    membership = Membership.objects.filter(project=project, user=user).first()
    old = membership.role if membership else 0
    if membership is None:
        membership = Membership.objects.create(project=project, user=user, role=role)
    else:
        _keep_a_manager(project, membership, role)
        membership.role = role
        membership.save(update_fields=["role"])
    if old != role:
        event_record(
            project,
            project=project,
            actor=by,
            verb="member_changed" if old else "member_added",
            old=Role(old).name.lower() if old else "",
            new=Role(role).name.lower(),
            data={"user": user.username},
        )
    return membership


@transaction.atomic
def member_remove(project_id: uuid.UUID, user_id: uuid.UUID, *, by: User) -> None:
    """Takes a person out of a project; what the person made stays with the project."""
    project = project_managed(project_id, by)
    _refuse_personal(project)
    _membership_end(project, project.memberships.get(user_id=user_id), by)


@transaction.atomic
def project_leave(project_id: uuid.UUID, *, by: User) -> None:
    """Ends one's own membership. Conflict for the last manager."""
    project = (
        Project.objects.filter(memberships__user=by)
        .select_for_update(of=("self",))
        .get(pk=project_id)
    )
    _refuse_personal(project)
    _membership_end(project, project.memberships.get(user=by), by)


def _membership_end(project: Project, membership: Membership, by: User) -> None:
    _keep_a_manager(project, membership)
    name, role = membership.user.username, Role(membership.role).name.lower()
    membership.delete()
    event_record(
        project,
        project=project,
        actor=by,
        verb="member_left" if by.pk == membership.user_id else "member_removed",
        old=role,
        data={"user": name},
    )
