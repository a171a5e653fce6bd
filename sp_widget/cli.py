"""The command `sp-widget`: the tutorials, copied beside the user and opened in JupyterLab."""

from __future__ import annotations

import argparse
import filecmp
import os
import secrets
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from urllib.parse import quote

from sp_widget._version import __version__
from sp_widget.files import write_atomically

FIRST_TUTORIAL = "01_quickstart.ipynb"
DEFAULT_FOLDER = "sp_widget_tutorials"


class DemoError(Exception):
    """Why the demo cannot start, in words for the person at the terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        demo(
            folder=arguments.dir,
            port=arguments.port,
            open_browser=not arguments.no_browser and has_display(),
        )
    except DemoError as error:
        print(f"sp-widget: {error}", file=sys.stderr)
        return 1
    return 0


def demo(folder: Path, port: int | None = None, open_browser: bool = True) -> None:
    """Copy the tutorials into `folder` and serve JupyterLab on the first, until interrupted.

    The server listens on the loopback interface only and asks for a fresh token. With `port`
    None it takes 8888 or the next free one; 0 lets the system choose.

    Raises `DemoError` where the tutorials cannot be copied or JupyterLab is not installed.
    """
    folder = folder.expanduser().resolve()
    kept = copy_tutorials(tutorials(), folder)
    for path in kept:
        print(f"Kept your own version of {path}.")
    print(f"Tutorials: {folder}")
    _serve(folder, port, open_browser)


def tutorials() -> Path:
    """The folder of the tutorials: inside the installed package, or in the checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / FIRST_TUTORIAL).is_file():
            return folder
    raise DemoError(
        f"this installation has no tutorials ({FIRST_TUTORIAL} is in neither "
        f"{package / 'notebooks'} nor {package.parent / 'notebooks'}). Install sp-widget anew."
    )


def copy_tutorials(source: Path, folder: Path) -> list[Path]:
    """Copy what `source` holds into `folder`; never overwrite what is there.

    Returns the files of `folder` that differ from the tutorials' and were kept.

    Raises `DemoError` where `folder` cannot be made or written.
    """
    kept = []
    try:
        for original in _visible_files(source):
            copy = folder / original.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                write_atomically(copy, original.read_bytes())
            elif not filecmp.cmp(original, copy, shallow=False):
                kept.append(copy)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DemoError(
            f"cannot copy the tutorials to {folder}: {reason} ({error.filename}). "
            "Choose another folder with --dir."
        ) from error
    return kept


def has_display() -> bool:
    """Whether a browser window can be expected to appear before the user."""
    if "BROWSER" in os.environ or not sys.platform.startswith(("linux", "freebsd")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def set_up_kernels(environment: MutableMapping[str, str]) -> None:
    """Set what the demo's kernels begin with, unless the person at the terminal has set it."""
    # A kernel of the same name that the user registered once would lack this package.
    environment.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    # Threads that wait for each other by spinning cost much where browser and server need a core.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _visible_files(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        path
        for path in files
        if not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
    )


def _serve(folder: Path, port: int | None, open_browser: bool) -> None:
    set_up_kernels(os.environ)
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise DemoError(
            f"JupyterLab cannot be imported ({error}). Install it with: pip install jupyterlab"
        ) from error

    root = _root(folder)
    page = "/lab/tree/" + quote((folder / FIRST_TUTORIAL).relative_to(root).as_posix())
    token = secrets.token_hex(24)
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.root_dir": str(root),
        "ServerApp.open_browser": open_browser,
        "ServerApp.answer_yes": True,
        "ServerApp.log_level": "WARN",
        "LabApp.log_level": "WARN",
        "IdentityProvider.token": token,
        "LabApp.default_url": page,
    }
    if port is not None:
        options |= {"ServerApp.port": port, "ServerApp.port_retries": 0}
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Jupyter refuses to serve as root, as in a container; loopback and a token suffice here.
        options["ServerApp.allow_root"] = True
    server = LabApp.initialize_server(argv=[f"--{name}={value}" for name, value in options.items()])
    address = f"http://127.0.0.1:{server.port}{page}?token={token}"
    # The server listens from the first turn of its loop on: nobody gets an address too early.
    server.io_loop.add_callback(print, f"JupyterLab: {address}\nStop it with Ctrl-C.", flush=True)
    server.start()


def _root(folder: Path) -> Path:
    """Where the file browser starts: where the user stands, if that shows the tutorials."""
    here = Path.cwd().resolve()
    if not folder.is_relative_to(here):
        return folder
    # Jupyter shows nothing that lies in a hidden folder below its root.
    hidden = any(part.startswith(".") for part in folder.relative_to(here).parts)
    return folder if hidden else here


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sp-widget",
        description="Find circuits in transformers by subnetwork probing, live in a notebook.",
    )
    parser.add_argument("--version", action="version", version=f"sp-widget {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo_parser = commands.add_parser(
        "demo",
        help="copy the tutorials into a folder and open JupyterLab on the first",
        description="Copy the tutorials into a folder and open JupyterLab on the first. "
        "Your own changes in that folder are kept. The server is reachable from this "
        "machine only.",
    )
    demo_parser.add_argument(
        "--dir",
        type=Path,
        default=Path(DEFAULT_FOLDER),
        metavar="FOLDER",
        help=f"where to copy the tutorials (default: ./{DEFAULT_FOLDER})",
    )
    demo_parser.add_argument(
        "--port",
        type=_port,
        metavar="PORT",
        help="serve on this port; 0 takes any free one (default: 8888 or the next free one)",
    )
    demo_parser.add_argument(
        "--no-browser", action="store_true", help="only print the address and keep serving"
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"wanted a number from 0 to 65535, got {text!r}")
    return int(text)
