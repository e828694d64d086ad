"""What models learn from: datasets, their versions, uploads on their way, recipes, their runs,
providers that they ask."""

from datasets.models.providers import Provider
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
    "Provider",
    "Recipe",
    "RecipeRun",
    "Upload",
]
