"""``make lab``: JupyterLab on the student's own copy of the notebooks.

``python -m metadialog_lite.lab.launch [--work DIR] [--port N] [--no-browser]`` opens it,
``python -m metadialog_lite.lab.launch [--work DIR] start-over 05_meta_optimization`` restores one notebook.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from metadialog_lite.lab.launch_copy import Change, CopyError, refresh, start_over
from metadialog_lite.paths import notebooks_dir

FIRST = "00_start_here.ipynb"
SETTINGS = Path(__file__).resolve().parent / "lab_settings"

app = typer.Typer(add_completion=False, help="JupyterLab on your own copy of the course's notebooks.")


def lab_command(work: Path, port: int = 8888, browser: bool = True) -> list[str]:
    """The command that starts JupyterLab on ``work``: this machine only, with a token, news and updates off."""
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={work.resolve()}"]
    command += [f"--LabApp.default_url=/lab/tree/{FIRST}"]
    # Loopback only; Jupyter makes the token. A busy port: the next ones are tried.
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=50"]
    # JupyterLab would ask its makers for news, updates and extensions: nothing here leaves the machine. The settings
    # only answer its question about news beforehand; the student's own settings still win.
    command += [f"--LabApp.app_settings_dir={SETTINGS}"]
    command += ["--LabApp.news_url=None", "--LabApp.extension_manager=readonly"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # a container: there Jupyter refuses to start otherwise
    return command


@app.callback(invoke_without_command=True)
def lab(
    context: typer.Context,
    work: Annotated[Path, typer.Option(help="The folder with your own copy of the notebooks.")] = Path("work"),
    port: Annotated[int, typer.Option(min=1024, max=65535, help="The first port to try.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Bring your copy of the notebooks up to date (never touching what you changed) and open JupyterLab on it."""
    context.obj = work
    if context.invoked_subcommand:
        return
    try:
        changes = refresh(notebooks_dir(), work)
    except CopyError as error:
        raise _complain(error) from error
    _say(changes)
    typer.echo(f"Your notebooks: {work.resolve()}. Stop JupyterLab with Ctrl-C, twice.")
    raise typer.Exit(_run(lab_command(work, port, browser)))


@app.command("start-over")
def start_over_command(context: typer.Context, notebook: str) -> None:
    """Restore one notebook as shipped; your version is kept beside it under a dated name."""
    try:
        _say(start_over(notebooks_dir(), context.obj, notebook))
    except CopyError as error:
        raise _complain(error) from error


def _run(command: list[str]) -> int:
    """Hand over to the server, so that Ctrl-C and signals reach it and nothing else."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    with subprocess.Popen(command) as server:  # Windows has no exec worth the name
        while True:
            try:
                return server.wait()
            except KeyboardInterrupt:
                continue


def _say(changes: list[Change]) -> None:
    for change in changes:
        typer.echo(f"  {change.text}")


def _complain(error: CopyError) -> typer.Exit:
    typer.echo(f"Error: {error}", err=True)
    return typer.Exit(2)


if __name__ == "__main__":
    app()
