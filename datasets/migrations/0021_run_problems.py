from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0020_near_progress'),
    ]

    operations = [
        migrations.AddField(
            model_name='reciperun',
            name='problem_code',
            field=models.CharField(db_default='', default='', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='reciperun',
            name='takes_unusable',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
