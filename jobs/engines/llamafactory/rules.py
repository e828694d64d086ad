"""What a user may say to the engine: known arguments of the right type, none that opens a door."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

from common.errors import DomainError
from common.phrases import either
from common.phrases import gettext as _
from jobs.engines import strict_yaml
from jobs.engines.base import Field, Order, Text
from jobs.engines.llamafactory import facts
from jobs.engines.llamafactory.fields import BY_NAME

PATHS = gettext_lazy("paths are the platform's business")
SECRETS = gettext_lazy("hubs and tokens are the platform's business")
RUNTIME = gettext_lazy("the platform decides where and how it runs")
CODE = gettext_lazy("foreign code is never run")
FORM = gettext_lazy("choose it on the form")

PROTECTED: dict[str, Text] = {
    **dict.fromkeys(
        (
            "model_name_or_path", "adapter_name_or_path", "adapter_folder", "cache_dir",
            "output_dir", "dataset", "dataset_dir", "eval_dataset", "media_dir", "tokenized_path",
            "resume_from_checkpoint", "logging_dir", "export_dir", "offload_folder",
            "kt_weight_path", "kt_expert_checkpoint_path", "new_special_tokens_config",
            "generation_config", "ref_model", "ref_model_adapters", "reward_model",
            "reward_model_adapters", "export_quantization_dataset", "profiler_output_dir",
            "lora_path", "predictions_path",
        ),
        PATHS,
    ),
    **dict.fromkeys(
        (
            "hf_hub_token", "ms_hub_token", "om_hub_token", "hub_token", "push_to_hub",
            "hub_model_id", "hub_private_repo", "hub_strategy", "hub_always_push", "hub_revision",
            "export_hub_model_id", "trackio_space_id", "trackio_bucket_id",
            "trackio_static_space_id", "use_swanlab", "swanlab_project", "swanlab_workspace",
            "swanlab_run_name", "swanlab_mode", "swanlab_api_key", "swanlab_logdir",
            "swanlab_lark_webhook_url", "swanlab_lark_secret", "model_revision",
        ),
        SECRETS,
    ),
    **dict.fromkeys(
        (
            "do_train", "do_eval", "do_predict", "predict_with_generate", "overwrite_output_dir",
            "save_only_model", "enable_jit_checkpoint", "disable_tqdm", "local_rank",
            "log_on_each_node", "save_on_each_node", "ddp_backend", "ddp_timeout", "deepspeed",
            "fsdp", "fsdp_config", "parallelism_config", "accelerator_config", "ray_num_workers",
            "ray_init_kwargs", "ray_storage_path", "ray_run_name", "master_addr", "master_port",
            "use_mca", "use_kt", "use_hyper_parallel", "hyper_parallel_args", "infer_backend",
            "overwrite_cache", "data_shared_file_system", "preprocessing_num_workers",
            "dataloader_num_workers", "debug", "torch_compile_backend", "enable_torch_profiler",
            "profile_modules", "subjects", "verify_prompts", "reward_model_type", "use_cpu",
        ),
        RUNTIME,
    ),
    "trust_remote_code": CODE,
    **dict.fromkeys(
        (
            "stage", "finetuning_type", "quantization_bit", "quantization_method",
            "train_from_scratch",
        ),
        FORM,
    ),
}  # fmt: skip
PROTECTED_PREFIXES = ("vllm_", "sglang_", "ppo_", "hub_", "ray_", "kt_")
REPORTS = {"none", "tensorboard"}
# Texts that the engine takes for a file's name: only mappings are taken.
MAPPING_ONLY = {"gradient_checkpointing_kwargs", "lr_scheduler_kwargs", "liger_kernel_config"}
OTHER_ARGUMENTS: dict[str, dict[str, dict[str, Any]]] = {
    "evaluate": {
        "cutoff_len": {"type": "int"},
        "max_samples": {"type": "int|null"},
        "max_new_tokens": {"type": "int"},
        "temperature": {"type": "float"},
        "top_p": {"type": "float"},
        "seed": {"type": "int"},
        "batch_size": {"type": "int"},
        "template": {"type": "str"},
        "enable_thinking": {"type": "bool|null"},
        "default_system": {"type": "str|null"},
        "infer_dtype": {"type": "str", "choices": ["auto", "float16", "bfloat16", "float32"]},
        "flash_attn": {"type": "str", "choices": ["auto", "disabled", "sdpa", "fa2", "fa3"]},
        "rope_scaling": {
            "type": "str|null",
            "choices": ["linear", "dynamic", "yarn", "llama3"],
        },
    },
    "export": {
        "export_size": {"type": "int"},
        "export_device": {"type": "str", "choices": ["cpu", "auto"]},
        "export_legacy_format": {"type": "bool"},
        "export_quantization_bit": {"type": "int|null", "choices": [2, 3, 4, 8]},
        "export_quantization_nsamples": {"type": "int"},
        "export_quantization_maxlen": {"type": "int"},
        "infer_dtype": {"type": "str", "choices": ["auto", "float16", "bfloat16", "float32"]},
        "template": {"type": "str"},
        "enable_thinking": {"type": "bool|null"},
        "verify_tokens": {"type": "int"},
    },
}
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "list": (list,),
    "dict": (dict,),
    "null": (type(None),),
}


def known_arguments(kind: str) -> Mapping[str, Mapping[str, Any]]:
    """What a configuration of that kind may hold."""
    return facts.arguments() if kind == "train" else OTHER_ARGUMENTS[kind]


def _is_of(value: object, names: str) -> bool:
    kinds = tuple(kind for name in names.split("|") for kind in _TYPES.get(name, ()))
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) if kinds else False


def _plain_problem(value: object) -> str:
    """What is wrong with a value at any depth; empty when nothing is."""
    if isinstance(value, str):
        if "${" in value:  # the engine's reader would put environment variables in its place
            return _("“${” is not allowed in texts")
        if any(ord(char) < 32 and char not in "\n\t" for char in value):
            return _("control characters are not allowed")
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return _("a finite number is needed")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return _("the number is too large")
    if isinstance(value, dict):
        return next((text for item in value.items() for part in item
                     if (text := _plain_problem(part))), "")  # fmt: skip
    if isinstance(value, list):
        return next((text for part in value if (text := _plain_problem(part))), "")
    if value is None or isinstance(value, int | float):
        return ""
    return _("only texts, numbers, yes and no, lists and mappings are read")


def _range_problem(field: Field, value: Any) -> str:
    """Whether a number leaves the field's range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if field.minimum is not None and value < field.minimum:
        return _("must be at least %(limit)s") % {"limit": f"{field.minimum:g}"}
    if field.maximum is not None and value > field.maximum:
        return _("must be at most %(limit)s") % {"limit": f"{field.maximum:g}"}
    return ""


