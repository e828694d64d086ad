"""Foreign formats as JSON lines, in a process of its own with hard limits.

Run as `python -m datasets.parsing`; `datasets.reading.foreign` starts it. Imports nothing of
Django, so that it starts fast, and has no database, settings or secrets to lose.
"""
