"""A widget that was saved comes back whole, and its training goes on bit by bit."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError, StateError
from sp_widget.methods.acdc import AcdcConfig
from sp_widget.runs import RunFolder
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests import model_kinds
from tests.session.watching import PATIENCE
from tests.widget.browser_messages import edit, edit_run, rename, save
from tests.widget.drawn import live_lines
from tests.widget.test_widget import equal, published, watch

MakeProbe = Callable[..., SubnetworkProbingWidget]


@pytest.fixture
def load(
    model: PatchableModel, prompts: PromptDataLoader
) -> Iterator[Callable[..., SubnetworkProbingWidget]]:
    probes: list[SubnetworkProbingWidget] = []

    def make(folder: Path, **changes: Any) -> SubnetworkProbingWidget:
        data = {"model": model, "dataloader": prompts, "validation_dataloader": prompts, **changes}
        probes.append(SubnetworkProbingWidget.load(folder, **data))
        return probes[-1]

    yield make
    for probe in probes:
        probe.close()


def finish(probe: SubnetworkProbingWidget) -> None:
    probe.start()
    probe.wait(PATIENCE)


def make_a_step(probe: SubnetworkProbingWidget) -> None:
    watching, step = watch(probe), len(probe.history) + 1
    probe.step()
    watching.until(lambda now: now.state == "paused" and now.step == step)


def with_three_runs(make_probe: MakeProbe, **arguments: Any) -> SubnetworkProbingWidget:
    """Two finished runs, the second renamed and hidden, and a third that is paused."""
    probe = make_probe(threads=1, **arguments)
    finish(probe)
    probe.reset()
    edit(probe, learning_rate="0.3")
    finish(probe)
    probe.restore_best()
    probe.reset()
    edit_run(probe, 2, name="quick")
    edit_run(probe, 2, shown=False)
    rename(probe, "my_scores")
    edit(probe, epochs="5")
    for _ in range(2):
        make_a_step(probe)
    edit(probe, learning_rate="0.2")
    probe._session.post(lambda trainer: None).result(PATIENCE)
    return probe


def is_back(loaded: SubnetworkProbingWidget, probe: SubnetworkProbingWidget) -> None:
    watch(loaded).until_state("paused")
    assert loaded.history == probe.history
    assert loaded.evaluations == probe.evaluations
    assert equal(loaded.prune_scores, probe.prune_scores)
    assert (loaded.config, loaded.official_edges) == (probe.config, probe.official_edges)
    assert loaded.panel.save_as == probe.panel.save_as
    assert loaded.as_code() == probe.as_code()
    assert len(loaded.runs) == len(probe.runs)
    for there, here in zip(loaded.runs, probe.runs, strict=True):
        assert (there.number, there.name, there.shown) == (here.number, here.name, here.shown)
        assert (there.result, there.config) == (here.result, here.config)
        assert there.history == here.history
        assert equal(there.prune_scores, here.prune_scores)
    status, expected = published(loaded), published(probe)
    for name in ("state", "step", "n_steps", "loss", "edges"):
        assert status[name] == expected[name], name
    assert live_lines(loaded.chart)["Loss"] == live_lines(probe.chart)["Loss"]
    assert loaded.panel.runs == probe.panel.runs


def test_all_of_a_widget_comes_back_and_goes_on_bit_by_bit(
    make_probe: MakeProbe,
    load: MakeProbe,
    model: PatchableModel,
    prompts: PromptDataLoader,
    tmp_path: Path,
) -> None:
    official = sorted(model.edges, key=str)[:4]
    own, copy = tmp_path / "own", tmp_path / "copy"
    probe = with_three_runs(
        make_probe, validation_dataloader=prompts, official_edges=official, folder=own
    )
    probe.save(own)
    probe.save(copy)
    # Again, one step on: what was saved may be saved to.
    make_a_step(probe)
    probe.save(copy)
    loaded = load(copy)
    is_back(loaded, probe)
    # The process of the one that kept itself is gone.
    probe.resume()
    probe.wait(PATIENCE)
    loaded.resume()
    loaded.wait(PATIENCE)
    assert equal(loaded.prune_scores, probe.prune_scores)
    assert [r.loss for r in loaded.history] == [r.loss for r in probe.history]
    again = load(own)
    assert again.state == "done"
    assert again.history == probe.history
    assert len(again.runs) == 2
    assert RunFolder(own / "run-3").status.state == "done"
    # And once more: the next run has a folder of its own.
    again.reset()
    assert again.runs[-1].name == "Run 3"
    finish(again)
    assert RunFolder(own / "run-4").status.state == "done"


def test_a_cell_that_is_run_again_keeps_what_is_in_its_folder(
    make_probe: MakeProbe, tmp_path: Path
) -> None:
    first = make_probe(folder=tmp_path)
    finish(first)
    first.close()
    second = make_probe(folder=tmp_path)
    assert second.state == "idle"
    assert [run.name for run in second.runs] == ["Run 1"]
    assert equal(second.runs[0].prune_scores, first.prune_scores)
    finish(second)
    assert RunFolder(tmp_path / "run-2").status.state == "done"
    panel = json.loads((tmp_path / "panel.json").read_text())
    assert ([run["folder"] for run in panel["runs"]], panel["current"]) == (["run-1"], "run-2")


def test_a_widget_that_was_closed_is_paused_in_its_folder(
    make_probe: MakeProbe, load: MakeProbe, tmp_path: Path
) -> None:
    probe = make_probe(folder=tmp_path)
    make_a_step(probe)
    probe.close()
    probe.wait(PATIENCE)
    loaded = load(tmp_path, validation_dataloader=None)
    watch(loaded).until_state("paused")
    assert loaded.history == probe.history


def test_save_in_the_panel_says_where_or_why_not(
    make_probe: MakeProbe, load: MakeProbe, tmp_path: Path
) -> None:
    probe = make_probe()
    save(probe, f" {tmp_path / 'mine'} ")
    assert published(probe)["message"] == f"Saved in the folder {tmp_path / 'mine'}."
    assert load(tmp_path / "mine", validation_dataloader=None).state == "idle"
    finish(probe)
    (tmp_path / "file").write_text("")
    save(probe, str(tmp_path / "file"))
    assert "wanted the path of a folder" in published(probe)["message"]
    for no_path in ("half a pair \ud800", "a\0b.html"):
        with pytest.raises(ArgumentError, match="folder: wanted the path of a folder"):
            probe.save(no_path)
    other = make_probe()
    finish(other)
    other.save(tmp_path / "other")
    before = {each: each.read_bytes() for each in (tmp_path / "other").rglob("*") if each.is_file()}
    save(probe, str(tmp_path / "other"))
    assert "another run" in published(probe)["message"]
    for content in (None, 3, "", "x" * 5000):
        save(probe, content)
    assert before == {each: each.read_bytes() for each in before}


def test_a_name_that_ends_in_html_is_a_page_of_the_run(
    make_probe: MakeProbe, tmp_path: Path
) -> None:
    probe = make_probe()
    with pytest.raises(StateError):
        probe.save(tmp_path / "early.html")
    assert not list(tmp_path.iterdir())
    finish(probe)
    assert probe.evaluation is not None, "measured by now"
    save(probe, f" {tmp_path / 'run.html'} ")
    assert published(probe)["message"] == f"Saved as the page {tmp_path / 'run.html'}."
    page = (tmp_path / "run.html").read_text()
    (data,) = re.findall(r'id="sp-data">(.*?)</script>', page)
    content = json.loads(data)
    n_steps = len(probe.history)
    assert content["chart"]["summary"].startswith(f"Chart of the training after {n_steps} steps.")
    assert [each["name"] for each in content["faithfulness"]["curves"]] == ["This run"]
    assert html.escape(probe.as_code()) in page
    assert str(tmp_path) not in page


def test_another_model_other_data_and_damaged_panels_are_refused(
    make_probe: MakeProbe, load: MakeProbe, tmp_path: Path
) -> None:
    probe = make_probe()
    finish(probe)
    probe.reset()
    finish(probe)
    probe.save(tmp_path)
    data: dict[str, Any] = {"validation_dataloader": None}
    for changes, said in (
        (
            {"model": patchable_model(model_kinds._native(attn_only=True, seed=7))},
            "^model.*weights",
        ),
        ({"dataloader": model_kinds.dataloader(2)}, "^dataloader"),
        ({"validation_dataloader": model_kinds.dataloader()}, "^validation_dataloader"),
    ):
        with pytest.raises(ArgumentError, match=said):
            load(tmp_path, **{**data, **changes})
    path = tmp_path / "panel.json"
    panel = json.loads(path.read_text())
    (run,) = panel["runs"]
    for key, value in (
        ("format", "sp_widget panel 2"),
        ("method", "nonsense"),
        ("parameters", {}),
        ("save_as", 3),
        ("official_edges", ["A9.9->nowhere"]),
        ("official_edges", [[]]),
        ("current", "../elsewhere"),
        ("current", "run-1"),
        ("runs", [run, run]),
        ("runs", [{**run, "folder": "/tmp"}]),
        ("runs", [{**run, "number": 0}]),
        ("runs", [{**run, "name": None}]),
        ("runs", None),
        ("more", 1),
    ):
        path.write_text(json.dumps({**panel, key: value}))
        with pytest.raises(ArgumentError, match="folder"):
            load(tmp_path, **data)
    path.write_text(json.dumps(panel))
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    (tmp_path / "run-1").rename(elsewhere)
    (tmp_path / "run-1").symlink_to(elsewhere)
    with pytest.raises(ArgumentError, match="a link"):
        load(tmp_path, **data)
    (tmp_path / "run-1").unlink()
    assert len(load(tmp_path, **data).runs) == 0
    with pytest.raises(ArgumentError, match=r"panel\.json"):
        load(tmp_path / "nothing", **data)


def test_a_widget_of_any_method_comes_back(
    make_probe: MakeProbe, load: MakeProbe, tmp_path: Path
) -> None:
    probe = make_probe(AcdcConfig(thresholds=(0.01,)), folder=tmp_path)
    make_a_step(probe)
    probe.save(tmp_path)
    with pytest.raises(StateError, match="under way"):
        load(tmp_path, validation_dataloader=None)
    probe.save(tmp_path / "copy")
    probe.resume()
    probe.wait(PATIENCE)
    loaded = load(tmp_path / "copy", validation_dataloader=None)
    watch(loaded).until_state("paused")
    loaded.resume()
    loaded.wait(PATIENCE)
    assert equal(loaded.prune_scores, probe.prune_scores)
