"""The operators' view of people. What changes, changes through the same services."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy

from accounts import services
from accounts.http import actor
from accounts.models import ApiKey, Event, Invitation, Membership, Project, Role, User
from common.admin import ReadOnly, ThroughServices
from common.errors import DomainError
from common.phrases import gettext as _

# The admin's own log-in form knows no limit of attempts; allauth's page does.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = gettext_lazy("LLM Cloud Trainer")
admin.site.site_title = gettext_lazy("LLM Cloud Trainer")
admin.site.index_title = gettext_lazy("Operation")


class MembershipInline(ReadOnly, admin.TabularInline):
    """The projects of a user, to look at; people are managed on the project."""

    model = Membership
    extra = 0
    fields = ("project", "role", "created_at")
    readonly_fields = fields


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """People, their limits and their projects."""

    list_display = ("username", "email", "is_staff", "is_active", "max_deployments", "last_login")
    list_filter = ("is_staff", "is_active")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "username",
                    "email",
                    "pending_email",
                    "first_name",
                    "language",
                    "password",
                )
            },
        ),
        (gettext_lazy("Permissions"), {"fields": ("is_active", "is_staff", "max_deployments")}),
        (None, {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("username", "pending_email", "last_login", "date_joined")
    filter_horizontal = ()
    inlines = (MembershipInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """People come by invitation or by `manage.py operator_create`."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What a person made stays: people are switched off instead."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Saves through the services; a refusal becomes a message."""
        data = form.cleaned_data
        try:
            services.user_limits_set(
                obj.pk,
                by=actor(request),
                max_deployments=data["max_deployments"],
                is_active=data["is_active"],
                is_operator=data["is_staff"],
            )
            services.user_profile_set(
                obj.pk, first_name=data["first_name"], language=data["language"]
            )
            services.email_set(obj.pk, email=data["email"], by=actor(request))
        except DomainError as refused:
            self.message_user(request, refused.message, messages.ERROR)


class MemberInline(admin.TabularInline):
    """The people of a project."""

    model = Membership
    extra = 0
    autocomplete_fields = ("user",)
    fields = ("user", "role", "created_at")
    readonly_fields = ("created_at",)

    def get_max_num(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int | None:
        """A personal project has no other members."""
        return 1 if obj is not None and obj.personal_of_id else None


@admin.register(Project)
class ProjectAdmin(ThroughServices):
    """Projects, their limits and their people."""

    list_display = (
        "name",
        "personal_of",
        "max_active_jobs",
        "max_storage_bytes",
        "created_at",
        "deleted_at",
    )
    list_filter = (("personal_of", admin.EmptyFieldListFilter), "is_commons")
    search_fields = ("name", "personal_of__username")
    fields = (
        "name",
        "personal_of",
        "is_commons",
        "max_active_jobs",
        "max_storage_bytes",
        "created_at",
        "deleted_at",
    )
    readonly_fields = ("personal_of", "is_commons", "created_at", "deleted_at")
    inlines = (MemberInline,)

    def has_change_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        """A deleted one is only looked at while its files go."""
        return obj is None or obj.deleted_at is None

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        """Neither a person's own nor the one that keeps what others need."""
        return obj is None or (obj.deleted_at is None and not services.why_not_deletable(obj))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """What goes with it and what is in the way, as the services say."""
        contents = [phrase for obj in objs for phrase in services.project_contents_of(obj)]
        work = [sentence for obj in objs for sentence in services.project_work_of(obj)]
        return contents, {}, set(), work

    def delete_model(self, request: HttpRequest, obj: Project) -> None:
        """Deletes through the service; the question before it is the safeguard."""
        services.project_delete(obj.pk, name=obj.name, by=actor(request))

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        """Saves through the services; a refusal becomes a message."""
        data, by = form.cleaned_data, actor(request)
        try:
            if not change:
                obj.pk = services.project_create(name=data["name"], created_by=by).pk
            services.project_limits_set(
                obj.pk,
                by=by,
                max_active_jobs=data["max_active_jobs"],
                max_storage_bytes=data["max_storage_bytes"],
            )
            services.project_rename(obj.pk, name=data["name"], by=by)
        except DomainError as refused:
            self.message_user(request, refused.message, messages.ERROR)
        obj.refresh_from_db()

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """People come, change and go through the services."""
        by, project = actor(request), form.instance
        formset.save(commit=False)
        for row in [*formset.new_objects, *(row for row, _fields in formset.changed_objects)]:
            self._try(request, services.member_set, project.pk, row.user_id, role=row.role, by=by)
        for row in formset.deleted_objects:
            self._try(request, services.member_remove, project.pk, row.user_id, by=by)

    def _try(self, request: HttpRequest, act: Any, *args: Any, **kwargs: Any) -> None:
        try:
            act(*args, **kwargs)
        except DomainError as refused:
            self.message_user(request, refused.message, messages.ERROR)


