"""Hydrators: what adds features to queries and candidates."""
