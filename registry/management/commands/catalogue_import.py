"""`manage.py catalogue_import`: the engine's list of models as disabled base models."""

from django.core.management.base import BaseCommand

from registry import services


class Command(BaseCommand):
    """Adds the models that the engine supports; operators enable them afterwards."""

    help = "Add what the engine supports as disabled base models; what is there stays as it is."

    def handle(self, *args: object, **options: object) -> None:
        """Runs the import and says how many were new."""
        self.stdout.write(f"{services.catalogue_import()} models added to the catalogue")
