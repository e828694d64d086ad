from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0004_statistics'),
    ]

    operations = [
        migrations.AddField(
            model_name='reciperun',
            name='inputs',
            field=models.ManyToManyField(blank=True, related_name='+', to='datasets.datasetversion'),
        ),
    ]
