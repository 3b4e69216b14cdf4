"""Put a trained checkpoint among the shipped ones: without the optimiser's state, files named without their folders.

    python scripts/ship_checkpoint.py runs/compare/restaurants.en.maml.seed1.1.safetensors restaurants.en.maml
"""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from metadialog_lite.checkpoints import load_checkpoint, save_checkpoint
from metadialog_lite.paths import data_dir


def bare(command: str) -> str:
    """A command line whose files are named without their folders."""
    return shlex.join(Path(part).name if part.endswith(".safetensors") else part for part in shlex.split(command))


def ship(trained: Path, name: str) -> Path:
    """Write ``data/checkpoints/NAME.safetensors`` and return its path."""
    found = load_checkpoint(trained)
    info = {**found.info, "command": bare(found.info.get("command", ""))}
    if "start" in info:
        info["start"] = Path(info["start"]).name
    target = data_dir() / "checkpoints" / f"{name}.safetensors"
    return save_checkpoint(target, found.learner, found.source, found.config, None, info)


def main(trained: Path, name: str) -> None:
    """TRAINED: the checkpoint; NAME: what it is called from now on."""
    target = ship(trained, name)
    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
