"""Controls of forms that Django has not."""

from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict
from django.utils.safestring import SafeString

from datasets.recipes.parameters import VERSIONS_MAX

FEWEST = 2  # lines to choose in; one more than are chosen


class VersionsWidget(forms.Widget):
    """Several versions, each in a line of its own, with a weight where weights count."""

    use_fieldset = True

    def __init__(self, *, weighted: bool, versions: list[tuple[str, str]]) -> None:
        super().__init__()
        self.weighted = weighted
        self.versions = versions

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        """Lines for what is chosen, and one more."""
        chosen = list(value or [])
        known = dict(self.versions)
        lines = min(max(FEWEST, len(chosen) + 1), VERSIONS_MAX)
        empty: dict[str, Any] = {"version": "", "weight": 1}
        context = {
            "name": name,
            "attrs": attrs or {},
            "weighted": self.weighted,
            "versions": self.versions,
            "lines": [
                {**one, "unknown": one["version"] and one["version"] not in known}
                for one in [*chosen, *([empty] * (lines - len(chosen)))]
            ],
        }
        return SafeString(render_to_string("datasets/_versions.html", context))

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, Any]]:
        """What was chosen; weights that are no numbers stay as they were written."""
        if not isinstance(data, MultiValueDict):
            return list(data.get(name) or [])
        ids, weights = data.getlist(name), data.getlist(f"{name}-weight")
        weights += ["1"] * (len(ids) - len(weights))
        return [
            {"version": version, "weight": _number(weight)}
            for version, weight in zip(ids, weights, strict=False)
            if version
        ]


def _number(text: str) -> float | int | str:
    try:
        number = float(text.replace(",", ".") or 1)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
