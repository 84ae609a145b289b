"""The servers the platform stands on, started as child processes: embedded (pip alone) or native."""
