"""What a user gets: sdist and wheel built from the tree, and the demo of the installed wheel."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Copying all dependencies takes minutes, so by default the environment of the installed wheel sees
# those of the running one. `make test-install` sets this and installs everything from nothing.
FULL_INSTALL = "SP_WIDGET_FULL_INSTALL" in os.environ

BUNDLE = {
    f"sp_widget/static/{widget}.{kind}"
    for widget in ("chart", "circuit", "panel", "export")
    for kind in ("css", "js")
}


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; what it printed is in the error if it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}"
    return done


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a fresh clone has it: nothing built, nothing installed."""
    copy = tmp_path_factory.mktemp("checkout") / "tree"
    not_in_a_clone = shutil.ignore_patterns(
        ".git",
        ".venv*",
        "node_modules",
        "static",
        "site",
        "dist",
        "test-artifacts",
        "__pycache__",
        ".*_cache",
    )
    shutil.copytree(ROOT, copy, ignore=not_in_a_clone)
    return copy


@pytest.fixture(scope="module")
def sdist(checkout: Path) -> Path:
    """The sdist, whose build has to build the JavaScript first."""
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", cwd=checkout)
    (archive,) = (checkout / "dist").glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist on a machine without Node.js."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=tree, PATH=str(folder))
    (archive_path,) = (tree / "dist").glob("*.whl")
    return archive_path


@pytest.fixture(scope="module")
def wheel_files(wheel: Path) -> dict[str, int]:
    """Name and size in bytes of every file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.file_size for entry in archive.infolist()}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The `bin` folder of an environment that was empty before the wheel was installed."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    if FULL_INSTALL:
        run(*pip, "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    else:
        run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    yield folder / "bin"
    shutil.rmtree(folder)


def test_the_wheel_contains_the_built_javascript(wheel_files: dict[str, int]) -> None:
    assert wheel_files.keys() >= BUNDLE
    for name in BUNDLE:
        assert wheel_files[name] > 1000, name


def test_the_wheel_contains_every_file_of_the_package(wheel_files: dict[str, int]) -> None:
    package = ROOT / "sp_widget"
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.parent.name != "static"
    }
    assert "sp_widget/py.typed" in wanted
    assert wheel_files.keys() >= wanted


def test_the_wheel_contains_the_tutorials_and_their_data(wheel_files: dict[str, int]) -> None:
    wanted = {
        f"sp_widget/notebooks/{path.relative_to(ROOT / 'notebooks').as_posix()}"
        for path in (ROOT / "notebooks").rglob("*")
        # What the tutorials write is theirs, as in a clone.
        if path.is_file()
        and ".ipynb_checkpoints" not in path.parts
        and not path.name.startswith("my_")
    }
    assert "sp_widget/notebooks/01_quickstart.ipynb" in wanted
    assert {name for name in wheel_files if name.startswith("sp_widget/notebooks/")} == wanted


def test_the_wheel_contains_nothing_else(wheel_files: dict[str, int]) -> None:
    tops = {name.split("/")[0] for name in wheel_files}
    assert {re.sub(r"-.*\.dist-info$", ".dist-info", top) for top in tops} == {
        "sp_widget",
        "sp_widget.dist-info",
    }
    assert not [name for name in wheel_files if "node_modules" in name or name.endswith(".ts")]


def test_the_bundled_tasks_are_small_enough_for_a_wheel(wheel_files: dict[str, int]) -> None:
    assets = sum(size for name, size in wheel_files.items() if name.startswith("sp_widget/tasks/"))
    assert assets < 8_000_000


def test_the_sdist_can_be_built_with_and_without_node(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert names >= BUNDLE
    assert names >= {"hatch_build.py", "js/package.json", "js/package-lock.json", "js/build.mjs"}
    assert not [name for name in names if "node_modules" in name]


def test_without_bundle_and_node_the_build_says_what_to_do(checkout: Path, sdist: Path) -> None:
    static = checkout / "sp_widget" / "static"
    aside = static.rename(checkout / "static-aside")
    try:
        with pytest.raises(AssertionError, match=r"Install Node\.js"):
            run(
                *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
                cwd=checkout,
                PATH=str(checkout / "empty"),
            )
    finally:
        aside.rename(static)


@pytest.fixture
def demo(installed: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address that `sp-widget demo` prints, and the folder that it was started in."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")
    }
    environment |= {
        "PATH": str(installed),
        "HOME": str(tmp_path / "home"),
        "PYTHONUNBUFFERED": "1",
    }
    if not FULL_INSTALL:
        # JupyterLab's own files stayed in the environment that is borrowed from.
        share = Path(sys.prefix, "share", "jupyter")
        environment |= {"JUPYTER_PATH": str(share), "JUPYTERLAB_DIR": str(share / "lab")}
    here = tmp_path / "here"
    here.mkdir()
    assert shutil.which("node", path=environment["PATH"]) is None
    server = subprocess.Popen(
        ["sp-widget", "demo", "--no-browser", "--port", "0"],
        executable=installed / "sp-widget",
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        printed = ""
        for line in server.stdout:
            printed += line
            if line.startswith("JupyterLab: "):
                break
        else:
            pytest.fail(f"sp-widget demo ended without an address:\n{printed}")
        yield line.removeprefix("JupyterLab: ").strip(), here
    finally:
        server.terminate()
        server.communicate(timeout=30)


def get(address: str, path: str, token: str | None) -> tuple[int, bytes]:
    """Status and body of a GET, with the token or without."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        headers = {"Authorization": f"token {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_demo_of_the_installed_wheel_serves_the_first_tutorial(
    demo: tuple[str, Path], installed: Path
) -> None:
    address, here = demo
    parts = urlsplit(address)
    token = parts.query.removeprefix("token=")
    assert parts.hostname == "127.0.0.1"
    assert parts.path == "/lab/tree/sp_widget_tutorials/01_quickstart.ipynb"

    status, page = get(address, parts.path, token)
    assert status == 200
    assert b"jupyter-config-data" in page

    contents = "/api/contents/sp_widget_tutorials/01_quickstart.ipynb"
    status, body = get(address, contents, token)
    assert status == 200
    served = json.loads(body)["content"]["cells"]
    original = json.loads((ROOT / "notebooks" / "01_quickstart.ipynb").read_text(encoding="utf-8"))
    assert len(served) == len(original["cells"])
    assert (here / "sp_widget_tutorials" / "01_quickstart.ipynb").is_file()

    assert get(address, contents, token=None)[0] == 403
    assert get(address, contents, token="wrong")[0] == 403


def test_the_installed_package_is_the_wheel_and_finds_its_bundle(installed: Path) -> None:
    code = (
        "import sp_widget, pathlib; "
        "print(pathlib.Path(sp_widget.__file__).parent, "
        "pathlib.Path(sp_widget.__file__).with_name('static').joinpath('panel.js').is_file())"
    )
    printed = run(installed / "python", "-c", code, cwd=installed).stdout.split()
    assert Path(printed[0]).is_relative_to(installed.parent)
    assert printed[1] == "True"
