"""Opening a notebook in a JupyterLab of its own: what the browser tests and the latency benchmark share."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import nbformat

#: Chromium asks its makers for this and that; a test that counts requests wants none of it.
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-default-apps", "--no-first-run", "--disable-domain-reliability", "--disable-breakpad",
         "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
         "--proxy-server=direct://", "--password-store=basic"]


@dataclass
class Lab:
    """A running JupyterLab: its address, token and folder of notebooks."""

    url: str
    token: str
    folder: Path

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")


@dataclass
class Visit:
    """What happened on a page: where requests went, and what the console complained about."""

    page: Any
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


def write_notebooks(folder: Path) -> None:
    """The fixture notebooks, from scripts whose cells are separated by ``# %%``."""
    for source in sorted((Path(__file__).parent / "notebooks").glob("*.py")):
        cells = [cell.strip() for cell in re.split(r"^# %%.*$", source.read_text(), flags=re.M) if cell.strip()]
        write_notebook(folder / f"{source.stem}.ipynb", cells)


def write_notebook(path: Path, cells: list[str]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(notebook, path)


def start_lab(folder: Path) -> tuple[Lab, subprocess.Popen[bytes]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
               "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}",
               "--LabApp.news_url=None", "--LabApp.extension_manager=readonly",
               "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"]
    for name, text in {
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',  # else Lab asks
        "notebook-extension/tracker": '{"windowingMode": "none"}',  # else only what is in view can be found
    }.items():
        settings = folder / ".settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(text)
    environment = os.environ | {
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".workspaces"), "OMP_NUM_THREADS": "1",
        "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"), "PYTHONPATH": os.pathsep.join(sys.path[1:])}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    lab = Lab(f"http://127.0.0.1:{port}", token, folder)
    for _ in range(300):
        with contextlib.suppress(OSError):
            lab.get("/api/kernels")
            return lab, server
        if server.poll() is not None:
            break
        time.sleep(0.2)
    server.kill()
    raise RuntimeError(f"JupyterLab did not start:\n{(folder / 'server.log').read_text()}")


def stop_lab(server: subprocess.Popen[bytes]) -> None:
    """Stop the server and with it the kernels: one that is busy training ends when it finds its parent gone."""
    server.terminate()
    try:
        server.wait(3)
    except subprocess.TimeoutExpired:
        server.kill()


def open_notebook(browser: Any, lab: Lab, name: str) -> Visit:
    """Open a notebook in a fresh browser context and wait for its kernel."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000},
                                  permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    visit = Visit(page)
    page.on("request", lambda request: visit.hosts.add(urlparse(request.url).hostname or urlparse(request.url).scheme))
    page.on("websocket", lambda socket: visit.hosts.add(urlparse(socket.url).hostname or "?"))
    page.on("console", lambda m: visit.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.goto(f"{lab.url}/lab/workspaces/{name}/tree/{name}.ipynb?token={lab.token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_selector('[data-status="idle"], .jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
    return visit


def dismiss(page: Any) -> list[str]:
    """Close whatever dialog is open and return what it said."""
    said = []
    while dialog := page.query_selector(".jp-Dialog"):
        said.append(dialog.inner_text())
        page.click(".jp-Dialog .jp-mod-accept")
        page.wait_for_timeout(300)
    return said


def run_all(page: Any) -> None:
    """Run → Run All Cells. Right after the kernel is idle Lab sometimes drops it: ask until it is seen to run."""
    for _ in range(10):
        dismiss(page)
        page.click("text=Run >> nth=0")
        page.click("text=Run All Cells >> nth=0")
        try:
            page.wait_for_function(
                "() => [...document.querySelectorAll('.jp-InputPrompt')]"
                ".some(e => /\\[(\\*|\\d+)\\]/.test(e.textContent))", timeout=3000)
            return
        except Exception:
            continue
    raise AssertionError("Run All Cells was dropped ten times")


def wait_done(page: Any, timeout: float = 90_000) -> None:
    """Wait until no cell is queued or running.

    While it is still connecting to the kernel, Lab sometimes forgets what it had queued: the cells' ``[*]`` become
    ``[ ]`` again and nothing runs. So when for five seconds nothing is queued and something has not run, ask again.
    """
    end = time.monotonic() + timeout / 1000
    while True:
        state = page.wait_for_function(
            "() => { const wrong = document.querySelector('[data-mime-type=\"application/vnd.jupyter.error\"],"
            " [data-mime-type=\"application/vnd.jupyter.stderr\"]'); if (wrong) return wrong.textContent;"
            " const p = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent);"
            " if (p.length && p.every(t => /\\[\\d+\\]/.test(t))) return 'done';"
            " const now = performance.now();"
            " if (p.some(t => /\\[\\*\\]/.test(t))) window.lastQueued = now;"
            " window.lastQueued ??= now;"
            " if (now - window.lastQueued > 5000) { window.lastQueued = undefined; return 'forgotten'; }"
            " return false; }", timeout=max(1, 1000 * (end - time.monotonic()))).json_value()
        if state != "forgotten":
            break
        run_all(page)
    assert state == "done", state
