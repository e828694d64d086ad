from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0002_recipes'),
    ]

    operations = [
        migrations.AddField(
            model_name='reciperun',
            name='inputs',
            field=models.ManyToManyField(blank=True, related_name='+', to='datasets.datasetversion'),
        ),
    ]
