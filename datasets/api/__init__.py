"""REST endpoints of the app."""

from datasets.api.datasets import DatasetViewSet, VersionViewSet
from datasets.api.recipes import RecipeRunViewSet, RecipeViewSet

__all__ = ["DatasetViewSet", "RecipeRunViewSet", "RecipeViewSet", "VersionViewSet"]
