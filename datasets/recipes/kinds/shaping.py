"""Steps that give rows another form, and make more of them."""

from django.utils.translation import gettext_lazy

from datasets.models import DatasetVersion
from datasets.recipes.convert import TEMPLATES, convert, convert_check, converted
from datasets.recipes.kind import Kind
from datasets.recipes.parameters import Choice, Flag, Written

_NAMES = {
    "prompt": gettext_lazy("Question or instruction"),
    "query": gettext_lazy("Further input"),
    "response": gettext_lazy("Answer"),
    "system": gettext_lazy("System prompt"),
    "chosen": gettext_lazy("Better answer"),
    "rejected": gettext_lazy("Worse answer"),
    "mark": gettext_lazy("Mark: good or bad"),
    "text": gettext_lazy("Text"),
}
_HELP = {
    "prompt": gettext_lazy("Columns in braces, with words around them: {title}: {question}"),
    "mark": gettext_lazy("A column with true and false, 1 and 0, yes and no, good and bad."),
    "text": gettext_lazy("Such as {title}, an empty line, and {body}; for plain texts."),
}

CONVERT = Kind(
    "convert",
    gettext_lazy("Convert"),
    gettext_lazy("Makes rows of any columns into one of the formats that models are trained on."),
    "arrow-right-left",
    (
        Choice(
            "shape", gettext_lazy("Format"), "alpaca", choices=tuple(DatasetVersion.Shape.choices)
        ),
        Choice(
            "source",
            gettext_lazy("The texts come from"),
            "columns",
            choices=(
                ("columns", gettext_lazy("columns, as written below")),
                ("turns", gettext_lazy("the turns of each row, as they are")),
            ),
        ),
        *(
            Written(
                name,
                _NAMES[name],
                "",
                _HELP.get(name, ""),
                when=("source", "columns"),
                longest=4000,
                lines=True,
            )
            for name in TEMPLATES
        ),
        Flag(
            "keep",
            gettext_lazy("Keep the other columns"),
            False,
            gettext_lazy("No training reads them; later steps may."),
        ),
    ),
    convert,
    convert_check,
    converted,
)
