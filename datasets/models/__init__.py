"""What models learn from: datasets, versions, uploads on their way, recipes, runs, revisions."""

from datasets.models.comparisons import Comparison
from datasets.models.edits import Revision, RowDecision
from datasets.models.recipes import Recipe, RecipeRun
from datasets.models.uploads import Upload
from datasets.models.versions import (
    Dataset,
    DatasetQuerySet,
    DatasetVersion,
    DatasetVersionQuerySet,
)

__all__ = [
    "Comparison",
    "Dataset",
    "DatasetQuerySet",
    "DatasetVersion",
    "DatasetVersionQuerySet",
    "Recipe",
    "RecipeRun",
    "Revision",
    "RowDecision",
    "Upload",
]
