"""Filters of the list of jobs."""

import django_filters
from django.db.models import Q, QuerySet

from jobs.models import Job


class JobFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filters of the list; `search` looks at name, model and data."""

    search = django_filters.CharFilter(method="find")
    state = django_filters.MultipleChoiceFilter(choices=Job.State.choices)
    model = django_filters.UUIDFilter(field_name="model_version__model")
    dataset = django_filters.UUIDFilter(field_name="datasets__dataset_version__dataset")

    class Meta:
        model = Job
        fields = ("project", "kind", "stage", "method", "model_version", "parent")

    def find(self, rows: QuerySet[Job], name: str, value: str) -> QuerySet[Job]:
        """Rows with the text in them."""
        return rows.filter(
            Q(name__icontains=value)
            | Q(remark__icontains=value)
            | Q(model_version__model__name__icontains=value)
            | Q(datasets__dataset_version__dataset__name__icontains=value)
        ).distinct()
