"""What a browser would send to a widget, put in at the same place as ipywidgets does."""

from __future__ import annotations

from typing import Any

from sp_widget.widget.widget import SubnetworkProbingWidget


def _receive(probe: SubnetworkProbingWidget, data: dict[str, Any]) -> None:
    probe.panel._handle_msg({"content": {"data": data}, "buffers": []})


def click(probe: SubnetworkProbingWidget, command: str) -> None:
    content = {"type": "command", "command": command}
    _receive(probe, {"method": "custom", "content": content})


def edit(probe: SubnetworkProbingWidget, **values: str | bool) -> None:
    """Change some fields; the browser sends all of them."""
    state = {"values": {**probe.panel.values, **values}}
    _receive(probe, {"method": "update", "state": state})


def rename(probe: SubnetworkProbingWidget, name: str) -> None:
    _receive(probe, {"method": "update", "state": {"save_as": name}})


def choose(probe: SubnetworkProbingWidget, preset: str) -> None:
    _receive(probe, {"method": "custom", "content": {"type": "preset", "preset": preset}})


def edit_run(probe: SubnetworkProbingWidget, number: int, **change: str | bool) -> None:
    content = {"type": "run", "number": number, **change}
    _receive(probe, {"method": "custom", "content": content})


def save(probe: SubnetworkProbingWidget, folder: Any) -> None:
    _receive(probe, {"method": "custom", "content": {"type": "save", "folder": folder}})
