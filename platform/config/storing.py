"""Keeps in the store what has settled in the directory, and takes out what was deleted.

For each tree that is stored a mark lies under `stored/` in TRAINER_HOME: what it was made of then.
Only trees with a mark are ever deleted from the store, so that neither an empty database nor a lost
directory empties the bucket.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from common import store
from datasets.models import DatasetVersion
from jobs.models import Attempt
from nodes.models import Workload
from registry.models import Evaluation, ModelVersion

logger = logging.getLogger(__name__)
# Of a workload's directory these are nobody's business any more.
LEFT_OUT = {"inputs"}


@dataclass
class Pass:
    """What one round did."""

    kept: int = 0
    deleted: int = 0
    failed: int = 0


def trees() -> Iterator[Path]:
    """Every file or folder that has settled, as the database knows them."""
    home = Path(settings.TRAINER_HOME)
    for version in DatasetVersion.objects.select_related("dataset").iterator():
        if version.state != DatasetVersion.State.CHECKING:
            yield version.directory
    yield from (home / path for path in _paths_of_models())
    for path in Evaluation.objects.values_list("predictions_path", flat=True).iterator():
        yield (home / path).parent
    ended = Attempt.objects.filter(workload__state=Workload.State.ENDED)
    for attempt in ended.select_related("workload").iterator():
        yield attempt.workload.directory
        yield attempt.workload.log_path


def _paths_of_models() -> set[str]:
    return set(ModelVersion.objects.on_disk().values_list("path", flat=True))


def store_round() -> Pass:
    """Stores what is new or has changed, deletes what the database does not know any more."""
    done, known = Pass(), set()
    for tree in trees():
        key = store.key_of(tree)
        if key in known:
            continue
        known.add(key)
        try:
            done.kept += _keep(tree, key)
        except (OSError, store.Corrupt, *store.Failed) as error:
            done.failed += 1
            logger.warning("%s could not be stored: %s", key, error)
    marks = {str(json.loads(path.read_text())["key"]): path for path in _marks().glob("*.json")}
    gone = marks.keys() - known
    if gone and not known:
        logger.error("The database knows no files at all; nothing is deleted from the store.")
        return done
    for key in gone:
        try:
            store.drop([key, *store.sizes(f"{key}/")])
        except store.Failed as error:
            done.failed += 1
            logger.warning("%s could not be deleted from the store: %s", key, error)
        else:
            marks[key].unlink(missing_ok=True)
            done.deleted += 1
    return done


def _marks() -> Path:
    folder = Path(settings.TRAINER_HOME) / "stored"
    folder.mkdir(exist_ok=True)
    return folder


def _files(tree: Path) -> Iterator[Path]:
    if tree.is_file():
        yield tree
        return
    for path in sorted(tree.rglob("*")):
        below = path.relative_to(tree)
        if below.parts[0] in LEFT_OUT or path.is_symlink() or not path.is_file():
            continue
        if not path.name.startswith("."):
            yield path


def _keep(tree: Path, key: str) -> bool:
    """Whether there was something to store."""
    files = list(_files(tree))
    if not files:
        return False
    facts = [(path.relative_to(tree).as_posix(), path.stat()) for path in files]
    lines = "".join(f"{name} {fact.st_size} {fact.st_mtime_ns}\n" for name, fact in facts)
    content = {"key": key, "made_of": hashlib.sha256(lines.encode()).hexdigest()}
    mark = _marks() / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.json"
    if mark.exists() and json.loads(mark.read_text()) == content:
        return False
    names = {store.key_of(path): path for path in files}
    for name, path in names.items():
        store.put(path, name)
    if not tree.is_file():
        store.drop(store.sizes(f"{key}/").keys() - names.keys())
    draft = mark.with_suffix(".draft")
    draft.write_text(json.dumps(content))
    draft.replace(mark)
    return True
