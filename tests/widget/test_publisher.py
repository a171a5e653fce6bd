"""The publisher is quick, never floods, and the last state always arrives."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from sp_widget.widget import publisher as publisher_module
from sp_widget.widget.publisher import Publisher

PATIENCE = 20.0


class Recorder:
    """Publishes the newest value, as the widget publishes the newest state."""

    def __init__(self) -> None:
        self.value = 0
        self.published: list[tuple[float, int]] = []
        self.arrived = threading.Condition()

    def publish(self) -> None:
        with self.arrived:
            self.published.append((time.monotonic(), self.value))
            self.arrived.notify_all()

    def until(self, holds: Callable[[], bool]) -> None:
        with self.arrived:
            assert self.arrived.wait_for(holds, PATIENCE)


def test_changes_are_published_together_and_the_last_one_always() -> None:
    recorder = Recorder()
    publisher = Publisher(recorder.publish, interval=0.05)
    for value in range(1, 2001):
        recorder.value = value
        publisher.wake()
    recorder.until(lambda: bool(recorder.published) and recorder.published[-1][1] == 2000)
    assert len(recorder.published) < 200


def test_never_more_often_than_the_interval() -> None:
    recorder = Recorder()
    publisher = Publisher(recorder.publish, interval=0.05)
    began = time.monotonic()
    while time.monotonic() < began + 0.5:
        recorder.value += 1
        publisher.wake()
        time.sleep(0.0005)
    publisher.flush()
    assert len(recorder.published) <= (time.monotonic() - began) / 0.05 + 1


def test_nothing_is_published_when_nothing_changes() -> None:
    recorder = Recorder()
    publisher = Publisher(recorder.publish, interval=0.001)
    publisher.wake()
    recorder.until(lambda: bool(recorder.published))
    time.sleep(0.05)
    assert len(recorder.published) == 1


def test_flush_publishes_what_is_new_and_nothing_else() -> None:
    recorder = Recorder()
    publisher = Publisher(recorder.publish, interval=0.2)
    began = time.monotonic()
    for value in (1, 2):
        recorder.value = value
        publisher.wake()
        publisher.flush()
        assert recorder.published[-1][1] == value
    publisher.flush()
    assert len(recorder.published) == 2
    assert recorder.published[1][0] - began >= 0.2


def test_an_error_is_logged_and_the_next_change_is_published(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder()

    def publish() -> None:
        recorder.publish()
        if len(recorder.published) == 1:
            raise ValueError("the comm is gone")

    publisher = Publisher(publish, interval=0.001)
    with caplog.at_level(logging.ERROR):
        publisher.wake()
        recorder.until(lambda: len(recorder.published) == 1)
        publisher.wake()
        recorder.until(lambda: len(recorder.published) == 2)
    assert "the comm is gone" in caplog.text


def test_the_thread_ends_when_nothing_happens_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher_module, "PATIENCE", 0.01)
    recorder = Recorder()
    publisher = Publisher(recorder.publish, interval=0.001)
    before = set(threading.enumerate())
    publisher.wake()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    publisher.wake()
    recorder.until(lambda: len(recorder.published) == 2)


@pytest.mark.parametrize("by_flush", [False, True])
def test_it_is_called_again_when_it_asks_for_that(by_flush: bool) -> None:
    """Though nothing changes meanwhile, and whoever published the time before."""
    recorder = Recorder()

    def publish() -> float | None:
        recorder.publish()
        return 0.05 if len(recorder.published) == 1 else None

    publisher = Publisher(publish, interval=0.001)
    publisher.wake()
    if by_flush:
        publisher.flush()
    recorder.until(lambda: len(recorder.published) == 2)
    assert recorder.published[1][0] - recorder.published[0][0] >= 0.05
    time.sleep(0.1)
    assert len(recorder.published) == 2
