"""What every part agrees on: events, verdicts, topics, keys, tables and wire formats. No I/O."""
