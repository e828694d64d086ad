"""What is taken for a model, and what is refused with its reason."""

import json
import struct

import pytest

from registry import weights


def safetensors(path, shapes, *, cut=0):
    """A file of zeros in 32-bit floats."""
    entries, at = {}, 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    whole = struct.pack("<Q", len(header)) + header + bytes(at)
    path.write_bytes(whole[: len(whole) - cut])


@pytest.fixture
def model(tmp_path):
    """A small but complete model directory."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["TinyForCausalLM"]}')
    (folder / "tokenizer.json").write_text("{}")
    safetensors(folder / "model.safetensors", {"a": [3, 5], "b": [7]})
    return folder


def test_parameters_and_size_come_from_the_headers(model):
    found = weights.inspect(model)
    assert found.parameters == 22
    assert found.architecture == "TinyForCausalLM"
    assert found.bytes == sum(path.stat().st_size for path in model.iterdir())


def test_parts_are_added_up(model):
    (model / "model.safetensors").unlink()
    safetensors(model / "model-1.safetensors", {"a": [3, 5]})
    safetensors(model / "model-2.safetensors", {"b": [7]})
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weights.inspect(model).parameters == 22
    (model / "model-2.safetensors").unlink()
    with pytest.raises(weights.BadWeights, match="model-2"):
        weights.inspect(model)


def test_checkpoints_belong_to_the_job(model):
    (model / "checkpoint-10").mkdir()
    (model / "checkpoint-10" / "optimizer.bin").write_bytes(b"x" * 1000)
    assert "checkpoint-10/optimizer.bin" not in dict(weights.files_of(model))


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_an_incomplete_model_is_refused(model, missing):
    (model / missing).unlink()
    with pytest.raises(weights.BadWeights):
        weights.inspect(model)


@pytest.mark.parametrize(
    "name", ["modeling_tiny.py", "pytorch_model.bin", "weights.pt", "sub/evil.PY", "x.pkl"]
)
def test_code_and_pickles_are_refused(model, name):
    path = model / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    with pytest.raises(weights.BadWeights, match=name):
        weights.inspect(model)


def test_json_of_nothing_but_brackets_is_refused(model):
    length = 100_000
    (model / "model.safetensors").write_bytes(struct.pack("<Q", length) + b"[" * length)
    with pytest.raises(weights.BadWeights, match="cannot be read"):
        weights.inspect(model)
    (model / "config.json").write_text("[" * length)
    with pytest.raises(weights.BadWeights, match="not valid JSON"):
        weights.inspect(model)


def test_code_asked_for_by_the_configuration_is_refused(model):
    (model / "config.json").write_text('{"auto_map": {"AutoModel": "other--model.Model"}}')
    with pytest.raises(weights.BadWeights, match="auto_map"):
        weights.inspect(model)


def test_links_are_refused(model, tmp_path):
    (tmp_path / "secret").write_text("x")
    (model / "extra.json").symlink_to(tmp_path / "secret")
    with pytest.raises(weights.BadWeights, match="link"):
        weights.inspect(model)
    (tmp_path / "alias").symlink_to(model)
    with pytest.raises(weights.BadWeights, match="not a directory"):
        weights.inspect(tmp_path / "alias")


def test_a_cut_off_file_is_refused(model):
    safetensors(model / "model.safetensors", {"a": [3, 5]}, cut=8)
    with pytest.raises(weights.BadWeights, match="cut off"):
        weights.inspect(model)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 8, b"\xff" * 16, struct.pack("<Q", 4) + b"nope"]
)
def test_garbage_is_refused(model, content):
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(weights.BadWeights):
        weights.inspect(model)


@pytest.mark.parametrize("text", ["[]", "{", "\x00"])
def test_a_broken_configuration_is_refused(model, text):
    (model / "config.json").write_text(text)
    with pytest.raises(weights.BadWeights):
        weights.inspect(model)
