"""Who answers for money, or behind an address: providers of language models."""

from decimal import Decimal

from django.db import models as fields
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet


class ProviderQuerySet(ProjectOwnedQuerySet["Provider"]):
    """Members of the project see them without the key, researchers use and change them."""


class Provider(ProjectOwned):
    """An OpenAI-compatible API with what it takes to ask it. The key is sealed and never shown."""

    name = fields.CharField(_("name"), max_length=80)
    base_url = fields.CharField(_("address"), max_length=300)  # up to and with /v1
    key_sealed = fields.TextField(blank=True, editable=False)
    models = fields.JSONField(_("models"), default=list)  # names; the first is the usual one
    price_in = fields.DecimalField(
        _("price of a million tokens in"), max_digits=12, decimal_places=4, default=Decimal(0)
    )
    price_out = fields.DecimalField(
        _("price of a million tokens out"), max_digits=12, decimal_places=4, default=Decimal(0)
    )
    currency = fields.CharField(_("currency"), max_length=3, default="CNY")
    requests_per_minute = fields.PositiveIntegerField(_("requests a minute"), default=60)
    parallel = fields.PositiveSmallIntegerField(_("requests at once"), default=4)
    timeout = fields.PositiveSmallIntegerField(_("seconds for an answer"), default=120)
    # Only operators let a provider lie in a private network, or on this machine.
    allows_private = fields.BooleanField(_("private network allowed"), default=False)
    updated_at = fields.DateTimeField(_("changed"), auto_now=True)

    objects = ProviderQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (
            fields.UniqueConstraint(fields=("project", "name"), name="one_provider_of_a_name"),
        )
        verbose_name = _("provider")
        verbose_name_plural = _("providers")

    def __str__(self) -> str:
        return self.name

    @property
    def has_key(self) -> bool:
        """Whether a key was entered."""
        return bool(self.key_sealed)
