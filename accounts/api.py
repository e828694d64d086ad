"""People, projects, keys and invitations over REST."""

from typing import Any

from allauth.account.adapter import get_adapter
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.generics import get_object_or_404
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from accounts import serializers, services
from accounts.filters import InvitationFilter, ProjectFilter
from accounts.http import actor
from accounts.models import ApiKey, Invitation, Membership, Project, User
from accounts.permissions import IsOperatorWithScope
from common.errors import DomainError
from common.phrases import gettext as _


def checked(kind: Any, request: Request) -> dict[str, Any]:
    """The request's data in the shape of a serializer, or its 400."""
    form = kind(data=request.data)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def signed_in(user: User, key: ApiKey, secret: str) -> Response:
    """The answer to a registration or a log-in."""
    body = {"user": user, "api_key": key, "key": secret}
    return Response(serializers.SignedInSerializer(body).data, status=201)


class EntranceView(APIView):
    """A door for those who have no key yet; throttled by address."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (ScopedRateThrottle,)


class RegisterView(EntranceView):
    """Registration by invitation."""

    throttle_scope = "register"

    @extend_schema(
        request=serializers.RegisterSerializer, responses={201: serializers.SignedInSerializer}
    )
    def post(self, request: Request) -> Response:
        """Registers with an invitation code; answers with the user and a first API key."""
        data = checked(serializers.RegisterSerializer, request)
        name = data.pop("key_name")
        user = services.user_register(**data)
        return signed_in(user, *services.api_key_create(user, name=name))


class LoginView(EntranceView):
    """A key for a name and a password. Wrong passwords count with those of the log-in page."""

    throttle_scope = "login"

    @extend_schema(
        request=serializers.LoginSerializer, responses={201: serializers.SignedInSerializer}
    )
    def post(self, request: Request) -> Response:
        """Makes an API key; 401 for a wrong name or password, 429 after too many of them."""
        data = checked(serializers.LoginSerializer, request)
        name = data.pop("username").strip()
        who = {"email": name, "username": name} if "@" in name else {"username": name}
        try:
            user = get_adapter(request._request).authenticate(
                request._request, password=data.pop("password"), **who
            )
        except ValidationError as error:
            raise Throttled(wait=300, detail=" ".join(error.messages)) from None
        if not isinstance(user, User) or not user.is_active:
            raise AuthenticationFailed(_("The user name or the password is not right."))
        return signed_in(user, *services.api_key_create(user, **data))

    def get_authenticate_header(self, request: Request) -> str:
        """So that a wrong password is a 401 and not a 403."""
        return "Bearer"


class MeView(APIView):
    """Oneself."""

    @extend_schema(responses=serializers.MeSerializer)
    def get(self, request: Request) -> Response:
        """Who the key belongs to."""
        return Response(serializers.MeSerializer(actor(request)).data)

    @extend_schema(request=serializers.MeSerializer, responses=serializers.MeSerializer)
    def patch(self, request: Request) -> Response:
        """Changes name or language; another e-mail address is asked for at `me/email/`."""
        if "email" in request.data:
            raise DomainError(
                _("Another address needs the password: POST both to /api/v1/me/email/."),
                field="email",
                code="password_needed",
            )
        form = serializers.MeSerializer(actor(request), data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        user = services.user_profile_set(actor(request).pk, **form.validated_data)
        return Response(serializers.MeSerializer(user).data)


class EmailView(APIView):
    """One's e-mail address, where new passwords go."""

    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "login"

    @extend_schema(request=serializers.EmailSerializer, responses=serializers.MeSerializer)
    def post(self, request: Request) -> Response:
        """Asks for another address. Where mail goes out it is `pending_email` until confirmed."""
        data = checked(serializers.EmailSerializer, request)

        def link_to(key: str) -> str:
            return request.build_absolute_uri(reverse("accounts:email_confirm", args=[key]))

        user = services.email_change(actor(request).pk, link_to=link_to, **data)
        return Response(serializers.MeSerializer(user).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Leaves the address as it is; the link that was sent opens nothing any more."""
        services.email_change_cancel(actor(request).pk)
        return Response(status=204)


class EmailConfirmView(EntranceView):
    """The confirmation of a new address; the key by mail is all it takes."""

    throttle_scope = "login"

    @extend_schema(request=serializers.EmailKeySerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Makes the new address count."""
        services.email_confirm(**checked(serializers.EmailKeySerializer, request))
        return Response(status=204)


class PasswordView(APIView):
    """One's password."""

    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "login"

    @extend_schema(request=serializers.PasswordSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Changes the password; API keys stay valid."""
        data = checked(serializers.PasswordSerializer, request)
        services.user_password_change(actor(request).pk, **data)
        return Response(status=204)


class KeyViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[ApiKey],
):
    """One's own API keys."""

    serializer_class = serializers.KeySerializer
    queryset = ApiKey.objects.none()

    def get_queryset(self) -> QuerySet[ApiKey]:
        """The user's own."""
        keys: QuerySet[ApiKey] = ApiKey.objects.visible_to(actor(self.request))
        return keys

    @extend_schema(
        request=serializers.NewKeySerializer, responses={201: serializers.ShownKeySerializer}
    )
    def create(self, request: Request) -> Response:
        """Makes a key; the answer shows it this once."""
        data = checked(serializers.NewKeySerializer, request)
        key, secret = services.api_key_create(actor(request), **data)
        return Response(
            {**serializers.KeySerializer(key).data, "key": secret},
            status=201,
        )

    def perform_destroy(self, instance: ApiKey) -> None:
        """Revokes the key at once."""
        services.api_key_revoke(instance.pk, by=actor(self.request))


class ProjectViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Project],
):
    """Projects and their people."""

    filterset_class = ProjectFilter

    serializer_class = serializers.ProjectSerializer
    queryset = Project.objects.none()

    def get_queryset(self) -> QuerySet[Project]:
        """Those the user is in; for changes of people those the user manages."""
        user = actor(self.request)
        if self.request.method in {"GET", "HEAD", "OPTIONS"} or self.action == "leave":
            return Project.objects.visible_to(user)
        return Project.objects.editable_by(user)

    def create(self, request: Request) -> Response:
        """Makes a project; its maker is its manager. Limits are the installation's."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        project = services.project_create(
            name=form.validated_data["name"], created_by=actor(request)
        )
        return Response(self.get_serializer(project).data, status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Renames; operators also change the limits."""
        project = self.get_object()
        form = self.get_serializer(project, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        data, by = dict(form.validated_data), actor(request)
        name = data.pop("name", None)
        if data:
            project = services.project_limits_set(project.pk, by=by, **data)
        if name is not None:
            project = services.project_rename(project.pk, name=name, by=by)
        return Response(self.get_serializer(project).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("name", str, required=True, description="The project's name.")
        ],
        responses={204: None},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Deletes the project with all that belongs to it; 409 while anything of it runs or waits.

        `?name=` has to be its name. It is seen by nobody from now on; its files go in the minutes
        after.
        """
        name = request.query_params.get("name", "")
        services.project_delete(self.get_object().pk, name=name, by=actor(request))
        return Response(status=204)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def leave(self, request: Request, pk: str) -> Response:
        """Ends one's own membership."""
        project = self.get_object()
        if not project.memberships.filter(user=actor(request)).exists():
            raise DomainError(_("You are no member of this project."), code="not_a_member")
        services.project_leave(project.pk, by=actor(request))
        return Response(status=204)

    @extend_schema(methods=["get"], responses=serializers.MemberSerializer(many=True))
    @extend_schema(
        methods=["post"],
        request=serializers.NewMemberSerializer,
        responses={201: serializers.MemberSerializer},
    )
    @action(detail=True, methods=["get", "post"], pagination_class=None)
    def members(self, request: Request, pk: str) -> Response:
        """The project's people; a POST adds one."""
        project = self.get_object()
        if request.method == "POST":
            data = checked(serializers.NewMemberSerializer, request)
            membership = services.member_add(
                project.pk, who=data["user"], role=data["role"], by=actor(request)
            )
            return Response(serializers.MemberSerializer(membership).data, status=201)
        people = project.memberships.select_related("user").order_by("-role", "user__username")
        return Response(serializers.MemberSerializer(people, many=True).data)

    @extend_schema(
        methods=["put"],
        request=serializers.RoleSerializer,
        responses=serializers.MemberSerializer,
    )
    @extend_schema(methods=["delete"], responses={204: None})
    @action(
        detail=True, methods=["put", "delete"], url_path=r"members/(?P<user_id>[0-9a-fA-F-]{36})"
    )
    def member(self, request: Request, pk: str, user_id: str) -> Response:
        """Another role for a member, or the end of the membership."""
        project = self.get_object()
        found = get_object_or_404(Membership, project=project, user_id=user_id)
        if request.method == "DELETE":
            services.member_remove(project.pk, found.user_id, by=actor(request))
            return Response(status=204)
        data = checked(serializers.RoleSerializer, request)
        found = services.member_set(project.pk, found.user_id, role=data["role"], by=actor(request))
        return Response(serializers.MemberSerializer(found).data)


class InvitationViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[Invitation],
):
    """Invitations, for operators."""

    filterset_class = InvitationFilter
    serializer_class = serializers.InvitationSerializer
    permission_classes = (IsOperatorWithScope,)
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        """All, for operators; none for anybody else."""
        return Invitation.objects.visible_to(actor(self.request))

    @extend_schema(
        request=serializers.NewInvitationSerializer,
        responses={201: serializers.ShownInvitationSerializer},
    )
    def create(self, request: Request) -> Response:
        """Makes an invitation; the answer shows its code and its link this once."""
        data, by = checked(serializers.NewInvitationSerializer, request), actor(request)
        if data["project"]:
            wanted = Project.objects.editable_by(by).filter(pk=data["project"]).first()
            if wanted is None:
                raise DomainError(_("There is no project with this id."), field="project")
            data["project"] = wanted
        invitation, code = services.invitation_create(created_by=by, **data)
        url = request.build_absolute_uri(reverse("account_signup")) + f"?code={code}"
        row = serializers.InvitationSerializer(invitation).data
        return Response({**row, "code": code, "url": url}, status=201)

    def perform_destroy(self, instance: Invitation) -> None:
        """Withdraws it; who registered with it stays, and it stays in the list."""
        services.invitation_withdraw(instance.pk, by=actor(self.request))
