"""How dates and numbers are written; the rest is as Django has it."""