class InvitationForm(forms.ModelForm):
    """A new invitation."""

    expires_in_days = forms.IntegerField(
        label=gettext_lazy("Days until it expires"), required=False, initial=14
    )
    role = forms.TypedChoiceField(
        label=gettext_lazy("Role in the project"),
        choices=Role.choices,
        coerce=int,
        initial=Role.RESEARCHER,
    )

    class Meta:
        model = Invitation
        fields = ("note", "max_uses", "project", "role")


@admin.register(Invitation)
class InvitationAdmin(ThroughServices):
    """Invitations; a code is shown once, in the message after it was made."""

    list_display = (
        "prefix",
        "note",
        "uses",
        "max_uses",
        "expires_at",
        "withdrawn_at",
        "project",
        "created_by",
    )
    search_fields = ("prefix", "note")
    form = InvitationForm
    autocomplete_fields = ("project",)
    actions = ("withdraw",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The form's fields for a new one, the facts for an old one."""
        if obj is None:
            return ("note", "max_uses", "expires_in_days", "project", "role")
        return (*self.list_display, "role")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An invitation is made, looked at and withdrawn."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It stays in the list when it was withdrawn."""
        return False

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        """Makes it through the service and shows its link once."""
        data = form.cleaned_data
        try:
            invitation, code = services.invitation_create(
                created_by=actor(request),
                max_uses=data["max_uses"],
                expires_in_days=data["expires_in_days"],
                note=data["note"],
                project=data["project"],
                role=data["role"],
            )
        except DomainError as refused:
            self.message_user(request, refused.message, messages.ERROR)
            return
        obj.pk = invitation.pk
        obj.refresh_from_db()
        link = request.build_absolute_uri(reverse("account_signup")) + f"?code={code}"
        self.message_user(
            request,
            _("The code, shown this once: %(code)s · %(link)s") % {"code": code, "link": link},
            messages.WARNING,
        )

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Nothing to log when it was refused."""
        return super().log_addition(request, obj, message) if not obj._state.adding else None

    @admin.action(description=gettext_lazy("Withdraw"))
    def withdraw(self, request: HttpRequest, rows: QuerySet[Invitation]) -> None:
        """Closes the chosen ones for good."""
        for row in rows:
            services.invitation_withdraw(row.pk, by=actor(request))


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    """Keys without their secrets: to look at and to revoke."""

    list_display = ("name", "user", "token_key", "scope", "created", "expiry", "last_used_at")
    list_filter = ("scope",)
    search_fields = ("name", "user__username", "token_key")
    fields = ("name", "user", "token_key", "scope", "created", "expiry", "last_used_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """People make their own keys."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A key stays as it was made."""
        return False

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        """Revokes it."""
        services.api_key_revoke(obj.pk, by=actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Revokes them."""
        for row in queryset:
            services.api_key_revoke(row.pk, by=actor(request))


@admin.register(Event)
class EventAdmin(ReadOnly, admin.ModelAdmin):
    """The trail."""

    list_display = ("at", "subject_type", "verb", "old", "new", "actor", "project", "reason")
    list_filter = ("subject_type", "verb")
    search_fields = ("subject_id", "reason__says", "actor__username")
    list_select_related = ("actor", "project")
    date_hierarchy = "at"
    ordering = ("-id",)
    show_full_result_count = False
