"""Who may do what: users, invitations, projects and roles, API keys, the trail of events."""

import hashlib
import uuid
from typing import ClassVar, Self, TypeVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, AnonymousUser, UserManager
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken, AuthTokenManager

from common.phrases import PhraseField

# The languages the pages speak, as in the settings; named in themselves, so not translated.
LANGUAGES = (("en", "English"), ("zh-hans", "简体中文"))


class User(AbstractUser):  # type: ignore[django-manager-missing]
    """A person with an account. Operators are `is_staff`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True)
    max_deployments = models.PositiveSmallIntegerField(
        _("active deployments at once"),
        default=1,
        help_text=_("How many models the user may keep in service."),
    )
    language = models.CharField(_("language"), max_length=10, blank=True, choices=LANGUAGES)
    # An address that was asked for and not yet confirmed by its mailbox; `email` counts until then.
    pending_email = models.EmailField(_("new e-mail address"), blank=True, editable=False)
    # Where the pages begin after the next log-in.
    last_project = models.ForeignKey(
        "Project",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("project of the last visit"),
    )

    objects: ClassVar[UserManager["User"]] = UserManager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")


class Role(models.IntegerChoices):
    """What a member may do; each role may do all that the smaller ones may."""

    VIEWER = 10, _("viewer")
    DEVELOPER = 20, _("developer")
    RESEARCHER = 30, _("researcher")
    MANAGER = 40, _("manager")


class ProjectQuerySet(models.QuerySet["Project"]):
    """Projects by what a user may do in them."""

    def deleted(self) -> Self:
        """Those that are being removed, which nobody sees any more."""
        return self.filter(deleted_at__isnull=False)

    def with_role(self, user: User | AnonymousUser, role: int) -> Self:
        """Projects in which the user has at least this role; operators have all."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_staff:
            return self.filter(deleted_at=None)
        return self.filter(
            pk__in=Membership.objects.filter(user=user, role__gte=role).values("project_id")
        )

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Projects that the user is a member of."""
        return self.with_role(user, Role.VIEWER)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Projects whose people and limits the user manages."""
        return self.with_role(user, Role.MANAGER)


class Project(models.Model):
    """A group of people that owns things. Everybody has a personal one.

    A deleted one loses its members at once and is seen by nobody; its row goes last, when all that
    belonged to it is gone, so that a killed process leaves nothing behind that nobody finishes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=80)
    personal_of = models.OneToOneField(
        User,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="personal_project",
        verbose_name=_("personal project of"),
    )
    members = models.ManyToManyField(
        User, through="Membership", related_name="projects", verbose_name=_("members")
    )
    max_active_jobs = models.PositiveSmallIntegerField(
        _("jobs waiting or running at once"), default=20
    )
    max_storage_bytes = models.PositiveBigIntegerField(_("storage, bytes"), default=200 * 2**30)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    # The operators' own, which keeps what outlives its project; there is at most one.
    is_commons = models.BooleanField(_("keeps what others still need"), default=False)
    deleted_at = models.DateTimeField(_("deleted"), null=True, editable=False)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("is_commons",),
                condition=models.Q(is_commons=True),
                name="one_commons",
            ),
        )
        verbose_name = _("project")
        verbose_name_plural = _("projects")

    def __str__(self) -> str:
        return self.name

    def role_of(self, user: User | AnonymousUser) -> int:
        """The user's role as a number, 0 for a stranger; operators count as managers."""
        if not user.is_authenticated:
            return 0
        if user.is_staff:
            return int(Role.MANAGER)
        membership = Membership.objects.filter(project=self, user=user).first()
        return membership.role if membership else 0


class Membership(models.Model):
    """A user's role in a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.PositiveSmallIntegerField(_("role"), choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("project", "user"), name="one_role_per_project"),
        )
        verbose_name = _("member")
        verbose_name_plural = _("members")

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"


Owned = TypeVar("Owned", bound=models.Model)


class ProjectOwnedQuerySet(models.QuerySet[Owned]):
    """Rows of projects by what a user may do with them: one rule for pages, API and sockets."""

    edit_role: ClassVar[int] = Role.RESEARCHER

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Rows of projects that the user is a member of."""
        return self.with_role(user, Role.VIEWER)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Rows that the user may change."""
        return self.with_role(user, self.edit_role)

    def with_role(self, user: User | AnonymousUser, role: int) -> Self:
        """Rows of projects in which the user has at least this role; operators have all."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_staff:
            return self.exclude(project_id__in=Project.objects.deleted().values("pk"))
        return self.filter(
            project_id__in=Membership.objects.filter(user=user, role__gte=role).values("project_id")
        )


