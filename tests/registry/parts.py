"""Models, versions and answers with real files."""

import json
import struct
from pathlib import Path

from django.conf import settings as django_settings

from registry import services
from registry.models import Model, ModelVersion


def weights(folder: Path, *, values: int = 10) -> Path:
    """A complete model of `values` 32-bit floats."""
    folder.mkdir(parents=True, exist_ok=True)
    entry = {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}
    header = json.dumps({"w": entry}).encode()
    (folder / "model.safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header + bytes(4 * values)
    )
    (folder / "config.json").write_text('{"architectures": ["TinyForCausalLM"]}')
    (folder / "tokenizer.json").write_text("{}")
    return folder


def publish(people, *, name="helper", path="output/one", base=None, kind="full", **more):
    """A version of the team's model."""
    weights(Path(django_settings.TRAINER_HOME) / path)
    return services.version_publish(
        project=people.team,
        model_name=name,
        kind=kind,
        source="job",
        template="chatml",
        base=base,
        path=path,
        created_by=people.member,
        **more,
    )


def base_model(name="base", *, enabled=True, path="models/base", **more):
    """A base model with files."""
    if path:
        weights(Path(django_settings.TRAINER_HOME) / path)
    model = Model.objects.create(name=name, is_enabled=enabled)
    fields = {"kind": "base", "source": "local", "template": "chatml", "path": path, **more}
    return ModelVersion.objects.create(model=model, **fields)


def answers(path: Path, rows: list[dict]) -> Path:
    """A file of stored answers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for index, row in enumerate(rows):
        messages = [{"role": "user", "content": row.get("prompt", f"question {index}")}]
        lines.append(
            json.dumps(
                {"index": index, "messages": messages, "finish": "stop", **row}, ensure_ascii=False
            )
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


REFERENCES = ("open at eight", "closed on sunday", "ask the front desk", "press the button")
