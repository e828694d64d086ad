"""Providers of models on the API."""

from typing import Any

from rest_framework import serializers

from datasets.models import Provider


class ProviderSerializer(serializers.ModelSerializer[Provider]):
    """A provider, without its key."""

    models = serializers.ListField(child=serializers.CharField(), read_only=True)
    has_key = serializers.BooleanField(read_only=True)
    project_name = serializers.CharField(source="project.name", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)

    class Meta:
        model = Provider
        fields = (
            "id",
            "name",
            "base_url",
            "has_key",
            "models",
            "price_in",
            "price_out",
            "currency",
            "requests_per_minute",
            "parallel",
            "timeout",
            "allows_private",
            "project",
            "project_name",
            "created_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class ProviderChangeSerializer(serializers.Serializer[Any]):
    """What can be changed of a provider."""

    name = serializers.CharField(max_length=200, required=False)
    base_url = serializers.CharField(max_length=400, required=False)
    key = serializers.CharField(
        max_length=1000,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="Never shown again. Left out, it stays; empty, it is forgotten.",
    )
    models = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, max_length=100
    )
    price_in = serializers.DecimalField(
        12, 4, min_value=0, required=False, help_text="Of a million tokens."
    )
    price_out = serializers.DecimalField(
        12, 4, min_value=0, required=False, help_text="Of a million tokens."
    )
    currency = serializers.CharField(max_length=10, required=False)
    requests_per_minute = serializers.IntegerField(required=False)
    parallel = serializers.IntegerField(required=False)
    timeout = serializers.IntegerField(required=False, help_text="Seconds for one answer.")
    allows_private = serializers.BooleanField(required=False, help_text="Operators only.")


class ProviderCreateSerializer(ProviderChangeSerializer):
    """A new provider."""

    name = serializers.CharField(max_length=200)
    base_url = serializers.CharField(max_length=400, help_text="Up to /v1.")
    models = serializers.ListField(child=serializers.CharField(max_length=200), max_length=100)
    project = serializers.UUIDField(
        required=False, allow_null=True, help_text="Your personal project by default."
    )


class ProbeSerializer(serializers.Serializer[Any]):
    """What a provider answered."""

    model = serializers.CharField()
    text = serializers.CharField()
    seconds = serializers.FloatField()
