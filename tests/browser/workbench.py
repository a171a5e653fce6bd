"""A notebook in JupyterLab with a task loaded, where each test gets a widget of its own."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.notebook import NotebookPage
from tests.browser.panel import SOON, Panel
from tests.browser.server import JupyterServer

SETUP = """
from dataclasses import replace
import sp_widget as sp
task = sp.tasks.load("tiny-ioi")
print(task.model.n_edges)
"""
N_EDGES = 479
"""Of the task's model."""
N_BATCHES = 8
"""Of the task's training data: steps of an epoch."""

# One answer is so large that the loss of the last batch is beyond a 32-bit number.
BROKEN_LOADER = """import torch
batches = list(task.train_loader)
clean, corrupt, wrong_answers = (
    torch.cat([getattr(batch, name) for batch in batches])
    for name in ("clean", "corrupt", "wrong_answers")
)
answers = task.model(clean)[:, -1].detach()
answers[-1, 0] = 1e30
dataset = sp.PromptDataset(clean, corrupt, answers, wrong_answers)
broken_loader = sp.PromptDataLoader(dataset, batch_size=32)
print(len(broken_loader))"""


class Workbench:
    """Widgets are made in new cells at the end of the notebook, in the variable `probe`."""

    def __init__(self, page: Page, server: JupyterServer) -> None:
        self.page = page
        path = server.new_notebook("workbench.ipynb", SETUP.strip())
        self.notebook = NotebookPage(page, server, path, "lab")
        self.notebook.open()
        assert self.notebook.run(0) == str(N_EDGES)

    def new_panel(
        self,
        *,
        loader: str = "task.train_loader",
        save_as: str = "prune_scores",
        **config: object,
    ) -> Panel:
        """A new widget for the task's config with some `config` changed."""
        changes = "".join(f", {name}={value!r}" for name, value in config.items())
        cell = self.notebook.append_and_begin(
            "probe = sp.SubnetworkProbingWidget(\n"
            "    task.model,\n"
            f"    {loader},\n"
            f"    config=replace(task.config{changes}),\n"
            f"    save_as={save_as!r},\n"
            ")\n"
            "probe"
        )
        self.notebook.finish(cell)
        return self.panel_in(cell)

    def panel_in(self, cell: int) -> Panel:
        """The view that is displayed by a cell."""
        panel = Panel(self.notebook.outputs(cell))
        expect(panel.region).to_be_visible(timeout=SOON)
        return panel

    def clear(self) -> None:
        """Stop what the last widget does, and delete every cell but the first."""
        self.notebook.evaluate("probe.close()")
        self.notebook.select(1)
        self.page.keyboard.press("Shift+End")
        self.page.keyboard.press("d")
        self.page.keyboard.press("d")
        expect(self.notebook.cells).to_have_count(1)
