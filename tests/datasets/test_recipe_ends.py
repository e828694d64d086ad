"""How runs of recipes end that do not go well: refused, cancelled, killed and given up."""

import pytest
from django.utils import translation

from common.errors import Conflict
from common.phrases import load
from datasets import services
from datasets.models import DatasetVersion, Recipe, RecipeRun
from datasets.reading.locks import locked
from tests.datasets import children
from tests.datasets.conftest import GOOD
from tests.datasets.recipes_run import ROWS, STEPS, execute, recipe

__all__ = ["execute", "recipe"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


def test_a_part_without_rows_is_a_failure_that_says_so(make, recipe, execute) -> None:
    """Eleven rows of one customer and one of another make two groups, not three parts."""
    source = make([{**GOOD[0], "output": str(n), "customer": n // 11} for n in range(12)]).latest
    shares = {"validation_share": 0.2, "by": "column", "column": "customer"}
    run = execute(recipe([{"kind": "split", "parameters": shares}]), source, name="new")
    assert (run.state, run.outputs.count()) == ("failed", 0)
    assert (run.problem_code, "“Test”" in run.problem) == ("part_empty", True)
    with translation.override("zh-hans"):
        assert "“测试”" in RecipeRun.objects.get(pk=run.pk).problem
    assert run.report[0]["parts"] == {"train": 11, "validation": 1}
    steps = [{"kind": "split", "parameters": {**shares, "test_share": 0, "validation_share": 0.5}}]
    run = execute(recipe(steps, name="two"), source, name="two")
    assert run.state == "succeeded"
    assert "has 1 rows where 6 were to be" in load(run.log[-1]["text"])


def test_nothing_left_is_a_failure_that_says_where(make, recipe, execute, people, client) -> None:
    dataset = make()
    steps = [{"kind": "mask"}, {"kind": "clean", "parameters": {"min_chars": 5000}}]
    run = execute(recipe(steps), dataset.latest)
    assert run.state == "failed"
    assert "step 2" in run.problem
    client.force_login(people.viewer)
    told = client.get(f"/api/v1/recipe-runs/{run.pk}/").json()
    assert (told["problem_code"], told["problem"]) == ("nothing_left", run.problem)
    assert run.report[1]["dropped"] == {"too_short": 30}
    assert dataset.versions.count() == 1


def test_a_slow_pattern_is_a_failure(make, recipe, execute) -> None:
    dataset = make([{"instruction": "a" * 80 + "!", "output": "b"}])
    slow = recipe([{"kind": "clean", "parameters": {"pattern": r"(a|aa)+$"}}])
    run = execute(slow, dataset.latest)
    assert run.state == "failed"
    assert "row 1" in run.problem


def test_cancelled_before_and_while_it_runs(people, make, recipe, monkeypatch) -> None:
    dataset = make()
    run = services.run_create(recipe().pk, by=people.member, version_id=dataset.latest.pk)
    services.run_cancel(run.pk, by=people.member)
    services.run_execute(run.pk)
    with pytest.raises(Conflict):
        services.run_cancel(run.pk, by=people.member)
    other = services.run_create(
        Recipe.objects.get().pk, by=people.member, version_id=dataset.latest.pk
    )
    # Calls it off in the middle: the first look at the state comes after the first row.
    monkeypatch.setattr(services.running, "REPORTED", 0)
    real = services.running.mapping_of

    def called_off(version):
        services.run_cancel(other.pk, by=people.member)
        return real(version)

    monkeypatch.setattr(services.running, "mapping_of", called_off)
    services.run_execute(other.pk)
    assert {one.state for one in RecipeRun.objects.all()} == {"cancelled"}
    assert dataset.versions.count() == 1
    assert not other.directory.exists()


def test_a_run_that_makes_too_much_is_stopped(people, make, recipe, execute, monkeypatch) -> None:
    """A thousand million rows of sixty: it ends at the project's limit, not at the disk's."""
    monkeypatch.setattr(services.running, "REPORTED", 0.1)
    own, other = make(GOOD), make(GOOD, name="other")
    people.team.max_storage_bytes = 3_000_000
    people.team.save()
    given = {"versions": [str(other.latest.pk)], "rows": 10**9, "repeat": True}
    run = execute(recipe([{"kind": "mix", "parameters": given}]), own.latest)
    assert (run.state, own.versions.count()) == ("failed", 1)
    assert "of 2 MB" in run.problem
    assert not run.directory.exists()


def test_a_run_that_never_ends_is_given_up(people, make, recipe) -> None:
    run = services.run_create(recipe().pk, by=people.member, version_id=make().latest.pk)
    RecipeRun.objects.update(progress={"tries": 5}, state="running")
    services.run_execute(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert "5" in run.problem


KILLED = """
import sys
import django
django.setup()
from datasets import services
from datasets.models import RecipeRun
from datasets.recipes import rows
from tests.datasets.children import dies_after

dies_after(int(sys.argv[1]))
services.run_execute(RecipeRun.objects.get().pk)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("steps", [3, 9, 16, 23, 28])
def test_a_killed_worker_leaves_nothing_half_done(people, home, make, recipe, steps) -> None:
    """kill -9 at a step that touches files: the sweep goes on, and all is there once."""
    dataset = make(ROWS)
    parted = recipe([*STEPS, {"kind": "split"}])
    run = services.run_create(parted.pk, by=people.member, version_id=dataset.latest.pk)
    done = children.run(KILLED, str(steps), check=False)
    assert done.returncode == -9, done.stderr
    for _round in range(3):
        services.sweep()
        services.run_execute(run.pk)
        for version in DatasetVersion.objects.filter(state="checking"):
            services.version_check(version.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    versions = list(dataset.versions.all())
    assert sorted(version.lineage.get("part", "") for version in versions) == ["", "test", "train"]
    assert {version.state for version in versions} == {"ready"}
    folders = {path.name for path in versions[0].directory.parent.iterdir()}
    assert folders == {f"v{version.number}" for version in versions}
    assert not list((home / "data" / ".recipes").iterdir())


def test_the_sweep_leaves_a_living_run_alone(people, home, make, recipe) -> None:
    run = services.run_create(recipe().pk, by=people.member, version_id=make().latest.pk)
    services.run_cancel(run.pk, by=people.member)
    run.directory.mkdir(parents=True)
    with locked(run.directory):
        services.sweep()
        assert run.directory.exists()
        assert not services.run_execute(run.pk)
    services.sweep()
    assert not run.directory.exists()


# --- pages -------------------------------------------------------------------------------------
