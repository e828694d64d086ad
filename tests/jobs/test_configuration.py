"""What a user may say to the engine, and what comes out."""

import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given as any_of
from hypothesis import strategies as st

from common.errors import DomainError
from jobs.engines import engine_named, strict_yaml
from jobs.engines.base import Hardware, Order, Source
from jobs.engines.llamafactory import facts, failures, rules
from jobs.engines.llamafactory.engine import METHODS, PRESETS, STAGES

SOURCE = Source(base="models/base", template="qwen3_nothink", parameters=5_000_000)
PACKAGED = json.loads((Path(facts.__file__).parent / "arguments.json").read_text())


def order(**more) -> Order:
    values = {
        "kind": "train", "source": SOURCE, "stage": "sft", "method": "lora", "preset": "balanced",
        "datasets": ["some-v1"], "rows": 1000, "hardware": Hardware(memory=2**34, cpus=2),
    }  # fmt: skip
    return Order(**{**values, **more})


def rendered(**more) -> dict:
    return yaml.safe_load(engine_named("llamafactory").render(order(**more)))


def refusal(text: str, kind: str = "train") -> DomainError:
    with pytest.raises(DomainError) as refused:
        rules.overrides_clean(kind, text)
    assert refused.value.field == "config_overrides"
    assert refused.value.http_status == 422
    return refused.value


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_combination_speaks_the_engines_words(stage, method, preset):
    config = rendered(stage=stage, method=method, preset=preset, eval_datasets=["other-v1"])
    for key, value in config.items():
        assert key in PACKAGED, key
        assert not rules._type_problem(key, value, PACKAGED[key]), (key, value)
    assert config["stage"] == stage
    assert config["finetuning_type"] == ("lora" if method == "qlora" else method)
    assert ("quantization_bit" in config) == (method == "qlora")
    assert config["bf16"] is False
    assert ("early_stopping_steps" in config) == (preset == "thorough" and stage != "rm")


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["train", "evaluate", "export"])
def test_what_the_form_shows_is_what_it_would_be_without_it(kind):
    engine = engine_named("llamafactory")
    for stage in STAGES if kind == "train" else ("",):
        for method in METHODS if kind == "train" else ("",):
            plain = order(kind=kind, stage=stage, method=method)
            defaults = engine.defaults(plain)
            for row in engine.fields(kind, stage, method):
                if row.kind == "bool":
                    assert defaults[row.name] in {True, False}, row.name
                if row.kind == "choice":
                    assert defaults[row.name] in {value for value, _label in row.choices}, row.name


@pytest.mark.engine
def test_the_packaged_arguments_are_the_installed_engines(real_engine):
    assert facts.arguments() == PACKAGED


def test_layers_win_in_order():
    config = rendered(
        preset="small_gpu",
        settings={"learning_rate": 3e-4, "cutoff_len": 512},
        overrides={"cutoff_len": 256, "lr_scheduler_kwargs": {"num_cycles": 2}},
    )
    assert config["per_device_train_batch_size"] == 1
    assert (config["learning_rate"], config["cutoff_len"]) == (3e-4, 256)
    assert config["lr_scheduler_kwargs"] == {"num_cycles": 2}
    assert strict_yaml.merge({"a": {"b": 1, "c": 1}}, {"a": {"b": 2}}) == {"a": {"b": 2, "c": 1}}


def test_a_gpu_means_half_precision_and_a_share_of_the_rows():
    gpu = Hardware(gpu_memory=(2**35,), memory=2**36, cpus=8)
    config = rendered(gpus=1, hardware=gpu)
    assert config["bf16"] is True
    estimate = engine_named("llamafactory").estimate(order(gpus=2, hardware=gpu))
    assert (estimate.rows_per_step, estimate.steps) == (32, 96)


def test_pretraining_from_nothing_is_full_with_larger_steps():
    config = rendered(stage="pt", method="full", settings={"train_from_scratch": True})
    assert config["train_from_scratch"] is True
    assert config["learning_rate"] == 5e-4


