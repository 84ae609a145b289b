"""Rebuilds one tenant's features from its raw topic beside those in use, and puts them in their place."""
