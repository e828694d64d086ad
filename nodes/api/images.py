"""The list of images that may run, over REST; for operators."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor
from accounts.permissions import IsOperatorWithScope, within_reach
from nodes import services
from nodes.models import Image


class ImageSerializer(serializers.ModelSerializer[Image]):
    """An image: what it is, how far it is, and whether it may run. Size in bytes."""

    added_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)
    nodes = serializers.SerializerMethodField()

    class Meta:
        model = Image
        fields = (
            "id",
            "reference",
            "engine",
            "state",
            "is_enabled",
            "image_id",
            "digest",
            "size_bytes",
            "doing",
            "percent",
            "error",
            "added_by",
            "added_at",
            "enabled_at",
            "nodes",
        )
        read_only_fields = fields

    def get_nodes(self, image: Image) -> list[str]:
        """The names of the nodes on which it lies."""
        places = self.context.get("places") or services.images_on_nodes([image])
        return places[image.pk]


class ImageAddSerializer(serializers.Serializer[Any]):
    """The name of an image, with its registry before it."""

    reference = serializers.CharField(max_length=255)


class ImageSwitchSerializer(serializers.Serializer[Any]):
    """Whether it may run."""

    is_enabled = serializers.BooleanField()


class ImageViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[Image],
):
    """Images of engines. Only those on this list run, each by its content."""

    serializer_class = ImageSerializer
    permission_classes = (IsOperatorWithScope,)
    filterset_fields = ("engine", "state", "is_enabled")
    queryset = Image.objects.none()

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Of a list all places are asked for at once."""
        if kwargs.get("many"):
            places = services.images_on_nodes(args[0])
            kwargs["context"] = {**self.get_serializer_context(), "places": places}
        return super().get_serializer(*args, **kwargs)

    def get_queryset(self) -> QuerySet[Image]:
        """The whole list."""
        return within_reach(Image.objects.select_related("added_by"), self.request)

    @extend_schema(request=ImageAddSerializer, responses={201: ImageSerializer})
    def create(self, request: Request) -> Response:
        """Puts a name on the list; a node with Docker fetches what it means."""
        form = ImageAddSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        image = services.image_add(form.validated_data["reference"], by=actor(request))
        return Response(self.get_serializer(image).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ImageSwitchSerializer, responses=ImageSerializer)
    def partial_update(self, request: Request, pk: str | None = None) -> Response:
        """Lets it run, or lets it run no more; what runs goes on."""
        form = ImageSwitchSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        enabled = form.validated_data["is_enabled"]
        image = services.image_switch(self.get_object().pk, enabled=enabled, by=actor(request))
        return Response(self.get_serializer(image).data)

    @extend_schema(request=None, responses=ImageSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str | None = None) -> Response:
        """Fetches again what failed or got stuck."""
        image = services.image_retry(self.get_object().pk, by=actor(request))
        return Response(self.get_serializer(image).data)

    def perform_destroy(self, instance: Image) -> None:
        """Takes it off the list; 409 while the past of a workload names it."""
        services.image_remove(instance.pk, by=actor(self.request))