def _type_problem(key: str, value: Any, argument: Mapping[str, Any]) -> str:
    names = str(argument["type"])
    if not _is_of(value, names) or (key in MAPPING_ONLY and isinstance(value, str)):
        return _("needs %(wanted)s, not %(given)s") % {
            "wanted": either(names.split("|")),
            "given": f"{value!r:.60}",
        }
    choices = argument.get("choices")
    if choices and value is not None and value not in choices:
        return _("must be one of %(choices)s") % {"choices": ", ".join(map(str, choices))[:300]}
    return ""


def _protection(key: str) -> Text:
    if key in PROTECTED:
        return PROTECTED[key]
    return RUNTIME if key.startswith(PROTECTED_PREFIXES) else ""


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return _(" Did you mean “%(name)s”?") % {"name": close[0]} if close else ""


def _one(kind: str, key: str, value: Any, known: Mapping[str, Mapping[str, Any]]) -> Any:
    """The value as the engine wants it; ValueError with the reason."""
    if reason := _protection(key):
        raise ValueError(_("“%(key)s” cannot be set here: %(reason)s.") % {
            "key": key, "reason": reason})  # fmt: skip
    if key not in known:
        raise ValueError(
            _("The engine knows no argument “%(key)s”.") % {"key": key} + _nearest(key, known)
        )
    argument = known[key]
    if value is False and "no" in (argument.get("choices") or ()):
        value = "no"  # YAML reads the word no as false
    problem = _plain_problem(value) or _type_problem(key, value, argument)
    if not problem and key in BY_NAME:
        problem = _range_problem(BY_NAME[key], value)
    if not problem and key == "report_to":
        given = {value} if isinstance(value, str) else set(value or ["none"])
        if not given <= REPORTS:
            problem = _("only “none” and “tensorboard” are offered")
    if problem:
        raise ValueError(_("“%(key)s” %(problem)s.") % {"key": key, "problem": problem})
    return value


