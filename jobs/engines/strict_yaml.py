"""Reads a user's YAML: plain values only, nothing that explodes or runs code."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from common.errors import DomainError
from common.phrases import gettext as _

MAX_BYTES = 64 * 1024
MAX_DEPTH = 6
FIELD = "config_overrides"


def _line(part: yaml.Node | yaml.Event) -> int:
    return part.start_mark.line + 1 if part.start_mark else 1


class _Loader(yaml.SafeLoader):
    """The safe loader, reading 1e-4 as a number like the engine does and refusing doubled keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys are distinct texts."""
        seen: set[str] = set()
        for key, _value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise refused(_("Keys have to be plain words."), _line(key))
            if key.value in seen:
                raise refused(_("“%(key)s” is there twice.") % {"key": key.value}, _line(key))
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


# The loader's own table is shared with every other user of yaml: copy before adding to it.
_Loader.yaml_implicit_resolvers = {
    key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def refused(reason: str, line: int | None = None, *, key: str = "") -> DomainError:
    """A refusal of the overrides, with the line to look at."""
    message = _("Line %(line)s: %(reason)s") % {"line": line, "reason": reason} if line else reason
    data: dict[str, object] = {"line": line} if line else {}
    if key:
        data["key"] = key
    return DomainError(message, field=FIELD, code="bad_overrides", data=data)


def _inspect(text: str) -> None:
    """Refuses tags, anchors, aliases and deep nesting before anything is built."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = _line(event)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise refused(_("Only one document is read."), line)
        if isinstance(event, yaml.AliasEvent):
            raise refused(_("References (*name) are not allowed."), line)
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            raise refused(_("Anchors (&name) are not allowed."), line)
        if getattr(event, "tag", None):
            raise refused(_("Tags (!name) are not allowed."), line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise refused(
                    _("Nested deeper than %(limit)s levels.") % {"limit": MAX_DEPTH}, line
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def read(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping and the line of each key; DomainError with the line for everything else."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise refused(
            _("The overrides are longer than %(limit)s KB.") % {"limit": MAX_BYTES // 1024}
        )
    if not text.strip():
        return {}, {}
    try:
        _inspect(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            values = loader.construct_document(node) if node is not None else {}
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise refused(
            _("This is not YAML: %(problem)s.") % {"problem": error.problem or error.context},
            mark.line + 1 if mark else None,
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise refused(_("This is not YAML: %(problem)s.") % {"problem": error}) from None
    if values is None:
        return {}, {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise refused(_("Write one “argument: value” a line."), 1)
    lines = {str(key.value): _line(key) for key, _value in node.value}
    return {str(key): value for key, value in values.items()}, lines


def dump(values: dict[str, Any]) -> str:
    """YAML in the order of the keys."""
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Later layers win; mappings inside are merged, everything else is replaced."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            if isinstance(old, dict) and isinstance(value, dict):
                merged[key] = merge(old, value)
            else:
                merged[key] = value
    return merged
