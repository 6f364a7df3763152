"""--constraint: which nodes have the features that a job asks for. Measured: docs/measured/resources.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fakeslurm import messages
from fakeslurm.messages import SlurmError, unsupported
from fakeslurm.model import Node

__all__ = ["check_known", "check_supported", "satisfies"]

_PLAIN = re.compile(r"[^&|\[\]()*]+(?:&[^&|\[\]()*]+)*|[^&|\[\]()*]+(?:\|[^&|\[\]()*]+)*")
"""Features joined by ``&`` or by ``|``."""


def check_supported(constraint: str | None) -> None:
    """Raises SlurmError for counts, brackets, parentheses, and ``&`` together with ``|``, which only Slurm knows."""
    simple = constraint.strip("&|") if constraint else ""
    if constraint and not _PLAIN.fullmatch(simple):
        raise unsupported(f"--constraint={constraint}")


def check_known(constraint: str | None, nodes: Sequence[Node]) -> None:
    """Raises SlurmError for a feature that no node has."""
    if constraint and not set(_features(constraint)) <= {feature for node in nodes for feature in node.features}:
        raise SlurmError(messages.INVALID_FEATURE)


def satisfies(constraint: str | None, node: Node) -> bool:
    """Whether a job with this constraint may run on the node."""
    if not constraint:
        return True
    wanted = _features(constraint)
    return any(one in node.features for one in wanted) if "|" in constraint else set(wanted) <= set(node.features)


def _features(constraint: str) -> list[str]:
    """The words; Slurm does not mind an operator at the end, but one at the beginning."""
    return re.split(r"[&|]", constraint.removesuffix("&"))
