"""The step that makes conversations of messages."""

from django.utils.translation import gettext_lazy

from datasets.models import DatasetVersion
from datasets.recipes.grouping import group, group_check, grouped
from datasets.recipes.kind import Kind
from datasets.recipes.parameters import Choice, Column, Flag, Number, Speakers

GROUP = Kind(
    "group",
    gettext_lazy("Group messages"),
    gettext_lazy("Makes conversations of rows that hold one message each, as chat logs do."),
    "messages-square",
    (
        Column(
            "conversation",
            gettext_lazy("Conversation"),
            "",
            gettext_lazy(
                "Rows with the same value belong together, such as session_id. Left empty, all rows"
                " are one talk that is parted by silence."
            ),
        ),
        Column(
            "role",
            gettext_lazy("Who speaks"),
            "",
            gettext_lazy("A role, such as customer and agent, or the sender's name."),
        ),
        Column("content", gettext_lazy("What is said"), ""),
        Column(
            "order",
            gettext_lazy("Order"),
            "",
            gettext_lazy(
                "A number or a time. Left empty, messages follow each other as the rows do."
            ),
        ),
        Speakers(
            "roles",
            gettext_lazy("Speakers"),
            "",
            gettext_lazy(
                "One a line: the value, = and user, assistant, system or drop, such as"
                " Our shop = assistant. Usual words are known without: customer, agent, 客户, 客服."
            ),
        ),
        Choice(
            "others",
            gettext_lazy("All other speakers are"),
            "drop",
            choices=(
                ("drop", gettext_lazy("left out")),
                ("user", gettext_lazy("users")),
                ("assistant", gettext_lazy("the assistant")),
            ),
        ),
        Number(
            "silence",
            gettext_lazy("Minutes of silence"),
            None,
            gettext_lazy(
                "A new conversation begins after so many. Needs times in the order; left empty,"
                " silence parts nothing."
            ),
            least=1,
            most=10**6,
            optional=True,
        ),
        Choice(
            "shape",
            gettext_lazy("Format"),
            "sharegpt",
            choices=tuple(
                (shape.value, shape.label)
                for shape in (DatasetVersion.Shape.SHAREGPT, DatasetVersion.Shape.OPENAI)
            ),
        ),
        Flag(
            "keep",
            gettext_lazy("Keep equal columns"),
            True,
            gettext_lazy(
                "Those that are equal throughout a conversation. No training reads them; later"
                " steps may."
            ),
        ),
    ),
    group,
    group_check,
    grouped,
    makes=True,
)
