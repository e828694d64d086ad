import uuid

import django.db.models.deletion
from django.db import migrations, models

import common.phrases


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0012_retention'),
    ]

    operations = [
        migrations.CreateModel(
            name='TokenCount',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=400, verbose_name='tokenizer and template')),
                ('tokenizer', models.CharField(max_length=500, verbose_name='tokenizer')),
                ('template', models.CharField(blank=True, max_length=60, verbose_name='chat template')),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('done', 'done'), ('failed', 'failed')], default='waiting', max_length=8, verbose_name='state')),
                ('lengths', models.JSONField(blank=True, default=dict)),
                ('progress', models.JSONField(blank=True, default=dict)),
                ('problem', common.phrases.PhraseField(blank=True, verbose_name='problem')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('asked_at', models.DateTimeField(auto_now_add=True, verbose_name='begun')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datasets.datasetversion')),
            ],
            options={
                'verbose_name': 'count of tokens',
                'verbose_name_plural': 'counts of tokens',
                'ordering': ('-created_at',),
                'constraints': [models.UniqueConstraint(fields=('version', 'key'), name='one_count_of_a_tokenizer')],
            },
        ),
    ]
