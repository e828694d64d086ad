from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0021_run_problems'),
    ]

    operations = [
        migrations.AddField(
            model_name='datasetversion',
            name='stops_of',
            field=models.CharField(db_default='', default='', editable=False, max_length=16),
        ),
    ]
