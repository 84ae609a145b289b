"""All benchmarks, one after the other, each in a process of its own: `python -m tests.bench [name ...]`."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    found = sorted(file.stem for file in Path(__file__).parent.glob("bench_*.py"))
    chosen = sys.argv[1:] or found
    failed = [name for name in chosen if subprocess.run([sys.executable, "-m", f"tests.bench.{name}"]).returncode]
    for name in failed:
        sys.stderr.write(f"{name} failed\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
