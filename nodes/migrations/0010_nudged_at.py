from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('nodes', '0009_memory_bound'),
    ]

    operations = [
        migrations.AddField(
            model_name='workload',
            name='nudged_at',
            field=models.DateTimeField(null=True),
        ),
    ]
