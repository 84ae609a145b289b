"""Clients of the three doors, alike: events in as JSON lines, an outcome out. For `millrace send` and the demo."""
