"""Asking language models for rows: doors to them, what they are asked, what is kept of it."""
