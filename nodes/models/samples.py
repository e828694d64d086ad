"""What nodes measure."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from nodes.models.machines import Node


class NodeSample(models.Model):
    """A heartbeat's measurements, kept for the curves."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    cpu_percent = models.FloatField()
    memory_used_bytes = models.PositiveBigIntegerField()
    disk_used_bytes = models.PositiveBigIntegerField()
    gpus = models.JSONField(
        default=list
    )  # index, percent, memory_used_bytes, temperature, watts of each

    class Meta:
        indexes = (models.Index(fields=("node", "at"), name="sample_of_node"),)
        verbose_name = _("sample")
        verbose_name_plural = _("samples")

    def __str__(self) -> str:
        return f"{self.node} {self.at:%F %T}"
