"""All benchmarks, one after the other, each in a process of its own: `python -m tests.bench [name ...] [--option ...]`.

Options are given to each that is named.
"""

import itertools
import subprocess
import sys
from pathlib import Path


def main() -> int:
    found = sorted(file.stem for file in Path(__file__).parent.glob("bench_*.py"))
    named = list(itertools.takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    if unknown := set(named) - set(found):
        sys.stderr.write(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(found)}\n")
        return 2
    command, options = [sys.executable, "-m"], sys.argv[1 + len(named) :]
    failed = [name for name in named or found if subprocess.run([*command, f"tests.bench.{name}", *options]).returncode]
    for name in failed:
        sys.stderr.write(f"{name} failed\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
