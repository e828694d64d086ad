"""Addresses of the app."""

from typing import Any

from django.urls import path
from rest_framework.routers import SimpleRouter

from registry import api
from registry.views import catalogue, evaluations, models

app_name = "registry"
urlpatterns: list[Any] = [
    path("models/", models.model_list, name="model_list"),
    path("models/catalogue/", catalogue.catalogue, name="catalogue"),
    path("models/catalogue/add/", catalogue.base_model_add, name="base_model_add"),
    path("models/catalogue/import/", catalogue.model_import, name="model_import"),
    path("models/catalogue/<uuid:model_id>/", catalogue.base_model_edit, name="base_model_edit"),
    path(
        "models/catalogue/<uuid:model_id>/switch/",
        catalogue.base_model_switch,
        name="base_model_switch",
    ),
    path("models/<uuid:model_id>/", models.model_detail, name="model_detail"),
    path("models/<uuid:model_id>/edit/", models.model_edit, name="model_edit"),
    path("models/<uuid:model_id>/delete/", models.model_delete, name="model_delete"),
    path("models/versions/<uuid:version_id>/", models.version_detail, name="version_detail"),
    path(
        "models/versions/<uuid:version_id>/download/",
        models.version_download,
        name="version_download",
    ),
    path("models/versions/<uuid:version_id>/delete/", models.version_delete, name="version_delete"),
    path("evaluations/", evaluations.evaluation_list, name="evaluation_list"),
    path("evaluations/compare/", evaluations.evaluation_compare, name="evaluation_compare"),
    path(
        "evaluations/<uuid:evaluation_id>/",
        evaluations.evaluation_detail,
        name="evaluation_detail",
    ),
    path(
        "evaluations/<uuid:evaluation_id>/download/",
        evaluations.evaluation_download,
        name="evaluation_download",
    ),
    path(
        "evaluations/<uuid:evaluation_id>/rescore/",
        evaluations.evaluation_rescore,
        name="evaluation_rescore",
    ),
    path(
        "evaluations/<uuid:evaluation_id>/delete/",
        evaluations.evaluation_delete,
        name="evaluation_delete",
    ),
]

router = SimpleRouter()
router.register("models", api.ModelViewSet, basename="api-model")
router.register("model-versions", api.ModelVersionViewSet, basename="api-model-version")
router.register("base-models", api.BaseModelViewSet, basename="api-base-model")
router.register("evaluations", api.EvaluationViewSet, basename="api-evaluation")
api_urlpatterns: list[Any] = router.urls
