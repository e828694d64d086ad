"""Stand-in for torchaudio: the engine imports it at its start, text training never uses it."""

__version__ = "2.13.0"
