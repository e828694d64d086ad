"""What models learn from: datasets, versions, shares, uploads and imports, recipes and their runs,
providers that they ask, what people decided on rows, comparisons, counts of tokens.
"""

from datasets.models.comparisons import Comparison
from datasets.models.counts import TokenCount
from datasets.models.edits import Revision, RowDecision
from datasets.models.imports import Import, PublicSource
from datasets.models.providers import Provider
from datasets.models.recipes import Recipe, RecipeQuerySet, RecipeRun
from datasets.models.retention import RemovedVersion, RetentionRule
from datasets.models.sharing import DatasetShare
from datasets.models.uploads import Arriving, Upload
from datasets.models.versions import (
    MADE,
    Dataset,
    DatasetQuerySet,
    DatasetVersion,
    DatasetVersionQuerySet,
)

__all__ = [
    "MADE",
    "Arriving",
    "Comparison",
    "Dataset",
    "DatasetQuerySet",
    "DatasetShare",
    "DatasetVersion",
    "DatasetVersionQuerySet",
    "Import",
    "Provider",
    "PublicSource",
    "Recipe",
    "RecipeQuerySet",
    "RecipeRun",
    "RemovedVersion",
    "RetentionRule",
    "Revision",
    "RowDecision",
    "TokenCount",
    "Upload",
]
