"""From validated events to ranked lists: the candidate pipeline, its parts, and the worker."""
