import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_reasons_as_messages'),
        ('datasets', '0006_providers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DatasetShare',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='since')),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='shares', to='datasets.dataset')),
                ('project', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.project', verbose_name='project')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'share of a dataset',
                'verbose_name_plural': 'shares of datasets',
                'ordering': ('created_at',),
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('user', None), ('project', None), _connector='XOR'), name='a_share_has_one_receiver'),
                    models.UniqueConstraint(fields=('dataset', 'user'), name='one_share_of_a_user'),
                    models.UniqueConstraint(fields=('dataset', 'project'), name='one_share_of_a_project'),
                ],
            },
        ),
    ]