def overrides_clean(kind: str, text: str) -> dict[str, Any]:
    """The user's YAML as checked values; DomainError with field config_overrides and the line."""
    values, lines = strict_yaml.read(text)
    known = known_arguments(kind)
    checked = {}
    for key, value in values.items():
        try:
            checked[key] = _one(kind, key, value, known)
        except ValueError as problem:
            raise strict_yaml.refused(str(problem), lines.get(key), key=key) from None
    return checked


def _number(field: Field, value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(value)
    number = float(value)
    if field.kind == "int":
        if number != int(number):
            raise ValueError(value)
        return int(value) if isinstance(value, int) else int(number)
    return number


def _text_of(field: Field, value: Any) -> Any:
    if field.kind == "choice":
        for choice, _label in field.choices:
            if str(choice) == str(value):
                return choice
        raise ValueError(value)
    if field.kind == "bool":
        if str(value).lower() not in {"true", "false", "1", "0", "on", "off"}:
            raise ValueError(value)
        return str(value).lower() in {"true", "1", "on"}
    text = str(value)
    if len(text) > 4000 or not isinstance(value, str) or _plain_problem(text):
        raise ValueError(value)
    return text


def setting_clean(field: Field, value: Any) -> Any:
    """One of the form's values; DomainError names the field."""
    if value is None or value == "":
        return None
    try:
        cleaned = (
            _number(field, value) if field.kind in {"int", "float"} else _text_of(field, value)
        )
    except (TypeError, ValueError, OverflowError):
        wanted = {
            "int": _("a whole number"),
            "float": _("a number"),
            "bool": _("yes or no"),
            "choice": _("one of %(choices)s")
            % {"choices": ", ".join(str(choice) for choice, _l in field.choices)},
            "text": _("a short text without “${”"),
        }[field.kind]
        raise DomainError(
            _("“%(label)s” needs %(wanted)s.") % {"label": field.label, "wanted": wanted},
            field=field.name,
            code="bad_setting",
        ) from None
    problem = _plain_problem(cleaned) or _range_problem(field, cleaned)
    if problem:
        raise DomainError(
            _("“%(label)s” %(problem)s.") % {"label": field.label, "problem": problem},
            field=field.name,
            code="bad_setting",
        )
    return cleaned


def settings_clean(order: Order) -> dict[str, Any]:
    """The form's values that matter here; unknown names are refused, idle ones are left out."""
    cleaned = {}
    for key, value in order.settings.items():
        field = BY_NAME.get(key)
        if field is None:
            raise DomainError(
                _("There is no setting “%(key)s”.") % {"key": key}
                + _nearest(key, BY_NAME)
                + (_(" Further arguments go into config_overrides.")),
                field=f"settings.{key}",
                code="bad_setting",
            )
        clean = setting_clean(field, value)
        if clean is not None and field.matters_for(order.kind, order.stage, order.method):
            cleaned[key] = clean
    return cleaned
