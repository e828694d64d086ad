"""Publishing, renaming and deleting models."""

import pytest
from django.dispatch import receiver

from accounts.models import Event
from common.errors import Conflict, DomainError
from registry import services
from registry.models import Evaluation, Model, ModelVersion
from registry.signals import version_deleting
from tests.registry.parts import base_model, publish


def test_versions_are_numbered_and_measured(people):
    first = publish(people, path="output/one")
    second = publish(people, path="output/two", base=first)
    assert (first.number, second.number) == (1, 2)
    assert first.model == second.model
    assert first.parameters == 10
    assert first.bytes == sum(size for _name, size in first.files())
    assert Event.objects.of(first).get().verb == "published"


def test_publishing_the_same_files_again_changes_nothing(people):
    assert publish(people) == publish(people)
    assert ModelVersion.objects.count() == 1


def test_files_outside_are_not_registered(people, tmp_path):
    for path in ("../elsewhere", "/etc", "output/../..", "."):
        with pytest.raises(DomainError):
            services.version_publish(
                project=people.team,
                model_name="x",
                kind="full",
                source="job",
                template="",
                base=None,
                path=path,
            )
    assert not Model.objects.exists()


def test_a_job_is_not_refused_its_model_over_a_name(people):
    assert publish(people, name="../a\x00b").model.name == "..-a-b"


def test_an_adapter_is_loaded_onto_the_complete_weights_below_it(people):
    base = base_model()
    first = publish(people, path="output/a1", base=base, kind="adapter")
    second = publish(people, path="output/a2", base=first, kind="adapter")
    merged = publish(people, path="output/m", base=second, kind="merged")
    assert first.chain() == ("models/base", "output/a1")
    assert second.chain() == ("models/base", "output/a2")
    assert merged.chain() == ("output/m", None)
    assert merged.lineage() == [second, first, base]


def test_a_model_on_a_hub_is_named_by_its_id(db):
    version = base_model(path="", hf_id="lab/tiny")
    assert version.chain() == ("hub:lab/tiny", None)
    assert version.files() == []


def test_usable_are_enabled_base_models_and_the_projects_own(people):
    usable, off = base_model("on"), base_model("off", enabled=False, path="models/off")
    own = publish(people)
    other = services.version_publish(
        project=people.stranger.personal_project,
        model_name="theirs",
        kind="full",
        source="job",
        template="",
        base=None,
        path=publish(people, path="output/x", name="x").path,
    )
    found = ModelVersion.objects.usable_in(people.team)
    assert {usable, own} <= set(found)
    assert off not in found
    assert other not in found


def test_renaming_and_what_stands_in_its_way(people):
    one, two = publish(people), publish(people, name="other", path="output/two")
    services.model_update(one.model_id, by=people.member, name=" better ", remark="why")
    one.model.refresh_from_db()
    assert (one.model.name, one.model.remark) == ("better", "why")
    for name in ("other", "", "a/b", "a\nb", "x" * 121):
        with pytest.raises(DomainError) as refused:
            services.model_update(one.model_id, by=people.member, name=name)
        assert refused.value.field == "name"
    with pytest.raises(Model.DoesNotExist):
        services.model_update(two.model_id, by=people.viewer, name="mine")


def test_deleting_removes_the_files_after_commit(
    people, home, django_capture_on_commit_callbacks, evaluated
):
    version = evaluated.version
    with django_capture_on_commit_callbacks(execute=True):
        services.version_delete(version.pk, by=people.member)
    assert not (home / "output" / "one").exists()
    assert (home / "models" / "base").exists()
    assert not list((home / "temp").iterdir())
    assert not Model.objects.filter(name="helper").exists()  # it went with its last version
    assert not Evaluation.objects.filter(version=version.pk).exists()


def test_files_that_another_version_uses_stay(people, home, django_capture_on_commit_callbacks):
    version = publish(people)
    services.version_publish(
        project=people.stranger.personal_project,
        model_name="copy",
        kind="full",
        source="job",
        template="",
        base=None,
        path=version.path,
    )
    with django_capture_on_commit_callbacks(execute=True):
        services.version_delete(version.pk, by=people.member)
    assert (home / "output" / "one").exists()


def test_a_version_that_others_come_from_stays(people):
    base = publish(people)
    publish(people, name="child", path="output/child", base=base)
    with pytest.raises(Conflict, match="child"):
        services.version_delete(base.pk, by=people.member)
    assert ModelVersion.objects.filter(pk=base.pk).exists()


def test_those_above_may_keep_a_version(people):
    version = publish(people)

    @receiver(version_deleting)
    def keep(sender, *, version, **kwargs):
        raise Conflict("it is in service")

    try:
        with pytest.raises(Conflict, match="in service"):
            services.model_delete(version.model_id, by=people.member)
    finally:
        version_deleting.disconnect(keep)
    assert Model.objects.filter(pk=version.model_id).exists()


def test_a_model_goes_with_versions_that_build_on_each_other(
    people, home, django_capture_on_commit_callbacks
):
    first = publish(people, path="output/one")
    publish(people, path="output/two", base=first)
    with django_capture_on_commit_callbacks(execute=True):
        services.model_delete(first.model_id, by=people.member)
    assert not Model.objects.filter(pk=first.model_id).exists()
    assert not (home / "output" / "two").exists()
