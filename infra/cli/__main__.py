"""`python -m infra.cli`: the same as `millrace`, for processes that we start ourselves."""

from infra.cli.main import main

main()
