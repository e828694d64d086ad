"""What fails after a commit is logged and harms nobody."""

import logging
from functools import partial

import pytest
from django.db import transaction

from common.commits import after_commit

pytestmark = pytest.mark.django_db(transaction=True)


def trouble(*done: str) -> None:
    raise RuntimeError(f"after {done}")


@pytest.mark.parametrize("function", [trouble, partial(trouble, "first")])
def test_what_fails_is_logged_and_the_rest_goes_on(function, caplog) -> None:
    seen = []
    with caplog.at_level(logging.ERROR), transaction.atomic():
        after_commit(function, "second")
        after_commit(seen.append, 1)
        assert seen == []
    assert seen == [1]
    assert "trouble" in caplog.text


def test_nothing_is_done_without_a_commit() -> None:
    seen = []
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        after_commit(seen.append, 1)
        _ = 1 / 0
    assert seen == []
