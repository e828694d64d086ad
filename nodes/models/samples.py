"""What nodes measure."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from nodes.models.machines import Node

# What a clock that ran ahead left in the future is not the newest.
AHEAD = timedelta(seconds=1)


class NodeSampleQuerySet(models.QuerySet["NodeSample"]):
    """Measurements by when they were made."""

    def newest(self) -> Self:
        """The last one of each node, none of a node that has been silent for hours."""
        last = NodeSample.objects.filter(
            node=models.OuterRef("pk"), span=NodeSample.Span.RAW, at__lte=Now() + AHEAD
        )
        return self.filter(
            pk__in=Node.objects.values_list(models.Subquery(last.order_by("-at").values("pk")[:1]))
        )


class NodeSample(models.Model):
    """Measurements of a node at a moment, or their mean over the time that begins then.

    Kept in full for the last hours, by the minute for a day, by the hour for a month, so that a
    node has a bounded number of rows however long it runs. Rates are bytes a second.
    """

    class Span(models.IntegerChoices):
        """How much time a row stands for, in seconds."""

        RAW = 15, _("as measured")
        MINUTE = 60, _("by the minute")
        HOUR = 3600, _("by the hour")

    node = models.ForeignKey(
        Node, on_delete=models.CASCADE, related_name="samples", verbose_name=_("node")
    )
    span = models.PositiveSmallIntegerField(_("span"), choices=Span.choices, default=Span.RAW)
    at = models.DateTimeField(_("at"))
    cpu_percent = models.FloatField(_("CPU in per cent"))
    memory_used_bytes = models.PositiveBigIntegerField(_("memory used in bytes"))
    disk_used_bytes = models.PositiveBigIntegerField(_("disk used in bytes"))
    network_receive_rate = models.FloatField(_("bytes received a second"), null=True)
    network_send_rate = models.FloatField(_("bytes sent a second"), null=True)
    disk_read_rate = models.FloatField(_("bytes read a second"), null=True)
    disk_write_rate = models.FloatField(_("bytes written a second"), null=True)
    disks = models.JSONField(_("disks"), default=list)  # path, total_bytes, used_bytes of each
    gpus = models.JSONField(
        _("GPUs"), default=list
    )  # as nodes.nvml gives them; of a longer span the means

    objects = NodeSampleQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("node", "span", "at"), name="one_sample_a_moment"),
        )
        verbose_name = _("sample")
        verbose_name_plural = _("samples")

    def __str__(self) -> str:
        return f"{self.node} {self.at:%F %T}"
