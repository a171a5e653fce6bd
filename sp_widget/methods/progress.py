"""The progress bar of a training that nobody watches through the panel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sp_widget.methods.record import StepRecord


@contextmanager
def progress_bar(
    title: str, n_steps: int, done: int, enabled: bool
) -> Iterator[Callable[[StepRecord], None]]:
    """Show a tqdm bar (a widget in a notebook); call what it yields with every record."""
    # Not at the top: tqdm's notebook form imports ipywidgets.
    from tqdm.auto import tqdm

    with tqdm(total=n_steps, initial=done, disable=not enabled, desc=title) as bar:

        def show(record: StepRecord) -> None:
            bar.set_postfix_str(
                f"loss {record.loss:.3g}, {record.hard_edge_count} edges", refresh=False
            )
            bar.update()

        yield show
