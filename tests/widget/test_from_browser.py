"""What the browser sends and nobody can use is dropped with a line in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sp_widget.widget.lifetime import widgets_in
from sp_widget.widget.locked import LockedWidget
from sp_widget.widget.message import LONGEST
from sp_widget.widget.sweep_view import SweepTable
from sp_widget.widget.widget import SubnetworkProbingWidget

LONG = "x" * 10_000_000


@pytest.fixture(scope="module")
def lines() -> Iterator[list[str]]:
    """What the widgets' log and traitlets' would show."""
    seen: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(self.format(record))

    handler = Handler()
    logger = logging.getLogger("traitlets")
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)


def widgets(probe: SubnetworkProbingWidget) -> dict[str, LockedWidget]:
    """Every widget of ours that answers the browser."""
    return {
        "panel": probe.panel,
        "chart": probe.chart.tools,
        "circuit": probe.circuit,
        "export": probe.export,
        "prompts": probe.prompts,
        "faithfulness": probe.faithfulness,
        "sweep": SweepTable(),
    }


def update(state: Any, **others: Any) -> dict[str, Any]:
    return {"method": "update", "state": state, **others}


def custom(content: Any) -> dict[str, Any]:
    return {"method": "custom", "content": content}


BAD: list[tuple[str, Any]] = [
    # Values of another kind, or out of bounds.
    ("panel", update({"values": [1, 2]})),
    ("panel", update({"values": {"epochs": None}})),
    ("panel", update({"values": {"epochs": {"deep": ["er"]}}})),
    ("panel", update({"save_as": 3})),
    ("panel", update({"save_as": None})),
    ("chart", update({"smoothing": "much"})),
    ("chart", update({"smoothing": 7.0})),
    ("chart", update({"smoothing": float("nan")})),
    ("chart", update({"window": [1]})),
    ("chart", update({"window": [1, "two"]})),
    ("chart", update({"log_axes": ["up"]})),
    ("chart", update({"hidden": "Loss"})),
    ("circuit", update({"n_edges": -1})),
    ("circuit", update({"n_edges": 10**9})),
    ("circuit", update({"n_edges": "many"})),
    ("circuit", update({"only_paths": "yes"})),
    # Traits that only Python writes, and such as there are none of.
    ("panel", update({"save_as_problem": ""})),
    ("panel", update({"status": {"state": "done"}})),
    ("panel", update({"fields": []})),
    ("panel", update({"layout": "IPY_MODEL_none"})),
    ("panel", update({"_esm": "alert(1)"})),
    ("panel", update({"no_such_trait": 1})),
    ("circuit", update({"graph": {}})),
    ("circuit", update({"scores": "", "auroc": 1.0})),
    ("circuit", update({"training_edges": 3})),
    ("circuit", update({"switches": ["A0.0"]})),
    ("circuit", update({"switches": ["-A99.0"]})),
    ("circuit", update({"undone": ["-A0.0->A0.0"]})),
    ("circuit", update({"asked": "A99.0->Resid End"})),
    ("circuit", update({"kept": []})),
    ("circuit", update({"compare": "Run 7"})),
    ("circuit", custom({"type": "keep", "name": " ", "size": 1, "switches": []})),
    ("circuit", custom({"type": "keep", "name": "a", "size": 10**9, "switches": []})),
    ("circuit", custom({"type": "keep", "name": "a", "size": 1, "switches": ["-A99.0"]})),
    ("circuit", custom({"type": "keep", "name": "a", "size": 1, "switches": [3]})),
    ("circuit", custom({"type": "keep", "name": "a"})),
    ("circuit", custom({"type": "keep", "name": 3})),
    ("prompts", update({"chosen": 10**6})),
    ("prompts", update({"chosen": "0"})),
    ("prompts", update({"node": "A99.0"})),
    ("prompts", update({"node": ["A0.0"]})),
    ("prompts", update({"pinned": 3})),
    ("prompts", update({"n_edges": -1})),
    ("prompts", update({"typed": ["a", "b"]})),
    ("prompts", update({"whole_pattern": ""})),
    ("prompts", custom({"type": "typed", "clean": 1, "corrupt": "b"})),
    ("prompts", custom({"type": "typed", "clean": "a" * 9_000, "corrupt": "b"})),
    ("prompts", custom([])),
    ("faithfulness", update({"n_edges": 1.5})),
    ("faithfulness", update({"training_edges": "3"})),
    ("faithfulness", update({"curves": [], "metric": "x"})),
    ("faithfulness", update({"measure": "now"})),
    ("faithfulness", custom({"type": "measure!"})),
    ("faithfulness", custom("measure")),
    ("sweep", update({"chosen": 1})),
    ("sweep", update({"rows": []})),
    ("sweep", update({"detail": "<b>"})),
    ("chart", update({"traces": []})),
    ("export", update({"formats": []})),
    # Long ones.
    ("panel", update({"save_as": LONG})),
    ("panel", update({"values": {"epochs": LONG}})),
    ("circuit", update({"search": LONG})),
    ("prompts", custom({"type": "typed", "clean": LONG, "corrupt": "b"})),
    ("sweep", update({"chosen": LONG})),
    ("panel", custom({"type": "preset", "preset": LONG})),
    ("panel", custom({"type": "run", "number": 1, "name": LONG})),
    ("chart", update({"hidden": ["a"] * 10 * LONGEST})),
    # Messages that are none.
    ("panel", update({"save_as": "x"}, buffer_paths=[["state", "save_as"]])),
    ("panel", update("save_as")),
    ("panel", {"state": {}}),
    ("panel", {"method": "explode"}),
    ("panel", {"method": ["update"]}),
    ("panel", None),
    ("panel", "update"),
    ("panel", custom(None)),
    ("panel", custom("start")),
    ("panel", custom({"type": "command", "command": "explode"})),
    ("panel", custom({"type": "command", "command": ["start"]})),
    ("panel", custom({"type": ["command"]})),
    ("panel", custom({"type": "method", "method": 3})),
    ("export", custom({"type": "export", "format": "exe", "request": "1"})),
    ("export", custom({"type": "export", "format": {}, "request": "1"})),
    ("export", custom(7)),
]


def test_what_is_of_no_use_is_dropped_with_one_line(
    make_probe: Callable[..., SubnetworkProbingWidget],
    lines: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    probe = make_probe()
    parts = widgets(probe)
    before = {name: part.get_state() for name, part in parts.items()}
    for name, data in BAD:
        lines.clear()
        parts[name]._handle_msg({"content": {"data": data}, "buffers": []})
        # One for each trait of an update.
        state = data.get("state") if isinstance(data, dict) else None
        at_most = max(1, len(state)) if isinstance(state, dict) else 1
        assert 1 <= len(lines) <= at_most, (name, str(data)[:100], lines)
        assert all("dropped" in line and len(line) < 1000 for line in lines), lines
        assert not any("\n" in line for line in lines)
        assert {each: part.get_state() for each, part in parts.items()} == before, str(data)[:100]
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert probe.state == "idle"


def test_every_widget_that_answers_the_browser_is_tried(
    make_probe: Callable[..., SubnetworkProbingWidget],
) -> None:
    def below(kind: type[LockedWidget]) -> set[type[LockedWidget]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    # anywidget makes a class for each instance that gets traits.
    classes = {cls for cls in below(LockedWidget) if "bundle" in vars(cls)}
    tried = widgets(make_probe())
    assert classes == {
        next(cls for cls in type(part).__mro__ if cls in classes) for part in tried.values()
    }
    assert {name for name, _ in BAD} == tried.keys()


def test_boxes_and_marks_drop_what_their_traits_refuse(
    make_probe: Callable[..., SubnetworkProbingWidget],
    lines: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    probe = make_probe()
    parts = [part for root in (probe, *probe._links) for part in widgets_in(root)]
    # One of each kind.
    foreign = {type(part).__name__: part for part in parts if not isinstance(part, LockedWidget)}
    assert {"Box", "Layout", "Figure", "Lines", "LinearScale", "Axis", "Link"} <= foreign.keys()
    lines.clear()
    wrong: list[Any] = [7, "x", [None], {"deep": ["er"]}, None, -1.5, "IPY_MODEL_none", True]
    for part in foreign.values():
        for data in (
            *(update({name: value}) for name in part.keys for value in wrong),
            update({"no_such_trait": 1}),
            update({"width": LONG}),
            update({}, buffer_paths=[["state", "x"]]),
            update([]),
            custom(7),
            custom({"event": "hover", "ref": 1}),
            {"method": "explode"},
            {},
            None,
        ):
            part.comm.handle_msg({"content": {"data": data}, "buffers": []})
    assert len(lines) > 10 * len(foreign)
    assert all("dropped" in line and len(line) < 1000 and "\n" not in line for line in lines)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err


def test_a_value_that_a_box_takes_is_taken(
    make_probe: Callable[..., SubnetworkProbingWidget],
) -> None:
    probe = make_probe()
    layout = probe.layout
    layout.comm.handle_msg(
        {"content": {"data": update({"width": "50%", "height": 3})}, "buffers": []}
    )
    assert (layout.width, layout.height) == ("50%", None)


def test_what_is_right_in_a_message_is_taken_beside_what_is_wrong(
    make_probe: Callable[..., SubnetworkProbingWidget],
) -> None:
    probe = make_probe()
    state = {"save_as": "mine", "save_as_problem": "", "n_edges": 3}
    probe.panel._handle_msg({"content": {"data": update(state)}, "buffers": []})
    assert probe.panel.save_as == "mine"
    state = {"n_edges": 3, "search": "A0", "pinned": "A0.1", "compare": ""}
    probe.circuit._handle_msg({"content": {"data": update(state)}, "buffers": []})
    shown = probe.circuit
    assert (shown.n_edges, shown.search, shown.pinned, shown.compare) == (3, "A0", "A0.1", "")


def test_a_name_that_is_none_stops_no_start_by_a_trait_of_the_browser(
    make_probe: Callable[..., SubnetworkProbingWidget],
) -> None:
    """What is wrong with the name is for Python to say."""
    probe = make_probe()
    probe.panel._handle_msg({"content": {"data": update({"save_as": "2nd"})}, "buffers": []})
    problem = probe.panel.save_as_problem
    assert "2nd" in problem
    probe.panel._handle_msg({"content": {"data": update({"save_as_problem": ""})}, "buffers": []})
    assert probe.panel.save_as_problem == problem
