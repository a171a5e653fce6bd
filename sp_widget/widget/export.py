"""The export group: a choice of files, and a button that downloads one in the browser.

The view is TypeScript (`js/src/export/`). It asks for a file, and the file's bytes come back as a
message to the view that asked.
"""

from __future__ import annotations

from typing import Any, TypedDict

import traitlets

from sp_widget.errors import StateError
from sp_widget.widget.comm_routing import deliver_where_addressed
from sp_widget.widget.error_text import describe
from sp_widget.widget.export_formats import FORMATS, Exportable
from sp_widget.widget.locked import LockedWidget


class Format(TypedDict):
    """A kind of file that a run can be exported to."""

    name: str
    label: str


class ExportPanel(LockedWidget, bundle="export"):
    """Downloads of what `run` has at the moment of the click."""

    formats = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[Format])

    def __init__(self, run: Exportable) -> None:
        self._exported = run
        super().__init__(formats=[{"name": each.name, "label": each.label} for each in FORMATS])
        self.on_msg(self._handle_message)
        # A click is answered while a cell runs.
        deliver_where_addressed(self.comm)

    def _handle_message(self, _: object, content: Any, buffers: object) -> None:
        """Answer `{type: "export", format, request}` to the view that made the request."""
        asked = content if isinstance(content, dict) and content.get("type") == "export" else {}
        found = next((each for each in FORMATS if each.name == asked.get("format")), None)
        if found is None:
            self.drop("a message that it does not know", content)
            return
        answer = {"request": content.get("request")}
        try:
            data = found.content(self._exported)
        except StateError:
            self.send({**answer, "type": "problem", "text": "There is nothing to export yet."})
        except Exception as error:
            self.send({**answer, "type": "problem", "text": describe(error)})
        else:
            file = {**answer, "type": "file", "name": found.file, "mime": found.mime}
            self.send(file, buffers=[data])
