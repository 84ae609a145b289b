"""The HTTP door (CONTRACTS §3): it reads, calls a service function and answers; it decides nothing."""
