from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0013_token_counts'),
    ]

    operations = [
        migrations.AddField(
            model_name='upload',
            name='modified',
            field=models.CharField(blank=True, default='', max_length=255, verbose_name='last change'),
            preserve_default=False,
        ),
    ]
