"""A Jupyter server of our own: loopback, a token, settings and folders that nobody shares."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from urllib.request import Request, urlopen

import nbformat

from sp_widget.cli import trust

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

# Before 4.4 JupyterLab takes cells that are out of sight out of the page, where no test finds them.
OLDER_LAB: dict[str, object] = (
    {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "defer"}}
    if tuple(map(int, version("jupyterlab").split(".")[:2])) < (4, 4)
    else {}
)

SETTINGS = {
    # What a person answers once, and what would change a page behind a test's back.
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    # The theme follows the browser's colour scheme, which a test can switch.
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": True},
    **OLDER_LAB,
}

PATIENCE = 120.0
"""Seconds for the server to answer on a machine that is busy."""


class JupyterServer:
    """Serves JupyterLab under `/lab` and Notebook under `/notebooks`; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.log = folder / "server.log"
        self.token = secrets.token_hex(16)
        self._folder = folder
        self._port = _free_port()
        self._process: subprocess.Popen[str] | None = None
        self._log_copier = threading.Thread(target=self._copy_log, daemon=True)
        self._serving = threading.Event()

    def __enter__(self) -> JupyterServer:
        self.root.mkdir(parents=True)
        settings = self._folder / "config" / "labconfig" / "default_setting_overrides.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(SETTINGS))
        self._process = subprocess.Popen(
            [
                # A kernel that trains would take the time of the page that a test waits for.
                *("nice", "-n", "10"),
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self._port}"),
                *("--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}"),
                f"--ServerApp.root_dir={self.root}",
            ],
            cwd=self.root,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._wait_until_serving()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log_copier.join()

    def url(self, path: str) -> str:
        """The address of a page, with the token that lets the browser in."""
        return f"http://127.0.0.1:{self._port}/{path}?token={self.token}"

    def copy_tutorial(self, name: str, *, to: str, as_demo: bool = False) -> str:
        """Copy a tutorial without its stored outputs; returns its path on the server.

        `as_demo`: with them, and trusted, as `sp-widget demo` does.
        """
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        if as_demo:
            shutil.copyfile(NOTEBOOKS / name, self.root / to)
            trust([self.root / to], self._folder / "data")
            return to
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, self.root / to)
        return to

    def new_notebook(self, name: str, *cells: str) -> str:
        """Write a notebook with code cells; returns its path on the server."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            # Without it the page would ask which kernel to use.
            metadata={"kernelspec": {"display_name": "Python 3 (ipykernel)", "name": "python3"}},
        )
        nbformat.write(notebook, self.root / name)
        return name

    def end_kernels(self) -> None:
        """Shut down every kernel: each holds a gigabyte of imported packages."""
        for session in json.loads(self._request("GET", "api/sessions")):
            self._request("DELETE", f"api/sessions/{session['id']}")

    def _request(self, method: str, path: str) -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = Request(f"http://127.0.0.1:{self._port}/{path}", method=method, headers=headers)
        with urlopen(request, timeout=PATIENCE) as response:
            return bytes(response.read())

    def _environment(self) -> dict[str, str]:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        return {
            **os.environ,
            **{name: str(self._folder / folder) for name, folder in folders.items()},
            # A kernel of the same name elsewhere would lack this package.
            "JUPYTER_PREFER_ENV_PATH": "1",
            # The browser needs a core as well.
            "OMP_NUM_THREADS": "1",
        }

    def _copy_log(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as output, self.log.open("w") as log:
            for line in output:
                log.write(line)
                log.flush()
                if f"127.0.0.1:{self._port}/lab" in line:
                    self._serving.set()
        # The end of the output is the end of the server: nobody needs to wait any longer.
        self._serving.set()

    def _wait_until_serving(self) -> None:
        self._log_copier.start()
        self._serving.wait(PATIENCE)
        if not self._serving.is_set() or self._process.poll() is not None:
            raise RuntimeError(f"the Jupyter server did not start:\n{self.log.read_text()}")

    def keep_log(self, folder: Path) -> None:
        """Copy what the server and its kernels wrote to the terminal into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.log, folder / "server.log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
