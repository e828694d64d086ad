"""The form of a new job: it follows what is chosen, and keeps what a person has changed."""

from jobs.forms.controls import DATA
from jobs.forms.page import JobPage, data_of

__all__ = ["DATA", "JobPage", "data_of"]
