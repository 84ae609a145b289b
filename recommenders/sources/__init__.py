"""Sources: what finds candidates."""
