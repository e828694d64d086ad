"""How lists of the API are filtered."""

import django_filters
from django.db.models import ForeignKey
from django_filters import rest_framework


class FilterSet(rest_framework.FilterSet):
    """Related things are named by their ids: a list to choose from would show all that there are,
    whoever may see them.
    """

    FILTER_DEFAULTS = {
        **rest_framework.FilterSet.FILTER_DEFAULTS,
        ForeignKey: {"filter_class": django_filters.UUIDFilter},
    }


class FilterBackend(rest_framework.DjangoFilterBackend):
    """Makes such filters of a view's `filterset_fields`."""

    filterset_base = FilterSet
