"""Where what was downloaded or built once is kept: outside the source tree, shared by every checkout."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """`$MILLRACE_CACHE`, else `~/.cache/millrace`; made when missing."""
    path = Path(os.environ.get("MILLRACE_CACHE") or Path.home() / ".cache" / "millrace").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path
