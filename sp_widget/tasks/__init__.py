"""Models with prompts and known answers that come with the package, and standard tasks of the
literature on a model that you bring."""

from sp_widget.tasks.registry import load, names, standard_names
from sp_widget.tasks.task import Task

__all__ = ["Task", "load", "names", "standard_names"]
