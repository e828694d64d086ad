"""What models learn from: datasets, versions, uploads and imports, recipes and their runs."""

from datasets.models.imports import Import, PublicSource
from datasets.models.recipes import Recipe, RecipeRun
from datasets.models.uploads import Upload
from datasets.models.versions import (
    Dataset,
    DatasetQuerySet,
    DatasetVersion,
    DatasetVersionQuerySet,
)

__all__ = [
    "Dataset",
    "DatasetQuerySet",
    "DatasetVersion",
    "DatasetVersionQuerySet",
    "Import",
    "PublicSource",
    "Recipe",
    "RecipeRun",
    "Upload",
]
