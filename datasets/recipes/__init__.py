"""Steps from one version's rows to another's: each a stream of rows, none touches the database."""
