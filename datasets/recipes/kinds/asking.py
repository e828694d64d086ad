"""Steps that ask language models."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

from common.phrases import gettext as _
from datasets.generation.prompts import places_unknown
from datasets.recipes.generate import generate, generated
from datasets.recipes.judge import judge
from datasets.recipes.kind import Kind
from datasets.recipes.kinds.variants import WHERE, alike, alike_check
from datasets.recipes.parameters import Choice, Flag, Model, Number, Parameter, Refused, Written
from datasets.recipes.rewrite import rewrite

_LANGUAGES = (
    ("text", gettext_lazy("the language of the text")),
    ("zh", gettext_lazy("Chinese")),
    ("en", gettext_lazy("English")),
)
_THROUGH = (
    ("en", gettext_lazy("English")),
    ("zh", gettext_lazy("Chinese")),
    ("ja", gettext_lazy("Japanese")),
    ("fr", gettext_lazy("French")),
    ("de", gettext_lazy("German")),
    ("es", gettext_lazy("Spanish")),
    ("ru", gettext_lazy("Russian")),
)
_MODEL = Model(
    "model",
    gettext_lazy("Model to ask"),
    "",
    gettext_lazy("One of the project's providers, or a model in service here."),
)


def _drawn(temperature: float, max_tokens: int) -> tuple[Parameter, ...]:
    return (
        Number(
            "temperature",
            gettext_lazy("Temperature"),
            temperature,
            gettext_lazy("0 gives the likeliest words, more gives more variety; 2 at most."),
            most=2,
        ),
        Number(
            "max_tokens",
            gettext_lazy("Longest answer in tokens"),
            max_tokens,
            gettext_lazy("It counts in full against the spending limit while it is awaited."),
            least=16,
            most=32768,
            whole=True,
        ),
    )


def _generate_check(given: Mapping[str, Any]) -> None:
    alike_check(given)
    template = given["template"]
    if not template:
        return
    if unknown := places_unknown(template):
        raise Refused(
            "template",
            _("Nothing is put in the place of {%(name)s}. There are {text}, {count}, {language}.")
            % {"name": unknown[0]},
        )
    if "{text}" not in template:
        raise Refused("template", _("Say with {text} where the text of the row stands."))


GENERATE = Kind(
    "generate",
    gettext_lazy("Generate"),
    gettext_lazy("Has a model make questions, answers, pairs or conversations of each text."),
    "sparkles",
    (
        _MODEL,
        Choice(
            "what",
            gettext_lazy("What is made"),
            "pairs",
            choices=(
                ("pairs", gettext_lazy("questions with answers")),
                ("questions", gettext_lazy("questions only, as plain texts")),
                ("answers", gettext_lazy("an answer to each row's question")),
                ("preference", gettext_lazy("questions with a better and a worse answer")),
                ("dialogues", gettext_lazy("conversations")),
            ),
        ),
        Number("count", gettext_lazy("How many of each text"), 3, least=1, most=20, whole=True),
        Choice("language", gettext_lazy("In"), "text", choices=_LANGUAGES),
        Written(
            "template",
            gettext_lazy("Own words of the task"),
            "",
            gettext_lazy(
                "Left empty, the platform's own are used. {text} is the row's text, {count} how"
                " many are wanted, {language} in which language; how to write the answer is added."
            ),
            longest=4000,
            lines=True,
        ),
        *_drawn(0.7, 2048),
        *alike(0, 1),
        Flag(
            "keep",
            gettext_lazy("Keep the other columns"),
            False,
            gettext_lazy("The text that a row was made of stands in a column “context”."),
        ),
    ),
    generate,
    _generate_check,
    generated,
    makes=True,
)

REWRITE = Kind(
    "rewrite",
    gettext_lazy("Rewrite"),
    gettext_lazy("Has a model add variants of each row in other words."),
    "pencil-line",
    (
        _MODEL,
        Choice(
            "how",
            gettext_lazy("How"),
            "rewrite",
            choices=(
                ("rewrite", gettext_lazy("in other words")),
                ("translate", gettext_lazy("translated and back")),
                ("diversify", gettext_lazy("another answer to the same question")),
            ),
        ),
        Choice(
            "through", gettext_lazy("Through"), "en", when=("how", "translate"), choices=_THROUGH
        ),
        WHERE,
        Number("variants", gettext_lazy("Variants of each row"), 1, least=1, most=5, whole=True),
        Written(
            "style",
            gettext_lazy("Further wishes"),
            "",
            gettext_lazy("Such as: shorter, more formal, as a customer would ask."),
            longest=1000,
            lines=True,
        ),
        *_drawn(0.9, 2048),
        *alike(0.05, 0.95),
        Flag("keep", gettext_lazy("Keep the rows as they were, too"), True),
    ),
    rewrite,
    alike_check,
    makes=True,
)

JUDGE = Kind(
    "judge",
    gettext_lazy("Judge"),
    gettext_lazy("Has a model give each row a score from 1 to 5; drops the poor ones."),
    "gavel",
    (
        _MODEL,
        Number(
            "least",
            gettext_lazy("Least score"),
            3,
            gettext_lazy("Rows with a lower one are dropped; 1 keeps all."),
            least=1,
            most=5,
            whole=True,
        ),
        Written(
            "criteria",
            gettext_lazy("What counts"),
            "",
            gettext_lazy("Such as: correct, complete, polite, understood without the text."),
            longest=2000,
            lines=True,
        ),
        Choice("language", gettext_lazy("Reasons in"), "text", choices=_LANGUAGES),
        *_drawn(0, 512),
        Flag("keep", gettext_lazy("Keep score and reason as columns"), True),
    ),
    judge,
)
