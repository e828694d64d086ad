"""Forms for decisions on single rows."""

from typing import Any

import orjson
from django import forms
from django.contrib.auth.models import AnonymousUser
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.texts import id_of
from datasets.editing import Place
from datasets.models import DatasetVersion, RowDecision
from datasets.reading.indexed import PREVIEW_MAX
from datasets.services.edits import RATINGS
from datasets.services.reviews import REVIEWERS_MAX, ROWS_MAX

PLACES_MAX = 300  # texts of a row that has fields for them
STARS = [("", "–"), *((str(one), str(one)) for one in RATINGS)]


class DecisionForm(forms.Form):
    """A row left out, rated, or as it was. What is not sent stays as it is."""

    edition = forms.IntegerField(min_value=0)
    verdict = forms.CharField(max_length=8, required=False)
    rating = forms.IntegerField(min_value=0, max_value=RATINGS[-1], required=False)
    note = forms.CharField(max_length=500, required=False)
    draft = forms.UUIDField(required=False)  # whose page the reader comes from

    def decision(self) -> dict[str, Any]:
        """What `services.row_decide` takes; the form must be valid."""
        data = self.cleaned_data
        return {
            "edition": data["edition"],
            "verdict": data["verdict"] if "verdict" in self.data else None,
            "rating": (data["rating"] or 0) if "rating" in self.data else None,
            "note": data["note"] if "note" in self.data else None,
        }


class RowForm(forms.Form):
    """The texts of a row, or with no places the whole row as JSON; rating and note."""

    edition = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    rating = forms.ChoiceField(label=_("Rating"), choices=STARS, required=False)
    note = forms.CharField(label=_("Note"), max_length=500, required=False)

    def __init__(
        self,
        *args: Any,
        value: Any,
        places: list[Place],
        decision: RowDecision | None,
        **kwargs: Any,
    ) -> None:
        initial = {
            "edition": decision.edition if decision else 0,
            "rating": str(decision.rating or "") if decision else "",
            "note": decision.note if decision else "",
        }
        super().__init__(*args, **{**kwargs, "initial": initial})
        self.places = places
        for number, place in enumerate(places):
            self.fields[f"text-{number}"] = _area(place.text, required=False, label=place.column)
        if not places:
            raw = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
            self.fields["raw"] = _area(raw, required=True)
        self.fields["raw" if not places else "text-0"].widget.attrs["autofocus"] = True

    @property
    def said(self) -> list[tuple[str, forms.BoundField]]:
        """Each text's role with its field."""
        return [(place.role, self[f"text-{n}"]) for n, place in enumerate(self.places)]

    def texts(self) -> list[str]:
        """The texts as they were written; the form must be valid."""
        return [self.cleaned_data[f"text-{n}"] for n in range(len(self.places))]


def _area(text: str, *, required: bool, label: str = "") -> forms.CharField:
    lines = min(max(text.count("\n") + len(text) // 90 + 1, 2), 24)
    return forms.CharField(
        label=label,
        initial=text,
        required=required,
        strip=False,
        max_length=PREVIEW_MAX,
        widget=forms.Textarea({"rows": lines, "maxlength": PREVIEW_MAX}),
    )


class SaveForm(forms.Form):
    """Which rated rows go when decisions are saved."""

    drop = forms.ChoiceField(
        label=_("Leave out what is rated"),
        choices=[
            ("", _("nothing")),
            *((str(one), format_lazy(_("under {n}"), n=one)) for one in RATINGS[1:]),
        ],
        required=False,
    )

    rest = forms.ChoiceField(
        label=_("Rows without a decision"),
        choices=[("keep", _("are kept")), ("drop", _("are left out"))],
        required=False,
    )

    def plan(self) -> dict[str, Any]:
        """What `services.revision_save` takes; what is not sent is as usual."""
        data = self.cleaned_data if self.is_valid() else {}
        drop = data.get("drop")
        return {
            "drop_rated_under": int(drop) if drop else None,
            "keeps_rest": data.get("rest") != "drop",
        }


VERSIONS_MAX = 500  # in a list to choose from


class CompareForm(forms.Form):
    """Two versions that somebody sees; without a choice the newest and what it was made from."""

    before = forms.ChoiceField(label=_("Version before"))
    after = forms.ChoiceField(label=_("Version after"))

    def __init__(
        self,
        *args: Any,
        user: User | AnonymousUser,
        before: str = "",
        after: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        readable = (DatasetVersion.State.READY, DatasetVersion.State.MAPPING)
        seen = (
            DatasetVersion.objects.visible_to(user)
            .filter(state__in=readable)
            .select_related("dataset")
            .only("id", "number", "parent_id", "sha256", "created_at", "dataset__name")
            .order_by("dataset__name", "dataset_id", "-number")
        )
        asked = [before, after, *(self.data.get(name, "") for name in self.fields)]
        named = seen.filter(pk__in=filter(None, map(id_of, asked)))
        versions = list({one.pk: one for one in (*seen[:VERSIONS_MAX], *named)}.values())
        for name, side in zip(self.fields, _sides(versions, before, after), strict=True):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [(str(one.pk), str(one)) for one in versions]
            field.initial = str(side.pk) if side else ""


def _sides(
    versions: list[DatasetVersion], before: str, after: str
) -> tuple[DatasetVersion | None, DatasetVersion | None]:
    """The versions to begin with, never twice the same: those that are named, and beside one alone
    what it was made from, or what was made from it.
    """
    named = {str(one.pk): one for one in versions}
    old, new = named.get(before), named.get(after)
    newest = sorted(versions, key=lambda one: one.created_at, reverse=True)
    if new is None:
        made = [one for one in newest if (origin := _origin(one, named)) and old in {None, origin}]
        others = [one for one in newest if one != old]
        new = next(iter(made or others), None)
    if new and old in {None, new}:
        old = _origin(new, named) or next((one for one in newest if one != new), None)
    return old, new


def _origin(version: DatasetVersion, named: dict[str, DatasetVersion]) -> DatasetVersion | None:
    """What it was made from; the version before it where that is not seen, or holds the same."""
    parent = named.get(str(version.parent_id))
    if parent and parent.sha256 != version.sha256:
        return parent
    earlier = (
        one
        for one in named.values()
        if one.dataset_id == version.dataset_id and one.number < version.number
    )
    return max(earlier, key=lambda one: one.number, default=None)


class ReviewForm(forms.Form):
    """Which rows are reviewed, and by how many people each."""

    name = forms.CharField(label=_("Name"), max_length=80)
    wanted = forms.TypedChoiceField(
        label=_("Reviewers of each row"),
        choices=[(n, str(n)) for n in range(1, REVIEWERS_MAX + 1)],
        coerce=int,
        help_text=_("With two or more, how far they agree is counted; disputes go to another."),
    )
    sample = forms.IntegerField(
        label=_("How many rows"),
        min_value=1,
        max_value=ROWS_MAX,
        required=False,
        help_text=format_lazy(
            _("Drawn by chance. Left empty: all of them, at most {most}."), most=ROWS_MAX
        ),
    )
    column = forms.ChoiceField(
        label=_("Only rows that have"),
        required=False,
        help_text=_("Such as “origin” of rows that were made, or the score of a judge."),
    )
    below = forms.FloatField(
        label=_("And there less than"),
        required=False,
        widget=forms.NumberInput({"step": "any"}),
    )

    def __init__(self, *args: Any, version: DatasetVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["column"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("all rows")), *((name, name) for name in version.file_columns)]
