"""REST endpoints of the app."""

from datasets.api.comparisons import ComparisonViewSet
from datasets.api.datasets import DatasetViewSet, VersionViewSet
from datasets.api.imports import ImportViewSet
from datasets.api.providers import ProviderViewSet
from datasets.api.recipes import RecipeRunViewSet, RecipeViewSet
from datasets.api.revisions import RevisionViewSet
from datasets.api.uploads import UploadViewSet

__all__ = [
    "ComparisonViewSet",
    "DatasetViewSet",
    "ImportViewSet",
    "ProviderViewSet",
    "RecipeRunViewSet",
    "RecipeViewSet",
    "RevisionViewSet",
    "UploadViewSet",
    "VersionViewSet",
]
