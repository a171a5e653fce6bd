"""The routing of clicks is touched only where the kernel offers it; see also test_kernel.py."""

from __future__ import annotations

from types import SimpleNamespace

from sp_widget.widget.comm_routing import (
    deliver_where_addressed,
    responsiveness_note,
    responsiveness_note_for_message,
)


def test_a_comm_of_another_kernel_stays_as_it_is() -> None:
    comm = SimpleNamespace(comm_id="1")
    deliver_where_addressed(comm)
    assert vars(comm) == {"comm_id": "1"}


def test_a_message_goes_where_it_is_addressed_whoever_published_last() -> None:
    class Comm:
        def _reply_subshell_for(self, data: object, addressed_to: str | None) -> str | None:
            return "the shell that published last"

    comm, other = Comm(), Comm()
    deliver_where_addressed(comm)
    assert comm._reply_subshell_for({}, "a subshell") == "a subshell"
    assert comm._reply_subshell_for({}, None) is None
    assert other._reply_subshell_for({}, None) == "the shell that published last"


def test_without_a_kernel_there_is_nothing_to_say() -> None:
    assert responsiveness_note() == ""
    assert responsiveness_note_for_message() == ""
