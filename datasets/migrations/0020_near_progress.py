from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0019_overlaps_compared'),
    ]

    operations = [
        migrations.AddField(
            model_name='datasetversion',
            name='near_progress',
            field=models.JSONField(editable=False, null=True),
        ),
    ]
