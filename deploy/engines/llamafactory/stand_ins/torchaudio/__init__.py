"""Stand-in for torchaudio: the engine imports the name at its start and text training never uses it."""

__version__ = "2.13.0"
