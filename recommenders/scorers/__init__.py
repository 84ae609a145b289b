"""Scorers: what ranks candidates."""