@pytest.mark.parametrize(
    ("text", "word", "line"),
    [
        ("seed: !!python/object/apply:os.system ['id']", "Tags", 1),
        ("seed: !!int 3", "Tags", 1),
        ("a: &x [1]\nb: *x", "Anchors", 1),
        ("seed: 1\nseed: 2", "twice", 2),
        ("a: {b: {c: {d: {e: {f: {g: 1}}}}}}", "deeper", 1),
        ("seed: 1\n---\nseed: 2", "one document", 2),
        ("- seed", "argument: value", 1),
        ("seed: [1", "not YAML", None),
        ("<<: {seed: 1}", "plain words", 1),
        ("? [a, b]\n: 1", "plain words", 1),
        ("seed: 1\n\tx: 2", "not YAML", 2),
    ],
)
def test_yaml_that_explodes_or_lies_is_refused_with_its_line(text, word, line):
    refused = refusal(text)
    assert word in refused.message
    if line:
        assert refused.data["line"] == line


def test_a_billion_laughs_cost_nothing():
    text = "a0: &a0 [x]\n" + "\n".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)
    )
    began = time.process_time()  # what it costs, however busy the machine is
    refusal(text)
    refusal("[" * 60_000)
    refusal("seed: " + "1" * 70_000)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("key", sorted({
    "model_name_or_path", "adapter_name_or_path", "output_dir", "dataset", "dataset_dir",
    "eval_dataset", "resume_from_checkpoint", "trust_remote_code", "hf_hub_token", "ms_hub_token",
    "om_hub_token", "deepspeed", "cache_dir", "logging_dir", "export_dir", "tokenized_path",
    "media_dir", "push_to_hub", "hub_model_id", "ref_model", "reward_model", "swanlab_api_key",
    "fsdp_config", "generation_config", "vllm_config", "save_only_model", "stage", "offload_folder",
    "finetuning_type", "accelerator_config", "new_special_tokens_config", "ray_init_kwargs",
}))  # fmt: skip
def test_protected_keys_are_refused_by_name(key):
    for kind in ("train", "evaluate", "export"):
        refused = (
            refusal(f"seed: 1\n{key}: x", kind) if kind == "train" else refusal(f"{key}: x", kind)
        )
        assert f"“{key}”" in refused.message
        assert refused.data["key"] == key
    assert refusal(f"seed: 1\n{key}: x").data["line"] == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("learning_rat: 1e-4", "Did you mean “learning_rate”?"),
        ("seed: fast", "needs int"),
        ("packing: 3", "needs bool"),
        ("lora_rank: 8.5", "needs int"),
        ("lora_rank: 0", "at least 1"),
        ("flash_attn: fast", "one of auto"),
        ("report_to: wandb", "none"),
        ("report_to: [tensorboard, mlflow]", "none"),
        ("learning_rate: .inf", "finite"),
        ("default_system: ${oc.env:HOME}", "${"),
        ("lr_scheduler_kwargs: {a: '${oc.env:HOME}'}", "${"),
        ("lr_scheduler_kwargs: /etc/passwd", "needs"),
        ("seed: 99999999999999999999", "too large"),
        ("run_name: 2024-01-01", "texts, numbers"),
    ],
)
def test_wrong_values_say_what_is_wanted(text, reason):
    assert reason in refusal(text).message


def test_what_is_right_passes():
    text = (
        "learning_rate: 5e-5\nneftune_noise_alpha: 5\nuse_dora: yes\neval_strategy: no\n"
        "report_to: tensorboard"
    )
    assert rules.overrides_clean("train", text) == {
        "learning_rate": 5e-5,
        "neftune_noise_alpha": 5,
        "use_dora": True,
        "eval_strategy": "no",
        "report_to": "tensorboard",
    }
    assert rules.overrides_clean("train", "") == {}


