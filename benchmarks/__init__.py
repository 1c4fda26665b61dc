"""Reproducible measurements: each prints a table, and says what it ran on."""
