"""Filters of the lists over the API."""

import django_filters
from django.db.models import QuerySet

from accounts.models import Invitation, InvitationQuerySet, Project


class ProjectFilter(django_filters.FilterSet):
    """Projects by a part of their name."""

    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Project
        fields: tuple[str, ...] = ()


class InvitationFilter(django_filters.FilterSet):
    """Invitations by their state; `search` looks at note, beginning, project and maker."""

    search = django_filters.CharFilter(method="find")
    state = django_filters.ChoiceFilter(choices=Invitation.State.choices, method="standing")

    class Meta:
        model = Invitation
        fields: tuple[str, ...] = ()

    def find(self, rows: InvitationQuerySet, name: str, value: str) -> QuerySet[Invitation]:
        """Rows with the text in them."""
        return rows.with_words(value)

    def standing(self, rows: InvitationQuerySet, name: str, value: str) -> QuerySet[Invitation]:
        """Rows in the state."""
        return rows.in_state(value)
