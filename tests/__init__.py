"""Tests mirror the rooms they test; benchmarks stand in tests/bench."""
