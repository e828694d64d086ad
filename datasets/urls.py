"""Addresses of the app."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from datasets import api, views
from datasets.api.retention import RetentionView

app_name = "datasets"
_VERSION = "<uuid:dataset_id>/versions/<uuid:version_id>/"
urlpatterns = [
    path("", views.dataset_list, name="dataset_list"),
    path("public/", views.dataset_public, name="dataset_public"),
    path("new/", views.dataset_create, name="dataset_create"),
    path("uploads/<uuid:upload_id>/delete/", views.upload_delete, name="upload_delete"),
    path("imports/", views.import_list, name="import_list"),
    path("imports/new/", views.import_create, name="import_create"),
    path("imports/<uuid:import_id>/", views.import_detail, name="import_detail"),
    path("imports/<uuid:import_id>/choose/", views.import_choose, name="import_choose"),
    path("imports/<uuid:import_id>/resume/", views.import_resume, name="import_resume"),
    path("imports/<uuid:import_id>/cancel/", views.import_cancel, name="import_cancel"),
    path("retention/", views.retention, name="retention"),
    path("recipes/", views.recipe_list, name="recipe_list"),
    path("recipes/new/", views.recipe_create, name="recipe_create"),
    path("recipes/<uuid:recipe_id>/", views.recipe_detail, name="recipe_detail"),
    path("recipes/<uuid:recipe_id>/steps/", views.recipe_update, name="recipe_update"),
    path("recipes/<uuid:recipe_id>/delete/", views.recipe_delete, name="recipe_delete"),
    path("recipes/<uuid:recipe_id>/run/", views.run_create, name="run_create"),
    path("recipes/<uuid:recipe_id>/ask/", views.recipe_ask, name="recipe_ask"),
    path("recipes/runs/<uuid:run_id>/resume/", views.run_resume, name="run_resume"),
    path("recipes/runs/<uuid:run_id>/", views.run_detail, name="run_detail"),
    path("recipes/runs/<uuid:run_id>/cancel/", views.run_cancel, name="run_cancel"),
    path("providers/", views.provider_list, name="provider_list"),
    path("providers/new/", views.provider_create, name="provider_create"),
    path("providers/<uuid:provider_id>/", views.provider_update, name="provider_update"),
    path("providers/<uuid:provider_id>/test/", views.provider_test, name="provider_test"),
    path("providers/<uuid:provider_id>/delete/", views.provider_delete, name="provider_delete"),
    path("<uuid:dataset_id>/", views.dataset_detail, name="dataset_detail"),
    path("<uuid:dataset_id>/fetch/", views.public_fetch, name="public_fetch"),
    path("<uuid:dataset_id>/settings/", views.dataset_update, name="dataset_update"),
    path("<uuid:dataset_id>/sharing/", views.dataset_sharing, name="dataset_sharing"),
    path(
        "<uuid:dataset_id>/sharing/<uuid:share_id>/delete/",
        views.share_delete,
        name="share_delete",
    ),
    path("<uuid:dataset_id>/delete/", views.dataset_delete, name="dataset_delete"),
    path("<uuid:dataset_id>/versions/", views.version_list, name="version_list"),
    path(_VERSION, views.version_rows, name="version_rows"),
    path(f"{_VERSION}check/", views.version_findings, name="version_findings"),
    path(f"{_VERSION}statistics/", views.version_statistics, name="version_statistics"),
    path(f"{_VERSION}use/", views.version_use, name="version_use"),
    path(f"{_VERSION}columns/", views.version_remap, name="version_remap"),
    path(f"{_VERSION}state/", views.version_state, name="version_state"),
    path(f"{_VERSION}download/", views.version_download, name="version_download"),
    path(f"{_VERSION}rows/<int:number>/", views.row_edit, name="row_edit"),
    path(f"{_VERSION}rows/<int:number>/decide/", views.row_decide, name="row_decide"),
    path("compare/", views.comparison_create, name="comparison_create"),
    path("compare/<uuid:comparison_id>/", views.comparison_detail, name="comparison_detail"),
    path(f"{_VERSION}review/", views.review_create, name="review_create"),
    path("revisions/<uuid:revision_id>/review/", views.review_row, name="review_row"),
    path("revisions/<uuid:revision_id>/", views.revision_detail, name="revision_detail"),
    path("revisions/<uuid:revision_id>/save/", views.revision_save, name="revision_save"),
    path("revisions/<uuid:revision_id>/discard/", views.revision_discard, name="revision_discard"),
    path(f"{_VERSION}restore/", views.version_restore, name="version_restore"),
    path(f"{_VERSION}keep/", views.version_keep, name="version_keep"),
    path(f"{_VERSION}delete/", views.version_delete, name="version_delete"),
]

_router = SimpleRouter()
_router.register("datasets", api.DatasetViewSet, basename="api-dataset")
_router.register(
    r"datasets/(?P<dataset_pk>[0-9a-f-]{36})/versions",
    api.VersionViewSet,
    basename="api-dataset-version",
)
_router.register("uploads", api.UploadViewSet, basename="api-upload")
_router.register("imports", api.ImportViewSet, basename="api-import")
_router.register("recipes", api.RecipeViewSet, basename="api-recipe")
_router.register("recipe-runs", api.RecipeRunViewSet, basename="api-recipe-run")
_router.register("providers", api.ProviderViewSet, basename="api-provider")
_router.register("revisions", api.RevisionViewSet, basename="api-revision")
_router.register("dataset-comparisons", api.ComparisonViewSet, basename="api-comparison")
api_urlpatterns = [
    *_router.urls,
    path(
        "projects/<uuid:project_id>/retention/",
        RetentionView.as_view(),
        name="api-project-retention",
    ),
]
