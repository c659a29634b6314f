"""What an operator is told to run.

A step says everything that a backend needs to know about its command. No operator derives anything from the command
line.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, BaseOperatorLink, Context

from vitalprep_airflow.page.links import PageLink

__all__ = ["Step", "StepOperator", "map_index"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One worker command of the pipeline.

    Parameters
    ----------
    command : str
        The worker's command: ``harmonize``, ``build``, ``publish`` or ``validate``.
    arguments : tuple of str
        Its command line, without ``--json``. Airflow renders templates in them.
    name : str
        Names the step in Airflow's grid if the task is mapped. Never rendered as a template.
    interruptible : bool
        Whether the step may lose its machine: it resumes from the receipts, so a backend may run it on spot capacity.
    output_uri : str
        The run's output location, for backends whose service must be told it. Airflow renders templates in it.
    """

    command: str
    arguments: tuple[str, ...]
    name: str = ""
    interruptible: bool = False
    output_uri: str = ""

    @classmethod
    def of(cls, step: Step | Mapping[str, Any]) -> Step:
        """Return a step from itself or from the dict that `mapped` made of it."""
        if isinstance(step, Step):
            return step
        return cls(**{**step, "arguments": tuple(step["arguments"])})

    def mapped(self) -> dict[str, Any]:
        """Return the operator's keyword arguments for ``expand_kwargs``, as JSON that an XCom can hold."""
        return {"step": asdict(self) | {"arguments": list(self.arguments)}}

    @property
    def command_line(self) -> list[str]:
        """The words after ``vitalprep``."""
        return [self.command, *self.arguments]


def map_index(context: Context) -> int:
    """Return the position of a mapped task among its siblings; -1 if the task is not mapped."""
    index = context["ti"].map_index
    return -1 if index is None else index


class StepOperator(BaseOperator):
    """Base class of each backend's operator: holds the step and lets Airflow render it.

    Airflow renders only the operator's own fields, so the templated parts of the step are fields beside it.

    :param step: what to run, or the dict of it that a mapped task gets from an XCom.
    """

    template_fields: Sequence[str] = ("arguments", "output_uri")
    template_ext: Sequence[str] = ()  # an argument that ends in .json is not a file with a template
    template_fields_renderers: ClassVar[dict[str, str]] = {}
    operator_extra_links: Collection[BaseOperatorLink] = (PageLink(),)

    def __init__(self, *, step: Step | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._step = Step.of(step)
        self.arguments = list(self._step.arguments)
        self.output_uri = self._step.output_uri

    @property
    def step(self) -> Step:
        """What to run; once the task executes, with its templates rendered."""
        return replace(self._step, arguments=tuple(self.arguments), output_uri=self.output_uri)
