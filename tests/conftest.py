"""People, projects and parts that every test may use."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.contenttypes.management import create_contenttypes
from django.core.cache import cache
from django.db import connection
from django.db.models.signals import post_migrate
from django.utils.translation import deactivate
from hypothesis import HealthCheck
from hypothesis import settings as examples

from accounts.models import Membership, Project, Role, User
from tests.e2e.running import platform
from tests.services import pytest_collection_modifyitems

__all__ = ["platform", "pytest_collection_modifyitems"]
# How long an example takes says nothing; the same ones are tried each time, so that nobody is held
# up by what another brought in.
examples.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
examples.load_profile("steady")
UNCHANGED = {"django_content_type", "auth_permission"}  # tables that depend on the code alone


def make_user(name: str, **fields: object) -> User:
    """A user without a password: tests force the login."""
    user = User(username=name, email=f"{name}@example.org", **fields)
    user.set_unusable_password()
    user.save()
    project = Project.objects.create(name=name, personal_of=user)
    Membership.objects.create(project=project, user=user, role=Role.MANAGER)
    return user


@pytest.fixture
def people(db) -> SimpleNamespace:
    """A project `team`, one person for each role in it, a stranger and an operator."""
    names = ("owner", "member", "developer", "viewer", "stranger")
    users = {name: make_user(name) for name in names}
    users["operator"] = make_user("operator", is_staff=True, is_superuser=True)
    team = Project.objects.create(name="team")
    for name, role in (
        ("owner", Role.MANAGER),
        ("member", Role.RESEARCHER),
        ("developer", Role.DEVELOPER),
        ("viewer", Role.VIEWER),
    ):
        Membership.objects.create(project=team, user=users[name], role=role)
    return SimpleNamespace(**users, team=team)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory) -> None:
    """SQLite's test database is a file: in memory, a second thread finds it locked at once."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        settings["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "db.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """Without the table of knox's own keys, which ours replace.

    Its migrations make it all the same; Django does not know it, and PostgreSQL refuses to empty
    the tables it points to.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS knox_authtoken")
    connection.ops.sql_flush = quick_flush
    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")


def quick_flush(style: object, tables: list[str], **options: bool) -> list[str]:
    """Empties, after a test with transactions, the tables in which something is.

    Django truncates all of them and has what every installation holds made anew, which takes
    PostgreSQL nearly a second.
    """
    names = [connection.ops.quote_name(table) for table in tables if table not in UNCHANGED]
    looks = (f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        return [f"DELETE FROM {name}" for (name,) in cursor.fetchall()]


@pytest.fixture(autouse=True)
def home(settings, tmp_path_factory) -> Path:
    """A directory of its own for each test: no test writes into the installation's."""
    path = tmp_path_factory.mktemp("home")
    for name in ("data", "output", "logs", "checkpoints", "hf-cache", "temp", "models"):
        (path / name).mkdir()
    settings.TRAINER_HOME = path
    settings.MEDIA_ROOT = path / "data"
    settings.FILE_UPLOAD_TEMP_DIR = path / "temp"
    return path


@pytest.fixture(autouse=True)
def plain_static_files(settings, home) -> None:
    """Pages name their scripts and styles without looking for what a deployment has collected."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    # WhiteNoise reads the whole directory for each test client.
    settings.STATIC_ROOT = settings.TRAINER_HOME / "static"
    settings.STATIC_ROOT.mkdir()


@pytest.fixture(autouse=True)
def default_language() -> Iterator[None]:
    """No test reads in the language of a page that another asked for."""
    yield
    deactivate()


@pytest.fixture(autouse=True)
def fresh_limits(settings) -> None:
    """No test is throttled for what another did: Redis, unlike the database, takes nothing back."""
    if settings.REDIS_URL:
        cache.clear()
