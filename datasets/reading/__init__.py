"""Uploaded files as rows, with bounded memory whatever the file. Knows nothing of the database."""
