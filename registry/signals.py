"""News of this app for those above it."""

from django.dispatch import Signal

# A version is about to be deleted; arguments: `version`. Who still needs it raises Conflict.
version_deleting = Signal()
