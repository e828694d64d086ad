import uuid

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_reasons_as_messages'),
        ('datasets', '0011_reviews'),
    ]

    operations = [
        migrations.AddField(
            model_name='datasetversion',
            name='is_kept',
            field=models.BooleanField(default=False, verbose_name='pinned'),
        ),
        migrations.AddField(
            model_name='datasetversion',
            name='goes_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='goes'),
        ),
        migrations.CreateModel(
            name='RemovedVersion',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120, verbose_name='version')),
                ('parent_id', models.UUIDField(null=True)),
                ('run_id', models.UUIDField(null=True)),
                ('children', models.JSONField(default=list)),
                ('runs', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(verbose_name='created')),
                ('removed_at', models.DateTimeField(auto_now_add=True, verbose_name='deleted')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.project')),
            ],
            options={
                'verbose_name': 'deleted version',
                'verbose_name_plural': 'deleted versions',
                'ordering': ('-removed_at',),
            },
        ),
        migrations.CreateModel(
            name='RetentionRule',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('keep_newest', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='keep the newest versions of each dataset')),
                ('unused_days', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='and older ones until they were not used for days')),
                ('changed_at', models.DateTimeField(auto_now=True, verbose_name='changed')),
                ('project', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.project', verbose_name='project')),
            ],
            options={
                'verbose_name': 'rule of retention',
                'verbose_name_plural': 'rules of retention',
            },
        ),
    ]
