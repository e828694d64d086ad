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


def test_the_page_of_the_data_tells_them(client, people, data) -> None:
    """Templates alike in it as one."""
    found = {"rows": 2, "row": 7, "why": "calls"}
    data.alpaca.report["stops"] = {"glm4": found, "chatglm3": found}
    data.alpaca.save(update_fields=["report"])
    client.force_login(data.alpaca.created_by)
    page = client.get(
        f"/datasets/{data.alpaca.dataset_id}/versions/{data.alpaca.pk}/"
    ).content.decode()
    assert page.count("2 rows would stop a training with some chat templates") == 1
    assert "glm4, chatglm3" in page
    assert "Row 7: this template takes only one tool call at once." in page
    assert "Every row can be learnt from." not in page
