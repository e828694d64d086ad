"""What models learn from: datasets, versions, shares, uploads on their way, recipes, their runs."""

from datasets.models.recipes import Recipe, RecipeRun
from datasets.models.retention import RemovedVersion, RetentionRule
from datasets.models.sharing import DatasetShare
from datasets.models.uploads import Upload
from datasets.models.versions import (
    MADE,
    Dataset,
    DatasetQuerySet,
    DatasetVersion,
    DatasetVersionQuerySet,
)

__all__ = [
    "MADE",
    "Dataset",
    "DatasetQuerySet",
    "DatasetShare",
    "DatasetVersion",
    "DatasetVersionQuerySet",
    "Recipe",
    "RecipeRun",
    "RemovedVersion",
    "RetentionRule",
    "Upload",
]
