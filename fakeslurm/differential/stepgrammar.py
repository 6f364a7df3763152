"""Jobs whose script runs several steps at once, each of which waits at a gate of its own: hypothesis strategies."""

from __future__ import annotations

from attrs import frozen
from hypothesis import strategies as st

from fakeslurm.differential.grammar import GATE, Submission

__all__ = ["StepJob", "step_gate", "step_jobs"]

_SHAPES = {
    1: (["-n2"], ["-n4"], ["-N1", "--ntasks-per-node=2"], ["-n2", "-c2"]),
    2: (["-w", "n[1-2]", "--ntasks-per-node=2"], ["-N2", "--ntasks-per-node=2"], ["-N2", "-n8"]),
    3: (["-N3", "--ntasks-per-node=2"], ["-w", "n[2-4]", "--ntasks-per-node=2"]),
}
"""By the number of nodes: each with two CPUs at least, so that there is room for two steps with `_EXACT` beside one another."""
_OTHERS: tuple[list[str], ...] = (
    [],
    [],
    ["-J", "name"],
    ["-t", "10"],
    ["--mem=1G"],
    ["--no-requeue"],
    ["-o", "out-%j"],
    ["-D", "sub"],
    ["-m", "block"],
)
_RANGE = "-N2-3 -n3 --exact"
_EXACT = {
    1: ("-n1 --exact", "-N1 -n1 --exact", "-c1 -n1 -N1"),
    2: (
        "-N2 -n2 --exact",
        "-n2 --exact -N2 -m cyclic",
        "-r1 -N1 -n1 --exact",
        "-n2 -N2 --exact -m plane=1",
        "-n2 -N2 -c1",
    ),
    3: ("-N3 -n3 --exact", _RANGE),
}
"""Options of steps that have a CPU of each of their nodes for themselves; by the number of nodes that they need at least."""
_SHARED = ("--overlap", "--overlap -n1", "--overlap -N1 -n1", "--overlap -n2 -O", "--overlap -c1 -n1")
_MORE = ("", "", "", "-l", "-J named", "-o step-%j-%s-%t", "-e err-%s", "-t5", "-u", "--mem=10")
_WAIT = """\
env -0 > "$SLURM_SUBMIT_DIR/env.$SLURM_JOB_ID.$SLURM_STEP_ID.$SLURM_PROCID"
: > "$1.at.$SLURM_PROCID"
set -- "$1" "$1".at.*
[ $(($# - 1)) -lt $SLURM_STEP_NUM_TASKS ] || : > "$1.at"
: < "$1.gate"
"""
"""What each task of a step does: it waits at the step's gate, and the last one that comes there says so."""


@frozen
class StepJob:
    """A submission, and the options of the steps that its script starts, one after the other, in the background."""

    submission: Submission
    steps: tuple[str, ...]


def step_gate(gate: str, number: int) -> str:
    """The name of a step's gate, by that of its job."""
    return f"{gate.removesuffix('.gate')}.s{number}.gate"


@st.composite
def step_jobs(draw: st.DrawFn) -> StepJob:
    """The script comes to its own gate when all its steps wait at theirs; then it waits for them."""
    nodes = draw(st.sampled_from(sorted(_SHAPES)))
    shape = draw(st.sampled_from(_SHAPES[nodes]))
    exact = [options for least, some in _EXACT.items() if least <= nodes for options in some]
    steps = draw(st.lists(st.sampled_from(exact), max_size=2))
    if _RANGE in steps:  # it may have both CPUs of a node
        steps = [_RANGE]
    steps += draw(st.lists(st.sampled_from(_SHARED), min_size=0 if steps else 1, max_size=3 - len(steps)))
    steps = [f"{options} {draw(st.sampled_from(_MORE))}".strip() for options in draw(st.permutations(steps))]
    lines = [f"wait_at='{_WAIT}'"]
    for number, options in enumerate(steps):
        gate = f"{GATE}.s{number}"
        lines.append(f'srun {options} sh -c "$wait_at" step {gate} & p{number}=$!')
        lines.append(f"until [ -e {gate}.at ]; do sleep 0.05; done")
    lines.append(f": > {GATE}.at; : < {GATE}.gate")
    lines += [f"wait $p{number}; echo {number} $?" for number in range(len(steps))]
    script = "\n".join(["#!/bin/sh", *lines, ""])
    submission = Submission((*shape, *draw(st.sampled_from(_OTHERS))), {}, script)
    return StepJob(submission, tuple(steps))
