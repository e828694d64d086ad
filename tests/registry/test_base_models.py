"""The catalogue, what operators add, and imports."""

import shutil
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from common.errors import DomainError
from registry import catalogue, services
from registry.models import Model, ModelVersion
from tests.registry.parts import base_model, weights


def test_the_catalogue_is_imported_once_and_disabled(db, engine):
    assert services.catalogue_import() == 3
    assert services.catalogue_import() == 0
    assert not Model.objects.filter(is_enabled=True).exists()
    tiny = ModelVersion.objects.get(model__name="Tiny-1B")
    assert (tiny.kind, tiny.source, tiny.template) == ("base", "hub", "chatml")
    assert ModelVersion.objects.get(model__name="Odd").template == ""  # the engine has no such one


def test_what_operators_changed_stays(people, engine):
    services.catalogue_import()
    model = Model.objects.get(name="Tiny-1B")
    services.base_model_update(
        model.pk, by=people.operator, name="Our tiny", is_enabled=True, template="qwen3"
    )
    assert services.catalogue_import() == 0
    version = ModelVersion.objects.get(model__name="Our tiny")
    assert (version.model.is_enabled, version.template) == (True, "qwen3")


def test_no_engine_no_catalogue(db, settings, tmp_path):
    settings.ENGINES_DIR = tmp_path / "none"
    assert services.catalogue_import() == 0
    assert catalogue.templates() == []


@pytest.mark.engine
def test_the_real_catalogue(db, real_engine):
    assert services.catalogue_import() > 500
    assert services.catalogue_import() == 0
    assert ModelVersion.objects.filter(template="qwen3").exists()


def test_operators_add_base_models(people, engine):
    model = services.base_model_add(
        by=people.operator, name="Mine", hf_id="lab/mine", template="chatml"
    )
    assert model.is_enabled
    assert model.versions.get().chain() == ("hub:lab/mine", None)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("hf_id", {"name": "x"}),
        ("hf_id", {"name": "x", "hf_id": "/etc/passwd"}),
        ("hf_id", {"name": "x", "hf_id": "../../secret"}),
        ("hf_id", {"name": "x", "hf_id": "https://example.org/a/b"}),
        ("ms_id", {"name": "x", "ms_id": "only-a-name"}),
        ("template", {"name": "x", "hf_id": "a/b", "template": "unheard-of"}),
        ("name", {"name": "base", "hf_id": "a/b"}),
        ("name", {"name": "a/b", "hf_id": "a/b"}),
    ],
)
def test_what_is_no_base_model(people, engine, field, values):
    base_model()
    with pytest.raises(DomainError) as refused:
        services.base_model_add(by=people.operator, **values)
    assert refused.value.field == field
    assert Model.objects.count() == 1


def test_only_operators_change_base_models(people, engine):
    version = base_model()
    with pytest.raises(Model.DoesNotExist):
        services.base_model_update(version.model_id, by=people.owner, is_enabled=False)


def test_a_directory_is_copied_and_registered(db, engine, tmp_path, home):
    source = weights(tmp_path / "outside", values=6)
    version = services.model_import(source, name="Tiny", template="chatml", by=None)
    assert version.model.is_enabled
    assert version.model.project is None
    assert version.parameters == 6
    assert version.path == f"models/{version.pk}"
    assert (version.directory / "model.safetensors").is_file()
    assert source.exists()
    assert not list((home / "models").glob(".import-*"))


def test_a_refused_directory_leaves_nothing(db, engine, tmp_path, home):
    source = weights(tmp_path / "outside")
    (source / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(DomainError, match="pickle"):
        services.model_import(source, name="Tiny", template="", by=None)
    assert not Model.objects.exists()
    assert not list((home / "models").iterdir())


def test_operators_import_a_folder_by_its_name(people, engine, home):
    folder = weights(home / "models" / "import" / "tiny")
    (home / "models" / "import" / "broken").mkdir()
    (home / "models" / "import" / "outside").symlink_to("/etc")
    (home / "models" / "import" / "notes.txt").write_text("x")
    found = {one.name: one.problem for one in services.import_candidates()}
    assert set(found) == {"broken", "outside", "tiny"}
    assert found["tiny"] == ""
    assert "directory" in found["outside"]
    version = services.folder_import(
        folder="tiny", name="Tiny", template="chatml", by=people.operator
    )
    assert (version.directory / "config.json").is_file()
    assert not folder.exists()


@pytest.mark.parametrize("folder", ["../output", "/etc", "tiny/..", "outside", "broken", ""])
def test_no_other_path_is_imported(people, engine, home, folder):
    weights(home / "models" / "import" / "tiny")
    (home / "models" / "import" / "broken").mkdir()
    (home / "models" / "import" / "outside").symlink_to(home / "output")
    with pytest.raises(DomainError) as refused:
        services.folder_import(folder=folder, name="x", template="", by=people.operator)
    assert refused.value.field == "folder"
    assert not Model.objects.exists()


def test_the_command_imports_and_refuses(db, engine, tmp_path):
    weights(tmp_path / "tiny")
    out = StringIO()
    call_command("model_import", name="Tiny", path=str(tmp_path / "tiny"), stdout=out)
    assert "10 parameters" in out.getvalue()
    with pytest.raises(CommandError, match="already"):
        call_command("model_import", name="Tiny", path=str(tmp_path / "tiny"))
    with pytest.raises(CommandError, match="directory"):
        call_command("model_import", name="Other", path=str(tmp_path / "none"))


@pytest.mark.engine
def test_the_demo_model_is_made_once(db, real_engine, home):
    call_command("demo_model_create", stdout=StringIO())
    version = ModelVersion.objects.get(model__name="demo")
    assert version.parameters > 1_000_000
    assert version.template == "chatml"
    made = (home / version.path / "model.safetensors").stat().st_mtime_ns
    shutil.rmtree(home / "temp")
    call_command("demo_model_create", stdout=StringIO())
    assert (home / version.path / "model.safetensors").stat().st_mtime_ns == made
    assert ModelVersion.objects.count() == 1


def test_without_an_engine_the_demo_model_says_what_to_do(db, settings, tmp_path):
    settings.ENGINES_DIR = tmp_path / "none"
    with pytest.raises(CommandError, match="make engine"):
        call_command("demo_model_create")
