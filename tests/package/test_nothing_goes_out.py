"""Nothing leaves the machine: no connection is opened, and no path of it stands in a file."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sp_widget as sp


class NetworkError(Exception):
    """Somebody asked for the network."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **_: Any) -> Any:
        raise NetworkError(arguments)

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.usefixtures("no_network")
def test_a_task_is_loaded_trained_measured_and_saved_without_a_network(tmp_path: Path) -> None:
    task = sp.tasks.load("tiny-ioi")
    method = sp.methods.get("subnetwork_probing")
    config = replace(method.first_config(task.model, task.train_loader), seed=0, steps=2)
    trainer = method.trainer(task.model, task.train_loader, config, task.test_loader)
    scores = trainer.run(progress=False)
    sp.evaluate(task.model, task.test_loader, scores, sizes=[10], random=1, progress=False)
    folder = tmp_path / "somebody-s-own-folder"
    trainer.save(folder / "run")
    for name in ("scores.json", "scores.safetensors"):
        scores.save(folder / name)
    picture = sp.snapshot(task.model, scores, history=trainer.history, config=config)
    for kind in ("html", "svg", "pdf", "png"):
        picture.save(folder / f"picture.{kind}")
    sp.export_mib(folder / "graph.json", task.model, scores)
    save_a_widget(task, replace(config, steps=1), folder)

    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 10
    private = (str(tmp_path), folder.name, str(Path.home()), str(Path(sp.__file__).parents[1]))
    for path in written:
        content = path.read_bytes()
        found = [text for text in private if len(text) > 5 and text.encode() in content]
        assert not found, path.name


def save_a_widget(task: sp.tasks.Task, config: Any, folder: Path) -> None:
    """As a folder, with a finished run, and as a page."""
    probe = sp.SubnetworkProbingWidget(task.model, task.train_loader, config=config, threads=1)
    probe.start()
    probe.wait(300)
    probe.save(folder / "probe")
    probe.save(folder / "page.html")
    assert (folder / "probe" / "run-1" / "checkpoint.safetensors").exists()
    for name in (".html", folder / ".HTML"):
        with pytest.raises(sp.ArgumentError, match="folder: wanted a file name before its ending"):
            probe.save(name)
    probe.close()


@pytest.mark.usefixtures("no_network")
def test_the_network_would_be_noticed() -> None:
    with pytest.raises(NetworkError):
        socket.create_connection(("127.0.0.1", 9))