@any_of(st.text(max_size=400))
def test_no_text_breaks_the_reader(text):
    try:
        values, lines = strict_yaml.read(text)
    except DomainError:
        return
    assert set(values) == set(lines)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"lora_rank": 0}, "lora_rank"),
        ({"lora_rank": "many"}, "lora_rank"),
        ({"no_such": 1}, "settings.no_such"),
        ({"pref_loss": "orpo"}, None),
        ({"default_system": "${oc.env:HOME}"}, "default_system"),
        ({"learning_rate": True}, "learning_rate"),
    ],
)
def test_settings_name_the_field_to_blame(given, field):
    engine = engine_named("llamafactory")
    if field is None:
        assert engine.clean(order(settings=given)) == {}  # idle for this goal
        return
    with pytest.raises(DomainError) as refused:
        engine.clean(order(settings=given))
    assert refused.value.field == field


def test_only_what_the_engine_runs_is_offered():
    engine = engine_named("llamafactory")
    for bad in ({"stage": "ppo"}, {"method": "oft"}, {"preset": "best"}):
        with pytest.raises(DomainError):
            engine.clean(order(**bad))
    adapter = Source(base="models/base", adapter="models/a")
    with pytest.raises(DomainError, match="Export it first"):
        engine.clean(order(source=adapter, method="full"))
    tied = Source(base="models/base", has_tied_words=True)
    with pytest.raises(DomainError, match="Use LoRA"):
        engine.clean(order(source=tied, stage="rm", method="full"))
    assert engine.clean(order(source=tied, stage="rm")) == {}
    assert engine.why_not_pausable("rm", "full") and not engine.why_not_pausable("rm", "lora")


def test_qlora_is_greyed_with_what_the_engine_misses(settings, tmp_path):
    (tmp_path / "x" / "llamafactory").mkdir(parents=True)
    settings.ENGINES_DIR = tmp_path / "x"
    text = {"capabilities": {"qlora": {"available": False, "missing": ["bitsandbytes"]}}}
    (tmp_path / "x" / "llamafactory" / "engine.json").write_text(json.dumps(text))
    methods = {row.value: row.reason for row in engine_named("llamafactory").methods("sft")}
    assert methods.pop("qlora") == "bitsandbytes is not installed in the engine's environment"
    assert not any(methods.values())


@pytest.mark.parametrize(
    ("log", "failure", "code"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "oom", "gpu_oom"),
        ("OSError: [Errno 28] No space left on device", "disk", "disk"),
        ("ValueError: Some keys are not used by the HfArgumentParser: ['nope_key']", "user_config",
         "unknown_key"),
        ("ImportError: pip install bitsandbytes>=0.39.0", "user_config", "quantiser"),
        ("ValueError: Please merge adapters before quantizing the model.", "engine_bug", ""),
        ("RuntimeError: NCCL error: unhandled system error", "gpu_hw", "nccl"),
        ("requests.exceptions.ConnectionError: Max retries exceeded", "network_hub", "network"),
        (('trainer-error: {"type": "DataError", "message": "The data has no rows.", '
          '"class": "user_data"}'), "user_data", "no_rows"),
        ('trainer-error: {"type": "KeyError", "message": "x", "class": "user_config"}',
         "user_config", ""),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", "gpu_hw", "gpu"),
    ],
)  # fmt: skip
def test_logs_are_classified_with_the_line_that_proves_it(log, failure, code):
    found = failures.classify(f"step 1\n{log}\nbye\n" if "trainer-error" not in log else log)
    assert (found.failure, found.code) == (failure, code)
    if code and "trainer-error" not in log:
        assert found.line == log


def test_every_failure_has_advice():
    from jobs.models import Job

    for failure in Job.Failure.values:
        assert str(failures.advice(failure, "", {}).text)
    advice = failures.advice("oom", "gpu_oom", {"per_device_train_batch_size": 1})
    assert advice.changes == {"cutoff_len": 1024}


def test_evaluations_and_exports_render():
    config = rendered(kind="evaluate", stage="", method="", baseline=Source(base="models/base"))
    assert [row["name"] for row in config["subjects"]] == ["baseline", "candidate"]
    assert config["dataset_dir"] == "inputs/data"
    source = Source(base="models/base", adapter="models/a", template="qwen3")
    config = rendered(kind="export", source=source)
    assert config["adapter_name_or_path"] == "inputs/adapter"
    assert refusal("learning_rate: 1", "export")
