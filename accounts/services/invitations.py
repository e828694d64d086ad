"""Invitations: who may let people in, and how often a code opens the door."""

import secrets
import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import Invitation, Project, Role, User, code_hash
from accounts.services.events import event_record
from accounts.services.projects import project_hold, role_check
from common.errors import DomainError
from common.phrases import gettext as _

# No vowels and no look-alikes: codes are read aloud and typed. 20 of 28 signs are 96 bits.
ALPHABET = "bcdfghjkmnpqrstvwxyz23456789"
CODE_LENGTH = 20
MAX_DAYS = 3650


@transaction.atomic
def invitation_create(
    *,
    created_by: User | None,
    max_uses: int = 1,
    expires_in_days: int | None = None,
    note: str = "",
    project: Project | None = None,
    role: int = Role.RESEARCHER,
) -> tuple[Invitation, str]:
    """Makes an invitation; gives it and its code, which is shown this once and not kept.

    With a project, everybody who registers with the code becomes a member in that role. Raises
    DomainError for a use count, a role or a number of days that makes no sense and for a project
    that takes no members.
    """
    if not 1 <= max_uses <= 10_000:
        raise DomainError(
            _("An invitation can be used between 1 and 10,000 times."), field="max_uses"
        )
    if expires_in_days is not None and not 1 <= expires_in_days <= MAX_DAYS:
        raise DomainError(
            _("Choose between 1 and %(most)d days, or none for an invitation that stays open.")
            % {"most": MAX_DAYS},
            field="expires_in_days",
        )
    role_check(role)
    if project is not None:
        project = project_hold(project.pk)
        if project.personal_of_id is not None:
            raise DomainError(
                _("%(project)s is a personal project, which has no other members. Choose another.")
                % {"project": project.name},
                field="project",
            )
    code = "".join(secrets.choice(ALPHABET) for _sign in range(CODE_LENGTH))
    invitation = Invitation.objects.create(
        prefix=code[:5],
        code_hash=code_hash(code),
        note=note.strip(),
        max_uses=max_uses,
        expires_at=timezone.now() + timedelta(days=expires_in_days) if expires_in_days else None,
        project=project,
        role=role,
        created_by=created_by,
    )
    event_record(
        invitation,
        project=project,
        actor=created_by,
        verb="created",
        data={"prefix": invitation.prefix, "max_uses": max_uses},
    )
    return invitation, code


@transaction.atomic
def invitation_withdraw(invitation_id: uuid.UUID, *, by: User) -> Invitation:
    """Closes an invitation for good; who has registered with it stays. Twice is no error."""
    invitation = Invitation.objects.editable_by(by).select_for_update().get(pk=invitation_id)
    if invitation.withdrawn_at is None:
        _withdraw(invitation, by=by)
    return invitation


def invitations_withdraw_into(project: Project, *, by: User) -> None:
    """Closes all invitations into a project. The caller is in a transaction."""
    rows = Invitation.objects.filter(project=project, withdrawn_at=None)
    for invitation in rows.select_for_update(of=("self",)):
        _withdraw(invitation, by=by)


def _withdraw(invitation: Invitation, *, by: User) -> None:
    invitation.withdrawn_at = timezone.now()
    invitation.save(update_fields=["withdrawn_at"])
    event_record(
        invitation,
        project=invitation.project,
        actor=by,
        verb="withdrawn",
        data={"prefix": invitation.prefix, "uses": invitation.uses},
    )


def invitation_find(code: str, *, lock: bool = False) -> Invitation:
    """The invitation that a code opens; DomainError with field `code` when it opens nothing.

    With `lock` (inside a transaction) the row stays locked, so that of several who use the last
    place at once only one gets it.
    """
    rows = Invitation.objects.select_for_update(of=("self",)) if lock else Invitation.objects.all()
    found = rows.filter(code_hash=code_hash(code)).first()
    if found is None:
        raise DomainError(
            _(
                "This invitation code is not known here. Check it for typing mistakes,"
                " or ask an operator for a new one."
            ),
            field="code",
            code="invitation_unknown",
        )
    if found.state == Invitation.State.WITHDRAWN:
        raise DomainError(
            _("This invitation was withdrawn. Ask an operator for a new one."),
            field="code",
            code="invitation_withdrawn",
        )
    if found.state == Invitation.State.EXPIRED:
        raise DomainError(
            _("This invitation expired on %(date)s. Ask an operator for a new one.")
            % {"date": timezone.localtime(found.expires_at).strftime("%Y-%m-%d")},
            field="code",
            code="invitation_expired",
        )
    if found.state == Invitation.State.USED_UP:
        raise DomainError(
            _(
                "This invitation has been used as often as it may be (%(uses)d of %(uses)d)."
                " Ask an operator for a new one."
            )
            % {"uses": found.max_uses},
            field="code",
            code="invitation_used_up",
        )
    return found
