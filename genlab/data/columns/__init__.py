"""Columns of typed tables: one class for each kind, and the schema that holds the columns of a table."""
