"""The forms of rows: what an example is, how a file's columns become one, what the engine reads."""
