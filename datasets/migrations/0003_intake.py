"""What an archive held."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """See the models."""

    dependencies = [("datasets", "0002_recipes")]

    operations = [
        migrations.AddField("datasetversion", "files", models.JSONField(blank=True, default=list)),
    ]
