"""How the OpenAPI schema names its parts."""

from typing import Any

from drf_spectacular.openapi import AutoSchema

# Words that several apps use for different things: their app's name stands before them.
SHARED_WORDS = {"Evaluation", "File", "Log", "Row", "Version"}


class Schema(AutoSchema):
    """drf-spectacular's, with names that no two apps share."""

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """The class's name, after its app's where that alone would be ambiguous."""
        kind = type(serializer)
        app = str(kind.__module__).partition(".")[0]
        name = str(kind.__name__)
        return app.title() + name if name.removesuffix("Serializer") in SHARED_WORDS else name
