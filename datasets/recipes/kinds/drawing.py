"""Steps that draw rows and part them."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

from common.phrases import gettext as _
from datasets.recipes.kind import ROWS_MAX, Kind
from datasets.recipes.mixing import mix
from datasets.recipes.parameters import (
    WEIGHT_MAX,
    Choice,
    Column,
    Flag,
    Number,
    Refused,
    Versions,
)
from datasets.recipes.sampling import sample, split


def _split_check(given: Mapping[str, Any]) -> None:
    tested, validated = given["test_share"], given["validation_share"]
    if not tested and not validated:
        raise Refused("test_share", _("One of the two shares must be more than 0."))
    if tested + validated > 0.95:
        raise Refused("validation_share", _("Too little is left for training."))
    if given["by"] == "column" and not given["column"]:
        raise Refused("column", _("Name the column."))


SAMPLE = Kind(
    "sample",
    gettext_lazy("Sample"),
    gettext_lazy("Draws some of the rows, the same ones with the same seed."),
    "dices",
    (
        Choice(
            "by",
            gettext_lazy("How many"),
            "number",
            choices=(
                ("number", gettext_lazy("a number of rows")),
                ("share", gettext_lazy("a share of the rows")),
            ),
        ),
        Number(
            "number",
            gettext_lazy("Number of rows"),
            1000,
            when=("by", "number"),
            least=1,
            most=ROWS_MAX,
            whole=True,
        ),
        Number("share", gettext_lazy("Share"), 0.1, when=("by", "share"), least=0.0001, most=1),
    ),
    sample,
)

SPLIT = Kind(
    "split",
    gettext_lazy("Split"),
    gettext_lazy("Parts training, validation and test; what belongs together stays together."),
    "split",
    (
        Number(
            "test_share",
            gettext_lazy("Share of the test part"),
            0.1,
            gettext_lazy("0 makes none."),
            most=0.9,
        ),
        Number(
            "validation_share",
            gettext_lazy("Share of the validation part"),
            0,
            gettext_lazy("0 makes none."),
            most=0.9,
        ),
        Choice(
            "by",
            gettext_lazy("What is never parted"),
            "texts",
            gettext_lazy(
                "Rows made from the same row are never parted either, here or in an earlier run."
                " Texts and questions that would tie more than half of the rows together may be."
            ),
            choices=(
                ("texts", gettext_lazy("rows with the same texts")),
                ("question", gettext_lazy("rows with the same first question")),
                ("column", gettext_lazy("rows with the same value in a column")),
            ),
        ),
        Column(
            "column",
            gettext_lazy("Column"),
            "",
            gettext_lazy("Its values are groups, such as customers or documents."),
            when=("by", "column"),
        ),
    ),
    split,
    _split_check,
)

MIX = Kind(
    "mix",
    gettext_lazy("Mix"),
    gettext_lazy("Adds rows of other datasets, so many of each as its weight says."),
    "blend",
    (
        Number("weight", gettext_lazy("Weight of these rows"), 1, least=0.001, most=WEIGHT_MAX),
        Versions(
            "versions",
            gettext_lazy("Other datasets and their weights"),
            [],
            gettext_lazy("Their rows come as they are; those in another format are converted."),
            weighted=True,
        ),
        Number(
            "rows",
            gettext_lazy("Rows in all"),
            None,
            gettext_lazy("Left empty, so many as there are without repeating any."),
            least=1,
            most=ROWS_MAX,
            whole=True,
            optional=True,
        ),
        Flag(
            "repeat",
            gettext_lazy("Repeat rows of datasets that have too few"),
            False,
        ),
    ),
    mix,
)
