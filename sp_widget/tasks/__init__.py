"""Bundled models and prompts, small enough for every test and tutorial."""

from sp_widget.tasks.registry import load, names
from sp_widget.tasks.task import Task

__all__ = ["Task", "load", "names"]
