"""The picture that a saved notebook keeps of a widget.

A widget is drawn by its kernel's state. Where that is gone, a notebook has only what stands in its
file: so the cell that shows the widget holds a static picture as well, below it, which is hidden
as long as the widget is there (`js/src/export/export.css`). It is drawn anew when a run ends, and
when the best masks are restored after the end.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from html import escape

from IPython.display import display, update_display

from sp_widget.errors import StateError
from sp_widget.report.picture import Picture
from sp_widget.session import ENDED, Session
from sp_widget.widget.lifetime import look_soon

NOTHING_YET = "The widget was not run to an end before this notebook was saved."

# JupyterLab writes an error where it finds no widget. In a notebook that it trusts, this hides it.
STYLE = (
    "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .sp-kept) "
    ".jupyter-widgets:not(:has(*)) { display: none }</style>"
)

# One for all pictures, and for good: matplotlib keeps the fonts that it reads, open files among
# them, for each thread apart.
_drawing_thread = ThreadPoolExecutor(1, thread_name_prefix="sp-widget-picture")

log = logging.getLogger(__name__)


class KeptPicture:
    """Draws on the thread of pictures: neither the training nor a cell waits for it.

    Args:
        session: whose runs end.
        draw: makes the picture; raises `StateError` where there is nothing to draw.
        name: tells this picture from others in the notebook.
    """

    def __init__(self, session: Session, draw: Callable[[], Picture], name: str) -> None:
        self._session = session
        self._draw = draw
        self._display_id = f"sp-widget-{name}"
        # Guards what follows.
        self._lock = threading.Lock()
        self._shown = False
        self._drawn: tuple[int, int, int] | None = None
        """`Snapshot.masks` of the picture; `None`: there is none yet."""
        self._drawing: Future[None] | None = None

    def show(self) -> None:
        """Put the picture below what the running cell has shown so far."""
        display(self._output(NOTHING_YET), raw=True, display_id=self._display_id)  # type: ignore[no-untyped-call]
        with self._lock:
            self._shown = True
            self._drawn = None
        self.look()

    def look(self) -> None:
        """Draw anew if what a run came to is another than before. Returns at once."""
        snapshot = self._session.snapshot()
        with self._lock:
            if not self._shown or snapshot.state not in ENDED or snapshot.masks == self._drawn:
                return
            try:
                self._drawing = _drawing_thread.submit(self._renew)
            except RuntimeError:
                # The process ends, and with it the run: the notebook takes nothing any more.
                return
            self._drawn = snapshot.masks

    def finish(self) -> None:
        """Wait until the last picture is in the notebook."""
        self.look()
        with self._lock:
            drawing = self._drawing
        if drawing is not None:
            drawing.result()

    def _renew(self) -> None:
        # The cell may be run again while it is drawn, and the widget is needed no longer.
        look_soon()
        try:
            picture = self._draw()
        except StateError:
            # Reset meanwhile, or it failed before its first step.
            return
        except Exception:
            log.exception("The picture that the notebook keeps could not be drawn")
            return
        output = self._output(picture.words, picture.html)
        update_display(output, raw=True, display_id=self._display_id)  # type: ignore[no-untyped-call]

    def _output(self, words: str, html: str = "") -> dict[str, str]:
        content = html or f"<p>{escape(words)}</p>"
        return {
            "text/plain": words,
            "text/html": f'<div class="sp-kept">{STYLE}{content}</div>',
        }
