"""The progress bar of what nobody watches through the panel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sp_widget.errors import require_switches


@contextmanager
def progress_bar(
    title: str, n_steps: int, done: int, enabled: bool
) -> Iterator[Callable[..., None]]:
    """Show a tqdm bar (a widget in a notebook).

    Call what it yields after each step with the words to show beside the bar, and after several
    steps with their number too.
    """
    require_switches(progress=enabled)
    # Not at the top: tqdm's notebook form imports ipywidgets.
    from tqdm.auto import tqdm

    with tqdm(total=n_steps, initial=done, disable=not enabled, desc=title) as bar:

        def show(words: str, n_steps: int = 1) -> None:
            bar.set_postfix_str(words, refresh=False)
            bar.update(n_steps)

        yield show
