"""Rows at which the engine would stop a training are told before it begins."""

import pytest

from common.errors import DomainError


def test_such_data_is_refused(submit, data) -> None:
    """Only under the template that stops."""
    found = {"rows": 2, "row": 7, "why": "calls"}
    data.alpaca.report["stops"] = {"glm4": found, "chatglm3": found}
    data.alpaca.save(update_fields=["report"])
    with pytest.raises(DomainError, match=r"2 rows .*“glm4”, first at row 7") as refused:
        submit(settings={"template": "glm4"})
    assert refused.value.code == "data_stops"
    submit(settings={"template": "qwen"})