class ProjectOwned(models.Model):
    """A row that belongs to exactly one project."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="+", verbose_name=_("project")
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        abstract = True


def code_hash(code: str) -> str:
    """What is kept of an invitation's code, which is random and long: a plain hash is enough."""
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Invitations by whether they still open the door."""

    def in_state(self, state: str) -> Self:
        """Those whose `state` is this one of `Invitation.State`."""
        used_up = models.Q(uses__gte=models.F("max_uses"))
        expired = models.Q(expires_at__lte=timezone.now())
        withdrawn = models.Q(withdrawn_at__isnull=False)
        return self.filter(
            {
                Invitation.State.WITHDRAWN: withdrawn,
                Invitation.State.USED_UP: used_up & ~withdrawn,
                Invitation.State.EXPIRED: expired & ~used_up & ~withdrawn,
                Invitation.State.OPEN: ~expired & ~used_up & ~withdrawn,
            }[Invitation.State(state)]
        )

    def with_words(self, words: str) -> Self:
        """Those with the words in note, beginning, project or maker, or whose code they are."""
        return self.filter(
            models.Q(note__icontains=words)
            | models.Q(prefix__istartswith=words)
            | models.Q(project__name__icontains=words)
            | models.Q(created_by__username__icontains=words)
            | models.Q(code_hash=code_hash(words))
        )

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Only operators see invitations."""
        return self if user.is_authenticated and user.is_staff else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Only operators change invitations."""
        return self.visible_to(user)


class Invitation(models.Model):
    """A code that lets people register, so often and until then. The code itself is not kept."""

    class State(models.TextChoices):
        """Whether it opens the door, and why not; the first that fits from the end."""

        OPEN = "open", _("open")
        EXPIRED = "expired", _("expired")
        USED_UP = "used_up", _("used up")
        WITHDRAWN = "withdrawn", _("withdrawn")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    prefix = models.CharField(_("starts with"), max_length=8, editable=False)
    code_hash = models.CharField(max_length=64, unique=True, editable=False)
    note = models.CharField(_("note"), max_length=120, blank=True)
    max_uses = models.PositiveIntegerField(_("may be used"), default=1)
    uses = models.PositiveIntegerField(_("used"), default=0, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, editable=False)
    project = models.ForeignKey(
        Project,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("project"),
    )
    role = models.PositiveSmallIntegerField(
        _("role in the project"), choices=Role.choices, default=Role.RESEARCHER
    )
    created_by = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def state(self) -> str:
        """One of `State`."""
        if self.withdrawn_at is not None:
            return self.State.WITHDRAWN
        if self.uses >= self.max_uses:
            return self.State.USED_UP
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return self.State.EXPIRED
        return self.State.OPEN

    def get_state_display(self) -> str:
        """The state in the reader's language."""
        return str(self.State(self.state).label)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Keys belong to one person."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The user's own keys."""
        return self.filter(user=user) if user.is_authenticated else self.none()

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """The user's own keys."""
        return self.visible_to(user)


class ApiKey(AbstractAuthToken):
    """A key for the API: shown once, stored as a hash, with a scope and an end."""

    class Scope(models.TextChoices):
        """What a key opens."""

        ALL = "all", _("everything its owner may do")
        READ = "read", _("reading only")
        CHAT = "chat", _("chat with deployed models only")

    # knox makes the hash the primary key; a key of ours is named in addresses and events by its id.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=128, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=80)
    scope = models.CharField(_("scope"), max_length=8, choices=Scope.choices, default=Scope.ALL)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)

    objects = AuthTokenManager.from_queryset(ApiKeyQuerySet)()

    class Meta(AbstractAuthToken.Meta):
        abstract = False
        ordering = ("-created",)
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} · {self.token_key}…"

    @property
    def is_expired(self) -> bool:
        """Whether its end has come."""
        return self.expiry is not None and self.expiry <= timezone.now()


class EventQuerySet(ProjectOwnedQuerySet["Event"]):
    """What happened, newest last by id."""

    def of(self, subject: models.Model) -> Self:
        """Events of one thing."""
        return self.filter(subject_id=subject.pk)


class Event(models.Model):
    """One change of one thing: who, from which state to which, and why.

    Never changed, never deleted by hand. Live pages follow this table: the row is the news.
    """

    id = models.BigAutoField(primary_key=True)
    # The trail outlives the project.
    project = models.ForeignKey(
        Project, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("project")
    )
    subject_type = models.CharField(_("kind of subject"), max_length=60)  # app_label.model
    subject_id = models.UUIDField(_("subject's id"))
    actor = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("who")
    )
    verb = models.CharField(_("what was done"), max_length=40)
    old = models.CharField(_("before"), max_length=24, blank=True)
    new = models.CharField(_("after"), max_length=24, blank=True)
    reason = PhraseField(_("reason"), blank=True)
    data = models.JSONField(_("details"), default=dict, blank=True)
    at = models.DateTimeField(_("at"), default=timezone.now)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("subject_id", "id"), name="event_of_subject"),)
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return f"{self.subject_type} {self.verb}"


class PulseQuerySet(ProjectOwnedQuerySet["Pulse"]):
    """Signs of life by project."""


class Pulse(models.Model):
    """Counts changes of a thing that deserve no event, such as progress, for live pages."""

    subject_id = models.UUIDField(primary_key=True)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, related_name="+")
    counter = models.PositiveBigIntegerField(default=1)
    at = models.DateTimeField(default=timezone.now)

    objects = PulseQuerySet.as_manager()

    class Meta:
        verbose_name = _("sign of life")
        verbose_name_plural = _("signs of life")

    def __str__(self) -> str:
        return f"{self.subject_id} · {self.counter}"
