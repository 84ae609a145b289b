"""The doors: HTTP and gRPC in, recommendations and the catalogue out."""
