"""The configuration of one case: sources that depend on a cell which the case does not have take no part."""

from __future__ import annotations

from collections.abc import Mapping

from vitalprep.contract.config import Config

__all__ = ["of_case"]


def of_case(config: Config, cells: Mapping[str, str]) -> Config:
    """Return a configuration without the sources whose condition a case does not meet.

    Parameters
    ----------
    cells : mapping of str to str
        The case's mapped cells by column, as the plan has them.
    """
    if not any(source.where for item in config.inputs for source in item.sources):
        return config
    inputs = tuple(
        item.model_copy(
            update={
                "sources": tuple(source for source in item.sources if source.where is None or source.where.holds(cells))
            }
        )
        for item in config.inputs
    )
    return config.model_copy(update={"inputs": inputs})
