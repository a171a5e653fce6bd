"""How long a widget lives: as long as a variable or an output of the notebook refers to it.

ipywidgets lists every open widget, and the kernel every open comm with the method that answers it.
So a widget whose cell is run again would stay for ever, with the model that it shows. Here

- both lists hold a widget weakly (`hold_weakly`);
- a widget that a cell shows is held until that cell is run again or deleted (`keep_while_shown`),
  because behind a picture in the page there need not be a variable;
- after a cell that may have been the last to refer to a widget, the garbage is collected
  (`look_soon`): widgets refer to each other in circles, and with a large library loaded Python
  looks at old objects too seldom.

What is collected closes its comms by itself (`ipywidgets.Widget.__del__`), and its models in the
browser go with them.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from ipywidgets import Widget
from ipywidgets.widgets import widget as registry

from sp_widget.widget.foreign import handle_message
from sp_widget.widget.locked import LockedWidget

_shown: dict[str, list[Widget]] = {}
"""A cell to the widgets that its output shows."""

_watched: weakref.WeakSet[Widget] = weakref.WeakSet()
"""The widgets that may become garbage."""

_look = False
"""Whether something may have become garbage."""

_RESULT = re.compile(r"_{1,3}|_\d+")
"""The names under which IPython keeps the results of cells, beside `Out`."""


def widgets_in(root: Widget) -> list[Widget]:
    """Return `root` and all widgets that its synced traits hold, directly or in lists."""
    found: dict[int, Widget] = {}
    waiting: list[Any] = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Widget):
            if id(value) not in found:
                found[id(value)] = value
                waiting.extend(getattr(value, name) for name in value.keys)
        elif isinstance(value, list | tuple):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
    return list(found.values())


def hold_weakly(root: Widget) -> list[Widget]:
    """Let ipywidgets and the kernel hold `root` and the widgets in it weakly; return them."""
    widgets = widgets_in(root)
    for widget in widgets:
        model_id = widget.model_id
        if type(registry._instances.get(model_id)) is not weakref.ProxyType:
            widget.comm.on_msg(_passing_to(weakref.ref(widget)))
            registry._instances[model_id] = weakref.proxy(widget, _forgetting(model_id))
    return widgets


def _passing_to(reference: weakref.ref[Widget]) -> Callable[[Any], None]:
    def pass_on(message: Any) -> None:
        widget = reference()
        if isinstance(widget, LockedWidget):
            widget._handle_msg(message)
        elif widget is not None:
            handle_message(widget, message)

    return pass_on


def _forgetting(model_id: str) -> Callable[[object], None]:
    return lambda _: registry._instances.pop(model_id, None)


def watch(widget: Widget) -> None:
    """Collect `widget` soon after nothing refers to it any more."""
    _watched.add(widget)
    shell = _shell()
    if shell is not None and _after_cell not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("pre_run_cell", _before_cell)
        shell.events.register("post_run_cell", _after_cell)
    look_soon()


def look_soon() -> None:
    """Look for garbage when the running cell, or else the next one, ends."""
    global _look
    _look = True


def keep_while_shown(widget: Widget) -> None:
    """Hold `widget` until the cell that shows it now is run again or deleted."""
    shell = _shell()
    if shell is not None:
        _shown.setdefault(_cell(shell), []).append(widget)


def forget(widget: Widget) -> None:
    """Hold `widget`, which is closed, no longer than others do, whatever showed it."""
    for cell, widgets in list(_shown.items()):
        left = [each for each in widgets if each is not widget]
        if left:
            _shown[cell] = left
        else:
            del _shown[cell]
    shell = _shell()
    if shell is not None:
        _forget_results(shell, [widget])
    look_soon()


def _before_cell(*_: object) -> None:
    shell = _shell()
    for cell in (_cell(shell), *_deleted_cells(shell)):
        widgets = _shown.pop(cell, None)
        if widgets:
            _forget_results(shell, widgets)
            look_soon()


def _after_cell(*_: object) -> None:
    global _look
    # The only one there is: the next cell may still use it, and looking takes a while.
    if _look and len(_watched) > 1:
        gc.collect()
        _give_memory_back()
    _look = False


def _give_memory_back() -> None:
    """Give what is free back to the system, where the C library can.

    glibc keeps what a thread has freed for threads to come, in a heap for each of many threads: ten
    widgets would seem to need ten times as much as one.
    """
    trim = getattr(ctypes.CDLL(None) if sys.platform == "linux" else None, "malloc_trim", None)
    if trim is not None:
        trim(0)


def _forget_results(shell: Any, widgets: list[Widget]) -> None:
    """Take `widgets` out of the caches in which IPython keeps the results of cells."""

    def is_one(value: object) -> bool:
        return any(value is widget for widget in widgets)

    results = shell.history_manager.output_hist
    for number in [number for number, value in results.items() if is_one(value)]:
        del results[number]
    # What IPython itself has put among the variables stands in the second as well.
    for variables in (shell.user_ns, shell.user_ns_hidden):
        for name in [name for name in variables if _RESULT.fullmatch(name)]:
            if is_one(variables[name]):
                # As before the first result.
                variables[name] = ""
    for name in ("_", "__", "___"):
        # IPython compares these with the variables, and gives up where they differ.
        if is_one(getattr(shell.displayhook, name)):
            setattr(shell.displayhook, name, "")
    last = shell.last_execution_result
    if last is not None and is_one(last.result):
        shell.last_execution_result = None


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _parent(shell: Any) -> dict[str, Any]:
    """Return the message from the browser that is being answered."""
    parent: dict[str, Any] = getattr(shell, "get_parent", dict)() or {}
    return parent


def _cell(shell: Any) -> str:
    """Return what tells the running cell from others; its text, where no more is known."""
    parent = _parent(shell)
    cell = parent.get("metadata", {}).get("cellId")
    return str(cell or parent.get("content", {}).get("code", ""))


def _deleted_cells(shell: Any) -> Iterator[str]:
    yield from map(str, _parent(shell).get("metadata", {}).get("deletedCells") or ())
