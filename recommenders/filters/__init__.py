"""Filters: what keeps candidates out."""
