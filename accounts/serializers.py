"""What people, projects, keys and invitations look like as JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import LANGUAGES, ApiKey, Invitation, Membership, Project, Role, User
from accounts.services import project_usage_of

ROLES = {role.name.lower(): int(role) for role in Role}
ROLE_WORDS = [(word, word) for word in ROLES]


class RoleField(serializers.ChoiceField):
    """A role by its word: viewer, developer, researcher, manager. Numbers are understood too."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=ROLE_WORDS, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        """The role's number."""
        if isinstance(data, int) and data in Role.values:
            return data
        return ROLES[str(super().to_internal_value(str(data).lower()))]

    def to_representation(self, value: Any) -> str:
        """The role's word."""
        return Role(value).name.lower()


class MeSerializer(serializers.ModelSerializer[User]):
    """Oneself."""

    personal_project = serializers.UUIDField(source="personal_project.pk", read_only=True)
    is_operator = serializers.BooleanField(source="is_staff", read_only=True)
    language = serializers.ChoiceField(choices=LANGUAGES, allow_blank=True, required=False)

    class Meta:
        model = User
        fields = (
            "id",
            "username",
            "first_name",
            "email",
            "pending_email",
            "language",
            "is_operator",
            "max_deployments",
            "personal_project",
            "date_joined",
        )
        read_only_fields = (
            "id",
            "username",
            "email",
            "pending_email",
            "max_deployments",
            "date_joined",
        )


class EmailSerializer(serializers.Serializer[Any]):
    """Another e-mail address."""

    email = serializers.EmailField()
    password = serializers.CharField(write_only=True, trim_whitespace=False)


class EmailKeySerializer(serializers.Serializer[Any]):
    """What a new address got by mail: the last part of the link."""

    key = serializers.CharField(max_length=1000, write_only=True)


class PasswordSerializer(serializers.Serializer[Any]):
    """A change of one's password."""

    old_password = serializers.CharField(write_only=True, trim_whitespace=False)
    new_password = serializers.CharField(write_only=True, trim_whitespace=False)


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key without its secret."""

    prefix = serializers.CharField(source="token_key", read_only=True)
    expires_at = serializers.DateTimeField(source="expiry", read_only=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "name",
            "prefix",
            "scope",
            "expires_at",
            "is_expired",
            "last_used_at",
            "created_at",
        )
        read_only_fields = fields


class NewKeySerializer(serializers.Serializer[Any]):
    """What a new key is to be, and once the key itself."""

    name = serializers.CharField(max_length=80)
    scope = serializers.ChoiceField(choices=ApiKey.Scope.choices, default=ApiKey.Scope.ALL)
    expires_in_days = serializers.IntegerField(required=False, allow_null=True, default=None)


class ShownKeySerializer(KeySerializer):
    """A key that was just made, with its secret, which is shown this once."""

    key = serializers.CharField(read_only=True)

    class Meta:
        model = KeySerializer.Meta.model
        fields = (*KeySerializer.Meta.fields, "key")
        read_only_fields = fields


class RegisterSerializer(serializers.Serializer[Any]):
    """A registration by invitation."""

    username = serializers.CharField(max_length=150)
    email = serializers.EmailField()
    password = serializers.CharField(write_only=True, trim_whitespace=False)
    code = serializers.CharField(max_length=64, write_only=True)
    key_name = serializers.CharField(max_length=80, default="registration", write_only=True)


class LoginSerializer(serializers.Serializer[Any]):
    """A log-in that makes a key."""

    username = serializers.CharField(help_text="User name or e-mail address.")
    password = serializers.CharField(write_only=True, trim_whitespace=False)
    name = serializers.CharField(max_length=80, default="login", help_text="The key's name.")
    scope = serializers.ChoiceField(choices=ApiKey.Scope.choices, default=ApiKey.Scope.ALL)
    expires_in_days = serializers.IntegerField(required=False, allow_null=True, default=30)


class SignedInSerializer(serializers.Serializer[Any]):
    """Who signed in, and the new key, which is shown this once."""

    user = MeSerializer()
    api_key = KeySerializer()
    key = serializers.CharField()


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A person's role in a project."""

    user = serializers.UUIDField(source="user.pk", read_only=True)
    username = serializers.CharField(source="user.username", read_only=True)
    name = serializers.CharField(source="user.first_name", read_only=True)
    role = RoleField()

    class Meta:
        model = Membership
        fields = ("user", "username", "name", "role", "created_at")
        read_only_fields = ("created_at",)


class NewMemberSerializer(serializers.Serializer[Any]):
    """A person to add."""

    user = serializers.CharField(max_length=254, help_text="User name or e-mail address.")
    role = RoleField(default=int(Role.RESEARCHER))


class RoleSerializer(serializers.Serializer[Any]):
    """Another role."""

    role = RoleField()


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project, its limits and what it uses of them."""

    is_personal = serializers.SerializerMethodField()
    role = serializers.SerializerMethodField()
    usage = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = (
            "id",
            "name",
            "is_personal",
            "role",
            "max_active_jobs",
            "max_storage_bytes",
            "usage",
            "created_at",
        )
        read_only_fields = ("id", "created_at")
        extra_kwargs = {
            "max_active_jobs": {"required": False},
            "max_storage_bytes": {"required": False},
        }

    def get_is_personal(self, project: Project) -> bool:
        """Whether it belongs to one person."""
        return project.personal_of_id is not None

    @extend_schema_field(serializers.ChoiceField(choices=ROLE_WORDS))
    def get_role(self, project: Project) -> str:
        """The asking user's role; operators count as managers."""
        role = project.role_of(self.context["request"].user)
        return Role(role).name.lower() if role else ""

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_usage(self, project: Project) -> dict[str, int]:
        """`active_jobs` and `storage_bytes`."""
        return project_usage_of(project)


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """An invitation without its code."""

    role = RoleField(read_only=True)
    state = serializers.ChoiceField(choices=Invitation.State.choices, read_only=True)

    class Meta:
        model = Invitation
        fields = (
            "id",
            "prefix",
            "note",
            "max_uses",
            "uses",
            "expires_at",
            "withdrawn_at",
            "state",
            "project",
            "role",
            "created_at",
        )
        read_only_fields = fields


class NewInvitationSerializer(serializers.Serializer[Any]):
    """What a new invitation is to be."""

    max_uses = serializers.IntegerField(default=1)
    expires_in_days = serializers.IntegerField(required=False, allow_null=True, default=14)
    note = serializers.CharField(max_length=120, allow_blank=True, default="")
    project = serializers.UUIDField(required=False, allow_null=True, default=None)
    role = RoleField(default=int(Role.RESEARCHER))


class ShownInvitationSerializer(InvitationSerializer):
    """An invitation that was just made, with its code, which is shown this once."""

    code = serializers.CharField(read_only=True)
    url = serializers.CharField(read_only=True)

    class Meta:
        model = InvitationSerializer.Meta.model
        fields = (*InvitationSerializer.Meta.fields, "code", "url")
        read_only_fields = fields
