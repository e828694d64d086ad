from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0016_import_resumed'),
    ]

    operations = [
        migrations.AddField(
            model_name='upload',
            name='folder_files',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='upload',
            name='folder_size',
            field=models.PositiveBigIntegerField(null=True),
        ),
    ]
