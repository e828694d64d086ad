"""The administration: it covers every model, and its pages open."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests.access.objects import everything

pytestmark = pytest.mark.grown
APPS = {"accounts", "nodes", "datasets", "registry", "jobs", "inference"}
# Bookkeeping of live pages and measured points: numbers nobody administrates.
NOT_SHOWN = {"Pulse", "Metric", "PlanRequest"}


def test_every_model_is_in_the_administration_or_beside_one_that_is() -> None:
    shown = set(admin.site._registry)
    for options in admin.site._registry.values():
        shown |= {inline.model for inline in options.inlines}
    silent = {
        model.__name__
        for model in apps.get_models()
        if model._meta.app_label in APPS and model not in shown
    }
    assert silent - NOT_SHOWN == set()


@pytest.mark.parametrize(
    "model",
    [model for model in admin.site._registry if model._meta.app_label in APPS],
    ids=lambda model: model._meta.label,
)
def test_its_pages_open(people: SimpleNamespace, home: Path, model: type) -> None:
    everything(people, home)
    client = Client()
    client.force_login(people.operator)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert client.get(reverse(f"{name}_changelist"), {"q": "te"}).status_code == 200
    assert client.get(reverse(f"{name}_add")).status_code in {200, 403}
    for row in model._default_manager.all()[:1]:
        assert client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200
        assert client.get(reverse(f"{name}_delete", args=[row.pk])).status_code in {200, 403}
