"""SHA-256 of files under TRAINER_HOME, computed once for each state of a file."""

from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from nodes.models import FileDigest
from nodes.staging.trees import sha256_of

KEEP = timedelta(days=90)


def digest_of(path: Path) -> str:
    """The file's SHA-256, from the table while size and time are the same."""
    name = _name(path)
    facts = path.stat()
    known = FileDigest.objects.filter(path=name).first() if name else None
    if known and (known.size, known.mtime_ns) == (facts.st_size, facts.st_mtime_ns):
        return known.sha256
    sha256 = sha256_of(path)
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) == (facts.st_size, facts.st_mtime_ns):
        digest_note(path, sha256)
    return sha256


def digest_note(path: Path, sha256: str) -> None:
    """Remembers what the file's SHA-256 is now."""
    name = _name(path)
    if not name:
        return
    facts = path.stat()
    FileDigest.objects.update_or_create(
        path=name,
        defaults={"size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "sha256": sha256},
    )


def digests_sweep() -> int:
    """Forgets what was not noted for long; a file that is asked for again is read again."""
    return FileDigest.objects.filter(noted_at__lt=timezone.now() - KEEP).delete()[0]


def _name(path: Path) -> str:
    home = Path(settings.TRAINER_HOME)
    try:
        name = path.relative_to(home).as_posix()
    except ValueError:
        return ""
    return name if len(name) <= FileDigest.PATH_MAX else ""
