"""What the rows of a version are like, counted in bounded memory. Knows nothing of the database."""
