"""A file is written wholly or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.files import TEMPORARY, write_atomically
from sp_widget.report.picture import snapshot
from tests import model_kinds

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


def test_a_process_killed_while_it_writes_leaves_the_former_file_or_the_new_one(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "tests.package.killed_while_writing", str(tmp_path), "40"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("killed 40 times")


def test_a_full_disk_leaves_the_former_file_and_nothing_beside_it(tmp_path: Path) -> None:
    from tests.killing import full_disk

    model = patchable_model(model_kinds.bridge("native-attention-only"))
    scores = PruneScores(model.new_prune_scores(1.0), model.graph)
    other = PruneScores({name: part + 1 for name, part in scores.items()}, model.graph)
    picture, other_picture = (
        snapshot(model, each, n_edges=3, title=title)
        for each, title in ((scores, "before"), (other, "after"))
    )
    for first, second, names in (
        (scores, other, ("scores.json", "scores.safetensors")),
        (picture, other_picture, ("p.svg", "p.png", "p.pdf", "p.html")),
    ):
        for name in names:
            path = tmp_path / name
            first.save(path)
            before = path.read_bytes()
            with full_disk(100), pytest.raises(OSError, match="large"):
                second.save(path)
            assert path.read_bytes() == before, name
            second.save(path)
            assert path.read_bytes() != before, name
    assert not list(tmp_path.glob(TEMPORARY))
    read = PruneScores.load(tmp_path / "scores.json", model.graph)
    assert all(torch.equal(read[name], other[name]) for name in other)


def test_an_interrupt_leaves_nothing_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file"
    write_atomically(path, b"before")
    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_keeps_its_permissions_and_a_link_is_not_followed(tmp_path: Path) -> None:
    path, elsewhere, link = tmp_path / "file", tmp_path / "elsewhere", tmp_path / "link"
    path.write_bytes(b"before")
    path.chmod(0o640)
    write_atomically(path, b"after")
    assert path.stat().st_mode & 0o777 == 0o640
    elsewhere.write_bytes(b"mine")
    link.symlink_to(elsewhere)
    write_atomically(link, b"new")
    assert (link.read_bytes(), elsewhere.read_bytes()) == (b"new", b"mine")
    assert not link.is_symlink()
