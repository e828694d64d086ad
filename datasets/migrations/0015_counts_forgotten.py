import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('datasets', '0014_upload_modified'),
    ]

    operations = [
        migrations.AlterField(
            model_name='tokencount',
            name='asked_at',
            field=models.DateTimeField(auto_now_add=True, verbose_name='last asked for'),
        ),
        migrations.AddField(
            model_name='tokencount',
            name='asked_by',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='begun by'),
        ),
        migrations.AddField(
            model_name='tokencount',
            name='ended_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='ended'),
        ),
    ]
