"""Compares finished runs and shows them: as tables, as one picture, as a page of HTML."""
