"""The control panel as the kernel and the browser see it, over a comm that keeps its messages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import comm
import pytest
import traitlets
from comm.base_comm import BaseComm

from sp_widget.report.bundle import bundled
from sp_widget.widget.panel import COMMANDS, ControlPanel, MethodOption, initial_status


class RecordingComm(BaseComm):
    """A comm whose other end is a list."""

    def __init__(self, **kwargs: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(**kwargs)

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any
    ) -> None:
        self.sent.append({"msg_type": msg_type, "data": data})

    def receive(self, data: dict[str, Any]) -> None:
        """What happens when the browser sends something."""
        self.handle_msg({"content": {"comm_id": self.comm_id, "data": data}, "buffers": []})

    def updates(self) -> list[dict[str, Any]]:
        """The states sent since the widget was made."""
        return [
            message["data"]["state"]
            for message in self.sent
            if message["msg_type"] == "comm_msg" and message["data"]["method"] == "update"
        ]


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> ControlPanel:
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    return ControlPanel()


def send_command(panel: ControlPanel, command: object) -> None:
    panel.comm.receive(
        {"method": "custom", "content": {"type": "command", "command": command}},
    )


def test_a_new_panel_is_idle_and_asks_for_nothing(panel: ControlPanel) -> None:
    state = panel.get_state()
    assert state["status"] == initial_status()
    assert state["status"]["state"] == "idle"
    assert state["save_as"] == "prune_scores"
    assert state["problems"] == {}
    assert state["save_as_problem"] == state["overwrite_prompt"] == state["responsive"] == ""


def test_a_panel_offers_the_methods_that_it_is_given() -> None:
    offered = [MethodOption(value="acdc", label="ACDC", summary="Cuts edge after edge.")]
    panel = ControlPanel(methods=offered, save_as="scores")
    assert panel.methods == offered
    assert panel.save_as == "scores"


def test_an_unknown_argument_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="titel"):
        ControlPanel(titel="x")  # type: ignore[call-arg]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_browser_reaches_every_callback(
    panel: ControlPanel, command: str
) -> None:
    first: list[str] = []
    second: list[str] = []
    panel.on_command(first.append)
    panel.on_command(second.append)
    send_command(panel, command)
    panel.on_command(second.append, remove=True)
    send_command(panel, command)
    assert first == [command, command]
    assert second == [command]


@pytest.mark.parametrize(
    "content", [{"type": "command", "command": "explode"}, {"type": "other"}, "start", None]
)
def test_what_is_not_a_command_is_ignored(panel: ControlPanel, content: object) -> None:
    received: list[str] = []
    panel.on_command(received.append)
    panel.comm.receive({"method": "custom", "content": content})
    assert received == []


@pytest.mark.parametrize("change", [{"name": "dear"}, {"shown": False}, {"delete": True}])
def test_a_change_of_a_run_reaches_its_listener(
    panel: ControlPanel, change: dict[str, object]
) -> None:
    received: list[object] = []
    panel.on_run_edit(received.append)
    content = {"type": "run", "number": 2, **change}
    panel.comm.receive({"method": "custom", "content": content})
    assert received == [{"number": 2, **change}]


@pytest.mark.parametrize(
    "content",
    [
        {"type": "run", "number": 2},
        {"type": "run", "name": "x"},
        {"type": "run", "number": "2", "name": "x"},
        {"type": "run", "number": 2, "name": 3},
        {"type": "run", "number": 2, "name": "x", "delete": True},
        {"type": "run", "number": 2, "explode": True},
        {"type": "preset", "preset": 3},
        {"type": "preset"},
        {"type": "method", "method": 3},
        {"type": "method"},
    ],
)
def test_what_is_no_change_of_a_run_no_preset_and_no_method_is_ignored(
    panel: ControlPanel, content: object
) -> None:
    received: list[object] = []
    panel.on_run_edit(received.append)
    panel.on_preset(received.append)
    panel.on_method(received.append)
    panel.comm.receive({"method": "custom", "content": content})
    assert received == []


def test_an_edit_in_the_browser_arrives_as_typed(panel: ControlPanel) -> None:
    edited = {**panel.values, "learning_rate": "1e-3"}
    panel.comm.receive({"method": "update", "state": {"values": edited}, "buffer_paths": []})
    assert panel.values["learning_rate"] == "1e-3"


def test_an_update_is_one_message(panel: ControlPanel) -> None:
    status = {**initial_status(), "state": "running", "step": 1}
    panel.update(status=status, responsive="later", problems={"epochs": "wrong"})
    assert panel.comm.updates() == [
        {"status": status, "responsive": "later", "problems": {"epochs": "wrong"}}
    ]


def test_an_update_of_no_trait_is_refused_by_name_and_changes_nothing(panel: ControlPanel) -> None:
    with pytest.raises(traitlets.TraitError, match="'statsu'"):
        panel.update(responsive="later", statsu={})
    assert panel.responsive == ""


def edit(panel: ControlPanel, **values: str) -> None:
    state = {"values": {**panel.values, **values}}
    panel.comm.receive({"method": "update", "state": state, "buffer_paths": []})


def test_an_edit_waits_for_an_update_in_progress(panel: ControlPanel) -> None:
    """ipywidgets keeps its sync state on the instance: inside each other, both lose messages."""
    waited = run_in_the_middle(
        panel, "responsive", work=lambda: edit(panel, epochs="7"), of=lambda: later(panel)
    )
    assert waited
    assert panel.values["epochs"] == "7"
    assert panel.comm.updates()[0] == {"responsive": "later"}


def test_an_update_waits_for_an_edit_in_progress(panel: ControlPanel) -> None:
    waited = run_in_the_middle(
        panel, "values", work=lambda: later(panel), of=lambda: edit(panel, epochs="7")
    )
    assert waited
    assert panel.values["epochs"] == "7"
    assert panel.comm.updates()[-1] == {"responsive": "later"}


def later(panel: ControlPanel) -> None:
    panel.update(responsive="later")


def run_in_the_middle(
    panel: ControlPanel, trait: str, *, work: Callable[[], None], of: Callable[[], None]
) -> bool:
    """Start `work` in a thread while `of` is changing `trait`; whether it waited for its end."""
    thread = threading.Thread(target=work)
    waited = []

    def start(_: object) -> None:
        thread.start()
        # If nothing held it up, it would be done in a few milliseconds.
        thread.join(0.3)
        waited.append(thread.is_alive())

    panel.observe(start, trait)
    of()
    thread.join()
    return waited == [True]


def test_the_bundle_is_small_enough_for_every_notebook_that_shows_it() -> None:
    assert len(bundled("panel.js")) < 120_000
    assert len(bundled("panel.css")) < 120_000


def test_a_missing_bundle_says_how_to_build_it() -> None:
    with pytest.raises(FileNotFoundError, match="npm --prefix js ci && npm --prefix js run build"):
        bundled("no-such-widget.js")
