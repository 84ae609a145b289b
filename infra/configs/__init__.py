"""Tracking configs that live in files: reading them, what applying them would do, and the client of the API."""
