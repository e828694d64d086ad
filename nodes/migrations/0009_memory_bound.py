from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('nodes', '0008_queue_by_index'),
    ]

    operations = [
        migrations.AddField(
            model_name='workload',
            name='memory_bound_bytes',
            field=models.PositiveBigIntegerField(null=True),
        ),
    ]
