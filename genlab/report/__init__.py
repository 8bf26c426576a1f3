"""Compares finished runs and presents them as tables, one picture, or an HTML page."""
