"""The picture beside the widget, as the kernel publishes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.widget.kernel import Kernel

SETUP = """
from tests.model_kinds import bridge, dataloader
import sp_widget as sp
model = sp.patchable_model(bridge("native-attention-only"))
config = sp.SubnetworkProbingConfig(epochs=2, seed=1)
probe = sp.SubnetworkProbingWidget(model, dataloader(), config=config)
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    kernel.run(SETUP)
    yield kernel
    kernel.close()


def pictures(kernel: Kernel, code: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Kind, display id and content of what a cell shows, widgets left out."""
    start = len(kernel.seen)
    kernel.run(code)
    return [
        (message["msg_type"], message["content"]["transient"]["display_id"], message["content"])
        for _, message in kernel.seen[start:]
        if message["content"].get("transient", {}).get("display_id")
    ]


def test_a_shown_widget_has_a_place_for_its_picture_which_the_end_of_a_run_fills(
    kernel: Kernel,
) -> None:
    ((kind, place, empty),) = pictures(kernel, "probe")
    assert kind == "display_data"
    assert "not run to an end" in empty["data"]["text/plain"]
    assert "<img" not in empty["data"]["text/html"]

    # One update, and it is there when `wait` returns: the notebook may be saved by then.
    ((kind, same_place, full),) = pictures(kernel, "probe.start()\nprobe.wait()")
    assert (kind, same_place) == ("update_display_data", place)
    assert '<div class="sp-kept">' in full["data"]["text/html"]
    assert '<img src="data:image/png;base64,' in full["data"]["text/html"]
    assert "of 81 edges" in full["data"]["text/plain"]

    # Shown again, it has the picture as well; in the same place, so that the next run renews both.
    again = pictures(kernel, "display(probe)\nprobe.wait()")
    assert [(kind, place) for kind, place, _ in again] == [
        ("display_data", place),
        ("update_display_data", place),
    ]
    assert "<img" in again[-1][2]["data"]["text/html"]

    renewed = pictures(kernel, "probe.reset()\nprobe.start()\nawait probe.finished()")
    assert [kind for kind, _, _ in renewed] == ["update_display_data"]


def test_the_best_masks_have_a_picture_of_their_own(kernel: Kernel) -> None:
    kernel.run(
        "validation = sp.SubnetworkProbingWidget(model, dataloader(), dataloader(), config=config)"
    )
    pictures(kernel, "display(validation)\nvalidation.start()\nvalidation.wait()")
    # `wait` returns when the picture is there.
    renewed = pictures(kernel, "validation.restore_best()\nvalidation.wait()")
    assert [kind for kind, _, _ in renewed] == ["update_display_data"]
    assert pictures(kernel, "validation.evaluate()\nvalidation.wait()") == []


def test_a_widget_that_is_not_shown_draws_nothing(kernel: Kernel) -> None:
    kernel.run("unseen = sp.SubnetworkProbingWidget(model, dataloader(), config=config)")
    assert pictures(kernel, "unseen.start()\nunseen.wait()") == []


def test_a_run_without_a_step_leaves_the_place_empty(kernel: Kernel) -> None:
    kernel.run("stopped = sp.SubnetworkProbingWidget(model, dataloader(), config=config)")
    code = "display(stopped)\nstopped.start()\nstopped.stop()\nstopped.wait()"
    shown = pictures(kernel, code)
    assert shown[0][0] == "display_data"
    kernel.run("print('alive')")
