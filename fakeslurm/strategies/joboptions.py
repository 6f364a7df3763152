"""What jobs ask for: options of slurmkit, arguments of sbatch, batch scripts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from slurmkit.slurm.options import OPTIONS, normalize, render_directives

__all__ = ["job_options", "sbatch_arguments", "scripts"]

_LINES = (
    *(
        "true",
        "sleep 0.01",
        "echo out; echo err >&2",
        "false || true",
        "cat <<END\n$SLURM_JOB_ID\nEND",
        "# nothing",
        "",
    ),
    *(": ${SLURM_JOB_NODELIST:?}", "cd /", "set -e", "(sleep 0.01) & wait", "printf '%s\\n' \"$0\""),
)
_ENDS = ("", "exit 0", "exit 3", "kill -9 $$", "exec true", "exec sleep 0.01")


@st.composite
def job_options(
    draw: st.DrawFn, *, nodes: int = 4, cpus_per_node: int = 4, memory_per_node: int = 2000
) -> dict[str, Any]:
    """Options as ``@task`` and ``Cluster.submit`` take them: ``{"nodes": 2, "ntasks": 3, "time": timedelta(minutes=5)}``.

    The job fits into a cluster of so many equal nodes, and starts there sooner or later. Values come in every type that slurmkit takes for
    them. Shrinks to ``{}``.
    """
    options = draw(_sizes(nodes, cpus_per_node))
    minutes = st.integers(1, 10_000)
    values: Mapping[str, SearchStrategy[Any]] = {
        "time": st.one_of(minutes, minutes.map(lambda many: timedelta(minutes=many)), _limits()),
        "mem": st.one_of(st.integers(0, memory_per_node), st.integers(1, memory_per_node).map("{}M".format)),
        "job_name": _names(),
        "exclusive": st.booleans(),
        "requeue": st.booleans(),
        "nice": st.integers(-100, 100),
        "open_mode": st.sampled_from(["append", "truncate"]),
        "begin": st.sampled_from(["now", "now+1minute", timedelta(seconds=30)]),
        "signal": st.sampled_from(["USR1", "B:TERM@30", "10@60"]),
        "overcommit": st.booleans(),
        "spread_job": st.booleans(),
        "wait_all_nodes": st.booleans(),
        "export": st.sampled_from(["ALL", "NONE", ["ALL", "A=1"]]),
        "distribution": st.sampled_from(["block", "cyclic", "block:cyclic"]),
    }
    for name in draw(st.lists(st.sampled_from(list(values)), max_size=4, unique=True)):
        options[name] = draw(values[name])
    if "cpus_per_task" in options:
        options.pop("overcommit", None)  # more tasks than nodes would wait for ever in 24.11
    return options


@st.composite
def _sizes(draw: st.DrawFn, nodes: int, cpus_per_node: int) -> dict[str, Any]:
    many = draw(st.integers(1, nodes))
    each = draw(st.integers(1, cpus_per_node))
    cpus = draw(st.integers(1, cpus_per_node // each))
    size: dict[str, Any] = {}
    if draw(st.booleans()):
        size["nodes"] = draw(st.sampled_from([many, str(many), f"{many}-{nodes}"]))
    fits = many if "nodes" in size else 1
    tasks = draw(st.sampled_from(["", "ntasks", "ntasks_per_node"]))
    if tasks:
        size[tasks] = each if tasks == "ntasks_per_node" else draw(st.integers(fits, fits * each))
    if draw(st.booleans()):
        size["cpus_per_task"] = cpus
    return size


def _names() -> SearchStrategy[str]:
    """Names that a shell, a directive or a table might stumble over."""
    return st.text(st.sampled_from("abz09 _-.:=#'\"\\$%&;é日"), min_size=1, max_size=12)


def _limits() -> SearchStrategy[str]:
    return st.sampled_from(["5", "90:00", "1:30:00", "2-0", "1-02:30", "1-02:30:15", "UNLIMITED"])


def sbatch_arguments(
    *, nodes: int = 4, cpus_per_node: int = 4, memory_per_node: int = 2000
) -> SearchStrategy[list[str]]:
    """The same as arguments of sbatch, in their long and short forms: ``["--nodes=2", "-n", "3"]``; the script is not among them."""
    options = job_options(nodes=nodes, cpus_per_node=cpus_per_node, memory_per_node=memory_per_node)
    return st.builds(_as_arguments, options, st.booleans())


def _as_arguments(options: Mapping[str, Any], short: bool) -> list[str]:
    found: list[str] = []
    for name, value in normalize(options, where="sbatch_arguments").items():
        option = OPTIONS[name]
        if value is True:
            found.append(option.flag)
        elif short and option.short and not option.optional:
            found += [f"-{option.short}", value]
        else:
            found.append(f"{option.flag}={value}")
    return found


@st.composite
def scripts(draw: st.DrawFn, *, nodes: int = 4, cpus_per_node: int = 4, memory_per_node: int = 2000) -> str:
    """A whole batch script that needs nothing but a POSIX shell and ends within a moment, with the directives of a job that fits.

    Shrinks to ``#!/bin/sh``.
    """
    options = draw(job_options(nodes=nodes, cpus_per_node=cpus_per_node, memory_per_node=memory_per_node))
    lines = draw(st.lists(st.sampled_from(_LINES), max_size=4))
    end = draw(st.sampled_from(_ENDS))
    return "\n".join(["#!/bin/sh", *render_directives(normalize(options, where="scripts")), *lines, end, ""])
