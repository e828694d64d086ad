"""Addresses of the app."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from jobs.api import JobViewSet
from jobs.views import downloads, new, pages

app_name = "jobs"
urlpatterns = [
    path("", pages.job_list, name="job_list"),
    path("new/", new.job_create, name="job_create"),
    path("<uuid:job_id>/", pages.job_detail, name="job_detail"),
    path("<uuid:job_id>/metrics/", pages.job_metrics, name="job_metrics"),
    path("<uuid:job_id>/cancel/", pages.job_cancel, name="job_cancel"),
    path("<uuid:job_id>/stop/", pages.job_stop, name="job_stop"),
    path("<uuid:job_id>/pause/", pages.job_pause, name="job_pause"),
    path("<uuid:job_id>/resume/", pages.job_resume, name="job_resume"),
    path("<uuid:job_id>/retry/", pages.job_retry, name="job_retry"),
    path("<uuid:job_id>/delete/", pages.job_delete, name="job_delete"),
    path("<uuid:job_id>/config/", downloads.job_config, name="job_config"),
    path("<uuid:job_id>/log/", downloads.job_log, name="job_log"),
    path("<uuid:job_id>/archive/", downloads.job_archive, name="job_archive"),
    path("<uuid:job_id>/files/<path:path>", downloads.job_file, name="job_file"),
]

router = SimpleRouter()
router.register("jobs", JobViewSet, basename="api-job")
api_urlpatterns = router.urls
