"""What an archive held, and uploads that go on where they stopped."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """See the models."""

    dependencies = [
        ("datasets", "0002_recipes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField("datasetversion", "files", models.JSONField(blank=True, default=list)),
        migrations.CreateModel(
            "Upload",
            [
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ("filename", models.CharField(max_length=255, verbose_name="file")),
                ("path", models.CharField(blank=True, max_length=255, verbose_name="path")),
                ("size", models.PositiveBigIntegerField(verbose_name="size")),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="created by",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.project",
                        verbose_name="project",
                    ),
                ),
            ],
            {
                "verbose_name": "upload",
                "verbose_name_plural": "uploads",
                "ordering": ("-created_at",),
            },
        ),
    ]
