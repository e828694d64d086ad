"""Pages of people, projects and keys, and the way in."""
