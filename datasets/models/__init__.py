"""What models learn from: datasets, versions, shares, uploads on their way, recipes, their runs."""

from datasets.models.recipes import Recipe, RecipeRun
from datasets.models.sharing import DatasetShare
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
    "DatasetShare",
    "DatasetVersion",
    "DatasetVersionQuerySet",
    "Recipe",
    "RecipeRun",
    "Upload",
]
