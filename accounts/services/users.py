"""People: registration, the first operator, profile and password."""

import uuid

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from accounts.models import LANGUAGES, Invitation, Membership, Project, Role, User
from accounts.services.events import event_record
from accounts.services.invitations import invitation_find
from accounts.services.projects import project_enter
from common.errors import DomainError
from common.phrases import gettext as _


@transaction.atomic
def user_register(*, username: str, email: str, password: str, code: str) -> User:
    """A new user by invitation, with a personal project, and a member of the invitation's project.

    Raises DomainError with the field to blame. The code is checked first: who has none learns
    nothing about which names and addresses exist.
    """
    invitation = invitation_find(code, lock=True)
    user = _user_make(username=username, email=email, password=password)
    invitation.uses += 1
    invitation.save(update_fields=["uses"])
    personal = Project.objects.get(personal_of=user)
    event_record(
        user,
        project=personal,
        actor=user,
        verb="registered",
        data={"invitation": invitation.prefix},
    )
    _join_invited(user, invitation)
    return user


def _join_invited(user: User, invitation: Invitation) -> None:
    if invitation.project is None:
        return
    Membership.objects.create(project=invitation.project, user=user, role=invitation.role)
    project_enter(invitation.project, user=user)
    event_record(
        invitation.project,
        project=invitation.project,
        actor=user,
        verb="member_added",
        new=Role(invitation.role).name.lower(),
        data={"user": user.username},
    )


def _user_make(*, username: str, email: str, password: str, is_operator: bool = False) -> User:
    """A user with a personal project. Runs inside the caller's transaction."""
    user = User(
        username=_checked_username(username),
        email=checked_email(email),
        is_staff=is_operator,
        is_superuser=is_operator,
    )
    _check_password(password, user)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        # Somebody took the name or the address between the check and now.
        raise _taken("username") from None
    project = Project.objects.create(name=user.username, personal_of=user)
    Membership.objects.create(project=project, user=user, role=Role.MANAGER)
    return user


def _taken(field: str) -> DomainError:
    if field == "email":
        text = _("Somebody is already registered with this e-mail address. Log in instead.")
    else:
        text = _("This user name is taken. Choose another.")
    return DomainError(text, field=field, code=f"{field}_taken")


def _checked_username(username: str) -> str:
    username = username.strip()
    problem = ""
    try:
        User._meta.get_field("username").clean(username, None)
    except ValidationError as error:
        problem = " ".join(error.messages)
    if "@" in username:
        # People log in and become members by name or address: one must not pass for the other.
        problem = _("A user name cannot contain “@”. Choose one without.")
    if problem:
        raise DomainError(problem, field="username", code="invalid")
    if User.objects.filter(username__iexact=username).exists():
        raise _taken("username")
    return username


def checked_email(email: str, *, of: User | None = None) -> str:
    """The address in small letters; DomainError for a bad one and for that of another user."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise DomainError(" ".join(error.messages), field="email", code="invalid") from None
    others = User.objects.exclude(pk=of.pk) if of else User.objects.all()
    if others.filter(email__iexact=email).exists():
        raise _taken("email")
    return email


def _check_password(password: str, user: User, *, field: str = "password") -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise DomainError(" ".join(error.messages), field=field, code="weak_password") from None


@transaction.atomic
def operator_create(*, username: str, email: str, password: str) -> User:
    """An operator, on a fresh installation the first user. DomainError names the field to blame."""
    user = _user_make(username=username, email=email, password=password, is_operator=True)
    event_record(
        user, project=Project.objects.get(personal_of=user), actor=None, verb="operator_created"
    )
    return user


@transaction.atomic
def user_profile_set(
    user_id: uuid.UUID,
    *,
    first_name: str | None = None,
    language: str | None = None,
) -> User:
    """Changes what is given of one's own profile. DomainError for an unknown language."""
    user = User.objects.select_for_update().get(pk=user_id)
    if first_name is not None:
        user.first_name = first_name.strip()
    if language is not None:
        if language and language not in dict(LANGUAGES):
            raise DomainError(_("The pages do not speak this language."), field="language")
        user.language = language
    user.save(update_fields=["first_name", "language"])
    return user


@transaction.atomic
def user_password_change(user_id: uuid.UUID, *, old_password: str, new_password: str) -> User:
    """Changes one's own password; the old one is asked for. API keys stay valid."""
    user = User.objects.select_for_update().get(pk=user_id)
    if not user.check_password(old_password):
        raise DomainError(_("This is not your present password."), field="old_password")
    _check_password(new_password, user, field="new_password")
    user.set_password(new_password)
    user.save(update_fields=["password"])
    event_record(
        user,
        project=Project.objects.filter(personal_of=user).first(),
        actor=user,
        verb="password_changed",
    )
    return user


@transaction.atomic
def user_limits_set(
    user_id: uuid.UUID,
    *,
    by: User | None,
    max_deployments: int | None = None,
    is_active: bool | None = None,
    is_operator: bool | None = None,
) -> User:
    """What operators decide about a user. The last active operator cannot be taken away."""
    user = User.objects.select_for_update().get(pk=user_id)
    before = {name: getattr(user, name) for name in ("max_deployments", "is_active", "is_staff")}
    if max_deployments is not None:
        user.max_deployments = max_deployments
    if is_active is not None:
        user.is_active = is_active
    if is_operator is not None:
        user.is_staff = user.is_superuser = is_operator
    lost = before["is_staff"] and not (user.is_staff and user.is_active)
    others = User.objects.filter(is_staff=True, is_active=True).exclude(pk=user.pk)
    if lost and not others.exists():
        raise DomainError(
            _("%(user)s is the last operator. Make somebody else an operator first.")
            % {"user": user.username},
            field="is_staff",
            code="last_operator",
        )
    changed = {name: [old, getattr(user, name)] for name, old in before.items()}
    changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
    if changed:
        user.save(update_fields=[*before, "is_superuser"])
        event_record(
            user,
            project=Project.objects.filter(personal_of=user).first(),
            actor=by,
            verb="limits_changed",
            data=changed,
        )
    return user
