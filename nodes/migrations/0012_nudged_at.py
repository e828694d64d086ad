from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('nodes', '0011_exited_workloads'),
    ]

    operations = [
        migrations.AddField(
            model_name='workload',
            name='nudged_at',
            field=models.DateTimeField(null=True),
        ),
    ]
