#!/usr/bin/env bash
# Writes the hash-locked requirement files from pyproject.toml. Run it after changing a dependency.
set -euo pipefail
cd "$(dirname "$0")/../.."
compile() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@"
}
compile --extra build --extra embedded pyproject.toml -o infra/requirements/run.txt
compile --extra build --extra embedded --extra dev -c infra/requirements/run.txt pyproject.toml -o infra/requirements/dev.txt
# In an environment of its own: the peers want older versions of some packages.
compile --extra build --extra embedded --extra dev --extra bench pyproject.toml -o infra/requirements/bench.txt
# The installer itself comes first, by pip.
grep '^uv==' infra/requirements/run.txt | cut -d' ' -f1 |
  compile - -c infra/requirements/run.txt -o infra/requirements/uv.txt
