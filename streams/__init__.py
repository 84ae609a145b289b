"""Stream workers: the judge, live features, and what fills ClickHouse."""
