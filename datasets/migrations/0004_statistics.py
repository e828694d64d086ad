from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0003_intake'),
    ]

    operations = [
        migrations.AddField(
            model_name='datasetversion',
            name='statistics',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='datasetversion',
            name='overlaps',
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
