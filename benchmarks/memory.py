"""Peak memory of one outer step against the number of tasks, each measured in a process of its own.

    python -m benchmarks.memory 64 [--one-pass]

prints by how many MB the resident memory of the process grew at its peak. ``--one-pass`` takes all tasks in one
graph, which is what the chunks of ``Learner.outer_gradient`` avoid.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path


def growth(tasks: int, one_pass: bool) -> float | None:
    """Measure in a new process: MB, or None where the system does not tell (anything but Linux)."""
    command = [sys.executable, "-m", "benchmarks.memory", str(tasks), *(["--one-pass"] if one_pass else [])]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return None if done.stdout.strip() == "unknown" else float(done.stdout)


def resident(field: str) -> float | None:
    """MB of this process: VmRSS is what it holds now, VmHWM the most that it ever held."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of one outer step.")
    parser.add_argument("tasks", type=int)
    parser.add_argument("--one-pass", action="store_true")
    arguments = parser.parse_args()

    import torch

    from benchmarks.meta_step import Case, prepare
    from metadialog_lite.families.base import tasks_of

    torch.set_num_threads(1)
    learner, support, query = prepare(Case("18k", order=2, support=4, query=4, tasks=arguments.tasks))
    one = slice(0, 1)
    learner.outer_gradient(tasks_of(support, one), tasks_of(query, one))  # loads whatever torch loads at first use
    before = resident("VmRSS")
    learner.outer_gradient(support, query, chunk=arguments.tasks if arguments.one_pass else None)
    peak = resident("VmHWM")
    print("unknown" if before is None or peak is None else f"{peak - before:.1f}")


if __name__ == "__main__":
    main()
