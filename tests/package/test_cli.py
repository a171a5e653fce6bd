"""`sp-widget demo` copies the tutorials, keeps what the user wrote, and speaks plainly."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from sp_widget import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder like that of the tutorials, with a data file and what Jupyter leaves behind."""
    folder = tmp_path / "source"
    for name in (
        cli.FIRST_TUTORIAL,
        "data/prompts.json",
        ".ipynb_checkpoints/01_quickstart-checkpoint.ipynb",
        "__pycache__/helper.pyc",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    return folder


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_tutorials_of_the_tree_are_found() -> None:
    assert (cli.tutorials() / cli.FIRST_TUTORIAL).is_file()


def test_tutorials_and_their_data_are_copied_without_leftovers(
    source: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "new" / "folder"
    assert cli.copy_tutorials(source, copy) == []
    assert files_in(copy) == {cli.FIRST_TUTORIAL, "data/prompts.json"}
    assert (copy / "data/prompts.json").read_text(encoding="utf-8") == "data/prompts.json"


def test_a_file_that_the_user_changed_is_kept_and_named(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    cli.copy_tutorials(source, copy)
    (copy / cli.FIRST_TUTORIAL).write_text("my notes", encoding="utf-8")
    (copy / "data/prompts.json").unlink()
    assert cli.copy_tutorials(source, copy) == [copy / cli.FIRST_TUTORIAL]
    assert (copy / cli.FIRST_TUTORIAL).read_text(encoding="utf-8") == "my notes"
    assert files_in(copy) == {cli.FIRST_TUTORIAL, "data/prompts.json"}


def test_copying_a_folder_onto_itself_changes_nothing(source: Path) -> None:
    """`make demo` opens the tutorials of the checkout where they are."""
    before = files_in(source)
    assert cli.copy_tutorials(source, source) == []
    assert files_in(source) == before


def test_a_folder_that_cannot_be_made_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = tmp_path / "in_the_way"
    in_the_way.write_text("a file", encoding="utf-8")
    assert cli.main(["demo", "--dir", str(in_the_way), "--no-browser"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("sp-widget: cannot copy the tutorials to")
    assert str(in_the_way) in message
    assert "--dir" in message
    assert in_the_way.read_text(encoding="utf-8") == "a file"


def test_the_threads_of_the_kernels_wait_without_spinning() -> None:
    environment: dict[str, str] = {}
    cli.set_up_kernels(environment)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"


def test_what_the_person_has_set_for_the_kernels_stays() -> None:
    theirs = {"OMP_WAIT_POLICY": "ACTIVE", "JUPYTER_PREFER_ENV_PATH": "0"}
    environment = dict(theirs)
    cli.set_up_kernels(environment)
    assert environment == theirs


@pytest.mark.parametrize("port", ["-1", "65536", "eighty"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["demo", f"--port={port}"])
    assert stop.value.code == 2
    assert f"wanted a number from 0 to 65535, got '{port}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"BROWSER": "firefox"}, True),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_a_browser_is_opened_only_where_a_window_can_appear(
    platform: str,
    environment: dict[str, str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert cli.has_display() is expected


def test_only_a_tutorial_as_it_came_is_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "tutorials"
    cli.copy_tutorials(cli.tutorials(), folder)
    first, second = sorted(folder.glob("*.ipynb"))[:2]
    changed = nbformat.read(second, as_version=4)
    changed.cells[0].source += " mine"
    nbformat.write(changed, second)
    cli.trust((path for path in (first, second) if cli.is_tutorial(path)), tmp_path / "data")
    notary = NotebookNotary(data_dir=str(tmp_path / "data"))
    trusted = [
        notary.check_signature(nbformat.read(path, as_version=4)) for path in (first, second)
    ]
    notary.store.close()
    assert trusted == [True, False]
