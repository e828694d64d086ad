"""Where a project's things come from and what became of them, as a picture."""
