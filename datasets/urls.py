"""Addresses of the app."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from datasets import api, views

app_name = "datasets"
_VERSION = "<uuid:dataset_id>/versions/<uuid:version_id>/"
urlpatterns = [
    path("", views.dataset_list, name="dataset_list"),
    path("public/", views.dataset_public, name="dataset_public"),
    path("new/", views.dataset_create, name="dataset_create"),
    path("uploads/<uuid:upload_id>/delete/", views.upload_delete, name="upload_delete"),
    path("recipes/", views.recipe_list, name="recipe_list"),
    path("recipes/new/", views.recipe_create, name="recipe_create"),
    path("recipes/<uuid:recipe_id>/", views.recipe_detail, name="recipe_detail"),
    path("recipes/<uuid:recipe_id>/steps/", views.recipe_update, name="recipe_update"),
    path("recipes/<uuid:recipe_id>/delete/", views.recipe_delete, name="recipe_delete"),
    path("recipes/<uuid:recipe_id>/run/", views.run_create, name="run_create"),
    path("recipes/runs/<uuid:run_id>/", views.run_detail, name="run_detail"),
    path("recipes/runs/<uuid:run_id>/cancel/", views.run_cancel, name="run_cancel"),
    path("<uuid:dataset_id>/", views.dataset_detail, name="dataset_detail"),
    path("<uuid:dataset_id>/settings/", views.dataset_update, name="dataset_update"),
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
_router.register("recipes", api.RecipeViewSet, basename="api-recipe")
_router.register("recipe-runs", api.RecipeRunViewSet, basename="api-recipe-run")
_router.register("revisions", api.RevisionViewSet, basename="api-revision")
_router.register("dataset-comparisons", api.ComparisonViewSet, basename="api-comparison")
api_urlpatterns = _router.urls
