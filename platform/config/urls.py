"""Every address of the site. The only place that knows all apps."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

import accounts.urls
import datasets.urls
import inference.urls
import jobs.urls
import nodes.urls
import registry.urls
from config import views
from config.lineage.api import LineageView
from config.lineage.views import project_lineage

handler429 = "accounts.views.entrance.too_many"
urlpatterns = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("projects/<uuid:project_id>/lineage/", project_lineage, name="project_lineage"),
    path("account/", include(accounts.urls.entrance_urlpatterns)),
    path("", include(accounts.urls)),
    path("datasets/", include(datasets.urls)),
    path("", include(registry.urls)),
    path("jobs/", include(jobs.urls)),
    path("", include(inference.urls)),
    path("nodes/", include(nodes.urls)),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path(
        "api/v1/",
        include(
            [
                path("", views.ApiRoot.as_view(), name="api-root"),
                path(
                    "projects/<uuid:project_id>/lineage/",
                    LineageView.as_view(),
                    name="api-project-lineage",
                ),
                *accounts.urls.api_urlpatterns,
                *datasets.urls.api_urlpatterns,
                *registry.urls.api_urlpatterns,
                *jobs.urls.api_urlpatterns,
                *inference.urls.api_urlpatterns,
                *nodes.urls.api_urlpatterns,
            ]
        ),
    ),
    path("v1/", include(inference.urls.gateway_urlpatterns)),
]
