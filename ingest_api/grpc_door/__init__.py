"""The gRPC door (CONTRACTS §4): messages in, the same JSON as over HTTP to the same service function."""
