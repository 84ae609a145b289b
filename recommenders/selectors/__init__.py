"""Selectors: what chooses the list out of the ranked candidates."""
