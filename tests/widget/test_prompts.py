"""The view of single prompts beside a training: what is asked for, and when it is answered."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import sp_widget as sp
from sp_widget.session.background_prompts import THREAD_NAME
from sp_widget.types import PatchType
from sp_widget.widget.live_prompts import NO_SCORES
from sp_widget.widget.locked import LockedWidget
from sp_widget.widget.prompts import TYPED
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.model_kinds import N_TOKENS, bridge, dataloader
from tests.widget.conftest import until

CONFIG = sp.SubnetworkProbingConfig(epochs=2, seed=1)


@pytest.fixture(scope="module")
def llama() -> sp.PatchableModel:
    """With a tokenizer, and keys that two heads share."""
    return sp.patchable_model(bridge("llama"))


@pytest.fixture
def make(llama: sp.PatchableModel) -> Iterator[Callable[..., SubnetworkProbingWidget]]:
    probes: list[SubnetworkProbingWidget] = []

    def make(config: sp.SubnetworkProbingConfig = CONFIG) -> SubnetworkProbingWidget:
        loader = dataloader()
        probes.append(SubnetworkProbingWidget(llama, loader, config=config))
        probes[-1].panel.update(tab="prompts")
        return probes[-1]

    yield make
    for probe in probes:
        probe.close()


def _settled(probe: SubnetworkProbingWidget) -> None:
    """Wait until the view shows what was asked for."""
    probe._publisher.wake()
    probe._publisher.flush()
    probe._live_prompts.background.wait()


def _from_browser(view: LockedWidget, **state: Any) -> None:
    data = {"method": "update", "state": state}
    view._handle_msg({"content": {"data": data}, "buffers": []})


def _typed(probe: SubnetworkProbingWidget, clean: str, corrupt: str) -> None:
    content = {"type": "typed", "clean": clean, "corrupt": corrupt}
    data = {"method": "custom", "content": content}
    probe.prompts._handle_msg({"content": {"data": data}, "buffers": []})


def test_the_view_shows_what_the_functions_return_and_follows_the_slider(
    make: Callable[..., SubnetworkProbingWidget], llama: sp.PatchableModel
) -> None:
    probe = make()
    view, loader = probe.prompts, dataloader()
    _settled(probe)
    assert (view.strip, view.note) == (None, NO_SCORES)
    assert [each["place"] for each in view.prompts] == list(range(7))
    assert [each["loss"] for each in view.prompts] == [None] * 7
    probe.start()
    probe.wait()
    _settled(probe)
    scores, size = probe.prune_scores, probe.history[-1].hard_edge_count
    # It begins with the head that has the most important edge.
    heads = [edge.src.name for edge, _ in scores.top(100) if edge.src.head_idx is not None]
    assert view.node == heads[0]
    for n_edges, chosen in ((None, 0), (17, 0), (17, 5)):
        _from_browser(probe.circuit, n_edges=n_edges)
        _from_browser(view, chosen=chosen)
        _settled(probe)
        now = size if n_edges is None else n_edges
        # In the direction of the run.
        options = {"patch_type": PatchType.EDGE_PATCH}
        pair = loader.dataset[chosen]
        found = sp.predictions(llama, pair, scores, now, **options)
        assert view.strip is not None
        assert view.strip["n_edges"] == now
        assert [each["text"] for each in view.strip["circuit"]] == [
            each.text for each in found.circuit
        ]
        assert view.strip["kl_div"] == pytest.approx(found.kl_div, abs=1e-6)
        listed = sp.per_prompt(llama, loader, scores, now, **options)
        assert [each["loss"] for each in view.prompts] == pytest.approx(
            [each.loss for each in listed.prompts], abs=1e-6
        )
        assert view.loss == "KL(model ‖ circuit), nats"
        assert view.list_note == f"All 7 prompts. Measured on 7 prompts with {now} edges."

    # A pin of the circuit view: keys and values that heads share stand for the first of them.
    _from_browser(probe.circuit, pinned="A1.1.K")
    _settled(probe)
    assert view.node == "A1.2"
    node = sp.look_into(llama, "A1.2", pair, scores, 17, patch_type=PatchType.EDGE_PATCH)
    assert node.circuit.pattern is not None
    pattern = np.frombuffer(view.circuit_pattern, "<f4").reshape(N_TOKENS, N_TOKENS)
    torch.testing.assert_close(torch.tensor(pattern), node.circuit.pattern, rtol=0, atol=1e-6)
    assert view.node_data is not None
    connected = [
        each["name"] for side in ("edges_in", "edges_out") for each in view.node_data[side]
    ]
    assert sorted(connected) == sorted(each.edge for each in node.edges)
    for no_node in ("Resid End", "A1.2->Resid End", ""):
        _from_browser(probe.circuit, pinned=no_node)
        assert view.node == "A1.2"
    _from_browser(view, node="MLP 0")
    _settled(probe)
    assert (view.node_data["name"], view.whole_pattern) == ("MLP 0", b"")

    probe.reset()
    _settled(probe)
    assert (view.strip, view.node_data, view.note, view.loss) == (None, None, NO_SCORES, "")


def test_the_view_follows_what_is_switched_by_hand_and_what_is_undone(
    make: Callable[..., SubnetworkProbingWidget], llama: sp.PatchableModel
) -> None:
    probe = make()
    view, loader = probe.prompts, dataloader()
    probe.start()
    probe.wait()
    scores, pair = probe.prune_scores, loader.dataset[0]
    top = [edge for edge, _ in scores.top(31)]
    head = next(edge.src.name for edge in top if edge.src.head_idx is not None)
    # Keys and values that heads share are a node of their own.
    own = {head, f"{head}.Q"}
    inside = [edge for edge in top[:30] if not own & {edge.src.name, edge.dest.name}]
    n_off = 30 - len(inside)
    options = {"patch_type": PatchType.EDGE_PATCH}
    _from_browser(view, node=head)
    cases = {
        (f"-{head}",): (inside, n_off),
        (f"-{head}", f"+{top[30]}"): ([*inside, top[30]], n_off + 1),
        (): (top[:30], 0),
    }
    for switches, (edges, n_switched) in cases.items():
        _from_browser(probe.circuit, n_edges=30, switches=list(switches))
        _settled(probe)
        assert view.strip is not None
        assert (view.strip["n_edges"], view.strip["n_switched"]) == (len(edges), n_switched)
        found = sp.predictions(llama, pair, edges, **options)
        assert [each["probability"] for each in view.strip["circuit"]] == pytest.approx(
            [each.probability for each in found.circuit], abs=1e-6
        )
        assert view.strip["kl_div"] == pytest.approx(found.kl_div, abs=1e-6)
        node = sp.look_into(llama, head, pair, edges, **options)
        assert view.node_data["n_in"] + view.node_data["n_out"] == len(node.edges)
        assert [each["text"] for each in view.node_data["circuit"]["up"]] == [
            each.text for each in node.circuit.up
        ]
        listed = sp.per_prompt(llama, loader, edges, **options)
        assert [each["loss"] for each in view.prompts] == pytest.approx(
            [each.loss for each in listed.prompts], abs=1e-6
        )
        by_hand = f", {n_switched} switched by hand" if n_switched else ""
        assert view.list_note.endswith(f"with {len(edges)} edges{by_hand}.")
    assert n_off > 1


def test_a_typed_pair_is_shown_or_refused_in_words(
    make: Callable[..., SubnetworkProbingWidget], llama: sp.PatchableModel
) -> None:
    probe = make()
    view = probe.prompts
    probe.step()
    until(probe, lambda: probe.state == "paused" and bool(probe.history))
    _settled(probe)
    _typed(probe, "w5 w6 w7", "w5 w9")
    assert view.typed_problem == (
        "Corrupt prompt: wanted as many tokens as the clean prompt has, 3, got 2."
    )
    assert (view.typed_field, view.chosen) == ("corrupt", 0)
    _typed(probe, "w5 w6 w7", "w5 w9 w7")
    _settled(probe)
    assert (view.typed_problem, view.typed_field, view.chosen) == ("", "", TYPED)
    assert view.strip is not None
    # The prompts of the data do not begin with BOS, so typed ones do not.
    assert [each["clean"] for each in view.strip["tokens"]] == ["w5", "w6", "w7"]
    assert [each["differs"] for each in view.strip["tokens"]] == [False, True, False]
    assert not any(each["is_answer"] for each in view.strip["whole_model"])
    _typed(probe, "w5 w6 w8", "w5 w9 w8")
    _settled(probe)
    assert view.strip["tokens"][2]["clean"] == "w8"
    before, node = view.strip, view.node
    for bad in (
        {"chosen": 7}, {"chosen": -2}, {"node": "A9.9"}, {"strip": None}, {"typed": ["a", "b"]},
    ):  # fmt: skip
        _from_browser(view, **bad)
    _typed(probe, "w5 " * 10_000, "w5")
    _settled(probe)
    assert (view.strip, view.chosen, view.node) == (before, TYPED, node)


def test_nothing_is_computed_while_the_tab_is_not_in_view_and_closing_ends_the_thread(
    make: Callable[..., SubnetworkProbingWidget],
) -> None:
    probe = make()
    probe.panel.update(tab="runs")
    probe.start()
    probe.wait()
    _settled(probe)
    assert probe.prompts.strip is None
    probe.panel.update(tab="prompts")
    _settled(probe)
    assert probe.prompts.strip is not None
    probe.panel.update(tab="runs")
    _from_browser(probe.circuit, n_edges=3)
    _settled(probe)
    assert probe.prompts.strip["n_edges"] != 3
    probe.close()
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]


def test_a_training_is_asked_little_and_goes_on_while_a_person_looks(
    make: Callable[..., SubnetworkProbingWidget],
) -> None:
    probe = make(sp.SubnetworkProbingConfig(epochs=100_000, seed=1))
    answers: list[float] = []
    shown = threading.Event()

    def note(change: Any) -> None:
        answers.append(change["new"]["n_edges"])
        shown.set()

    probe.prompts.observe(note, "strip")
    probe.start()
    assert shown.wait(60)
    # The next answer is seconds away, whatever a person does.
    for n_edges in range(1, 30):
        _from_browser(probe.circuit, n_edges=n_edges)
    steps = len(probe.history)
    until(probe, lambda: len(probe.history) > steps + 20)
    while_training = len(answers)
    # A page that is written now records nothing.
    assert b'"prompts":null' in probe.snapshot().web_page()
    assert while_training <= 2
    probe.pause()
    until(probe, lambda: probe.state == "paused")
    _settled(probe)
    assert probe.prompts.strip is not None
    assert probe.prompts.strip["n_edges"] == 29
    assert probe.prompts.note == ""
    page = probe.snapshot().web_page()
    # In the direction of the run, and at the size that a person chose.
    recorded = json.loads(page.split(b'id="sp-data">')[1].split(b"</script>")[0])["prompts"]
    shown = next(each for each in recorded["prompts"] if each["place"] == 0)
    (circuit,) = [each for each in shown["circuits"] if each["n_edges"] == 29]
    assert circuit["kl_div"] == pytest.approx(probe.prompts.strip["kl_div"], abs=1e-6)
    assert circuit["predictions"][0]["text"] == probe.prompts.strip["circuit"][0]["text"]
    assert [each["probability"] for each in circuit["predictions"]] == pytest.approx(
        [each["probability"] for each in probe.prompts.strip["circuit"]], abs=1e-6
    )
