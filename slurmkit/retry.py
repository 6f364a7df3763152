"""What becomes of an array's dependencies, options and callbacks when it is submitted again; of an attached one by its directory alone."""

from __future__ import annotations

import functools
import logging
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slurmkit import jobdir
from slurmkit.array import JobArray
from slurmkit.dependencies import UNKNOWN, Dependency, When, combined, is_satisfied, outstanding
from slurmkit.errors import JobDirectoryError
from slurmkit.prepare import Options
from slurmkit.slurm.jobid import render_indices
from slurmkit.task import Task, as_task

if TYPE_CHECKING:
    from slurmkit.cluster import Cluster

__all__ = ["Waits", "begun", "of_record", "options_again", "recorded_options", "shipped_before", "stand_in", "unmet"]

log = logging.getLogger("slurmkit.job")

Waits = Sequence[tuple[When, Callable[[], Dependency]]]
"""What an array waits for. The jobs are made when they are needed: an attached array has to attach them first."""


def begun(job_dir: Path) -> frozenset[int]:
    """The items that have begun, by the directories which they make then. Raises `JobDirectoryError`."""
    try:
        return frozenset(int(path.name) for path in job_dir.iterdir() if path.name.isdecimal())
    except FileNotFoundError:
        raise JobDirectoryError(
            f"the job directory {str(job_dir)!r} is gone, and with it the items: nothing of it can be submitted again"
        ) from None
    except OSError as error:
        raise JobDirectoryError(f"cannot read {str(job_dir)!r}: {error.strerror}") from error


def unmet(
    waits: Waits, numbers: Sequence[int], begun: AbstractSet[int], where: str
) -> tuple[list[Dependency], Sequence[int]]:
    """Those of `waits` that may not have come true, and those of the items `numbers` for which they can.

    Where an item has begun, they had: for it, and for all where they are about the array as a whole. Slurm may have forgotten those jobs since
    then, and refuse to wait for them. An item whose corresponding one has failed is left out, with a warning. Raises `JobDependencyFailed` when
    that is so of all, `UnknownJob`.
    """
    left = [make() for when, make in waits if when != "corr" and not begun]
    for when, make in waits:
        waiting = set(numbers) - begun
        if when != "corr" or not waiting:
            continue
        wait = make()
        if not isinstance(wait.job, JobArray):
            left.append(wait)
            continue
        corresponding = {
            number: (job, state)
            for job, state in zip(wait.job, wait.job._ends_by_now(), strict=False)
            if (number := job.index) is not None and number in waiting
        }
        if any(state is None for _, state in corresponding.values()):
            left.append(wait)
            continue
        failed = {n: job for n, (job, state) in corresponding.items() if not is_satisfied("corr", str(state))}
        unknown = [job for job, state in corresponding.values() if state == UNKNOWN]
        if failed and (unknown or len(failed) == len(numbers)):
            outstanding([Dependency("ok", job) for job in (*unknown, *failed.values())], where)
        if failed:
            log.warning(
                "items %s are not submitted again: those of %r for which they wait have not completed",
                render_indices(sorted(failed)),
                wait.job,
            )
            numbers = [number for number in numbers if number not in failed]
    return left, numbers


def options_again(options: Options, begun: AbstractSet[int]) -> Options:
    """Those of the first time. Of an option ``dependency`` that has come true "singleton" is left, which is about other jobs each time."""
    option = options.get("dependency")
    if not begun or not isinstance(option, str):
        return options
    kept = {name: value for name, value in options.items() if name != "dependency"}
    return {**kept, "dependency": "singleton"} if "singleton" in option.split(",") and "?" not in option else kept


def of_record(cluster: Cluster, after: Iterable[Mapping[str, Any]]) -> Waits:
    """From ``job.json``."""
    return [(one["when"], functools.partial(_attached, cluster, one)) for one in after]


def _attached(cluster: Cluster, record: Mapping[str, Any]) -> Dependency:
    """Raises `JobDirectoryError`, `UnknownJob`, `SchedulerError`."""
    if record["job_dir"] is None:
        return Dependency(record["when"], record["job_id"])
    path = Path(record["job_dir"])
    try:
        if path.name.isdecimal():  # that of an element, which may not have begun
            return Dependency(record["when"], cluster.attach(path.parent)._named(record["job_id"]))
        return Dependency(record["when"], cluster.attach(path))
    except JobDirectoryError as error:
        error.add_note(f"The array to be submitted again waits for that job, {record['job_id']}.")
        raise


def recorded_options(record: Mapping[str, Any]) -> Options:
    """The options in ``job.json`` as they were before the dependencies of ``after``, and what is slurmkit's own, came to them."""
    ids = [Dependency(one["when"], job_id) for one in record["after"] for job_id in one["job_id"].split(",")]
    options = {
        name: value for name, value in record["options"].items() if name not in ("array", "comment", "error", "output")
    }
    if options.get("kill_on_invalid_dep") == "yes":
        del options["kill_on_invalid_dep"]
    if "dependency" in options:
        own = options.pop("dependency").removesuffix(combined(None, ids, "") or "").removesuffix(",")
        options |= {"dependency": own} if own else {}
    return options


def shipped_before(job_dir: Path) -> list[dict[str, Any]]:
    """The entries of ``callbacks.pkl``, which are none where there is no such file. Raises `JobDirectoryError`."""
    path = job_dir / jobdir.CALLBACKS
    try:
        entries: list[dict[str, Any]] = pickle.loads(jobdir.read_trusted(path))
    except FileNotFoundError:
        return []
    except (pickle.UnpicklingError, EOFError) as error:
        raise JobDirectoryError(f"{str(path)!r} is damaged: {error}") from error
    return entries


def stand_in(record: Mapping[str, Any]) -> Task[..., Any]:
    """The task of an attached array, whose function is in its directory: the job loads it, while the client need not have its modules."""

    def function() -> None:
        raise RuntimeError(f"{record['module']}.{record['function']} is not loaded here: its array was attached")

    function.__module__ = record["module"]
    function.__qualname__ = record["function"]
    function.__name__ = record["function"].rpartition(".")[2]
    return as_task(function).with_options(max_requeues=record["max_requeues"])
