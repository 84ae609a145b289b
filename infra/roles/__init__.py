"""What `millrace serve` and `millrace worker` run: each role opens its connections and builds its room's objects."""
