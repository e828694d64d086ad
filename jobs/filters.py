"""Filters of the list of jobs."""

import django_filters

from common.filters import FilterSet
from jobs.models import Job, JobQuerySet


class JobFilter(FilterSet):
    """Filters of the list; `search` looks at name, model and data."""

    search = django_filters.CharFilter(method="find")
    state = django_filters.MultipleChoiceFilter(choices=Job.State.choices)
    model = django_filters.UUIDFilter(field_name="model_version__model")
    dataset = django_filters.UUIDFilter(field_name="datasets__dataset_version__dataset")

    class Meta:
        model = Job
        fields = ("project", "kind", "stage", "method", "model_version", "parent")

    def find(self, rows: JobQuerySet, name: str, value: str) -> JobQuerySet:
        """Rows with the text in them."""
        return rows.containing(value)
