"""Steps in components of a heterogeneous job (``srun --het-group``, ``srun A : B``). Measured: docs/measured/hetjobs.md."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from attrs import define, evolve, frozen

from fakeslurm.commands.base import Given, Invocation, Refused, parse_options
from fakeslurm.commands.option_tables import srun_options
from fakeslurm.commands.srun_step import StepRun
from fakeslurm.commands.taskends import return_code
from fakeslurm.hetview import Seen, own_variables, views
from fakeslurm.model import Step
from fakeslurm.stepio import StepIO
from fakeslurm.steps import File

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.server import Caller

__all__ = ["HetPart", "HetRun", "groups_of", "parts_of", "parts_of_components", "unsupported", "variables_of_group"]

_WITH_COMMANDS = frozenset({"error", "het-group", "kill-on-bad-exit", "label", "output", "unbuffered", "wait"})
"""The options that may stand with several commands."""
_HIGHEST = 128
"""MAX_HET_JOB_COMPONENTS."""


@frozen
class HetPart:
    """A part of srun's command line."""

    groups: str | None
    """Of --het-group."""
    command: tuple[str, ...]
    options: tuple[Given, ...] = ()
    """Those of the parts before, and its own (measured)."""


def parts_of(command: Sequence[str], given: Sequence[Given], groups: str | None, release: str) -> list[HetPart]:
    """What stands between two ``:`` of srun's `command`; of a usual step one. `given` and `groups` are those of the first part.

    Raises `UsageError`, and `Refused` for what is not exact with several commands.
    """
    words, parts, options = list(command), list[HetPart](), tuple(given)
    while True:
        end = words.index(":") if ":" in words else len(words)
        parts.append(HetPart(groups, tuple(words[:end]), options))
        if end == len(words):
            break
        more, words = parse_options("srun", words[end + 1 :], srun_options(release), permute=False)
        options = (*options, *more)
        groups = next((one.value for one in reversed(more) if one.key == "het-group"), None)
    others = {one.key for one in options} - _WITH_COMMANDS
    if not parts[-1].command:
        raise Refused("srun: fatal: No command given to execute.\n", 1)
    if len(parts) > 1 and others:
        raise unsupported(f"--{min(others)} with COMMAND : COMMAND")
    if not all(part.command for part in parts):
        raise unsupported("COMMAND : COMMAND without a command each")
    return parts


def parts_of_components(parts: Sequence[HetPart], size: int) -> dict[int, HetPart]:
    """The part of the command line for each component, of `size`, that takes part. Raises `Refused`."""
    found: dict[int, HetPart] = {}
    for place, part in enumerate(parts):
        groups = {place} if part.groups is None else groups_of(part.groups)
        if groups is None:
            raise _errors(
                f"_parse_single_range: Invalid range: `{part.groups}'", f"Invalid --het-group value: {part.groups}"
            )
        if groups & found.keys():
            raise Refused("srun: fatal: Duplicate het groups in single srun not supported\n", 1)
        found |= dict.fromkeys(groups, part)
    highest = max(found)
    if highest >= size and len(found) == 1:
        raise _errors(f"Requested het-group offset exceeds highest hetjob index ({highest} > {size - 1})")
    if highest >= size:
        raise _errors(
            f"Attempt to run a job step with het group value of {highest}, "
            f"but the job allocation has maximum value of {size - 1}"
        )
    return found


def unsupported(what: str) -> Refused:
    return _errors(f"fakeslurm does not support {what}")


def _errors(*texts: str) -> Refused:
    return Refused("".join(f"srun: error: {text}\n" for text in texts), 1)


def groups_of(text: str) -> set[int] | None:
    """The components that ``0,2-3`` names; None when it says something else."""
    groups: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part, re.ASCII)
        if match is None or int(match[2] or match[1]) >= _HIGHEST:
            return None
        groups.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return groups


def variables_of_group(environ: Mapping[str, str], group: int) -> dict[str, str]:
    """The variables from which srun takes options: those with the component's number before those without, the leader's (measured)."""
    suffix = f"_HET_GROUP_{group}"
    return dict(environ) | {
        name.removesuffix(suffix): value for name, value in environ.items() if name.endswith(suffix)
    }


class _Signals(deque[int]):
    """Every part of the step hears what srun is sent."""

    def __init__(self, parts: Sequence[StepRun]) -> None:
        super().__init__()
        self._parts = parts

    def append(self, number: int) -> None:
        for part in self._parts:
            part.signals.append(number)


@define
class HetRun:
    """One step of several components: a `StepRun` in the job of each, by offset, which share their ranks' numbers and files."""

    caller: Caller
    engine: Engine
    invocation: Invocation
    parts: Sequence[StepRun]

    def __attrs_post_init__(self) -> None:
        for part in self.parts:
            part.together = self.parts

    @property
    def step(self) -> Step | None:
        return self.parts[0].step

    @property
    def signals(self) -> deque[int]:
        return _Signals(self.parts)

    def create(self, now: float) -> bool:
        """As `StepRun.create`, for all parts or none."""
        controller = self.engine.controller
        steps = controller.create_steps([(part.job_id, part.request) for part in self.parts], now)
        if steps is None:
            return False
        firsts = list(accumulate((step.ntasks for step in steps), initial=0))
        ranks = [
            rank
            for part, step, first in zip(self.parts, steps, firsts, strict=False)
            for rank in part.ranks(step, first)
        ]
        listeners = steps[0].ntasks  # srun feeds the first part alone (measured)
        makes = controller.settings.profile.makes_output_directories
        io = StepIO(ranks, self.caller.fds, self.invocation.cwd, self.invocation.umask, listeners, makes)
        try:
            io.prepare()
        except BaseException:
            for part, step in zip(self.parts, steps, strict=True):
                assert isinstance(step.step_id, int)
                controller.step_ended(part.job_id, step.step_id, [1 << 8] * step.ntasks, now)
            raise
        # Their output files are not emptied (measured).
        io.files = [
            evolve(file, flags=file.flags & ~os.O_TRUNC) if isinstance(file, File) else file for file in io.files
        ]
        for part, step, seen in zip(self.parts, steps, self._seen(steps), strict=True):
            part.launch(step, io, seen)
        io.started()
        return True

    def _seen(self, steps: Sequence[Step]) -> list[Seen]:
        jobs = [self.engine.controller.jobs[part.job_id] for part in self.parts]
        own = [
            own_variables(job, step, part.request, part.wishes.job_name)
            for part, step, job in zip(self.parts, steps, jobs, strict=True)
        ]
        return views(jobs, steps, own, self.invocation.environ)

    def follow(self) -> None:
        """See all parts through, each in its own time."""
        others = [threading.Thread(target=part.watch, name="fakeslurm-srun-part") for part in self.parts[1:]]
        for thread in others:
            thread.start()
        self.parts[0].watch()
        for thread in others:
            thread.join()
        if self.engine.closed:
            return
        self.parts[0].close_files()
        for part in self.parts:
            part.finish()

    @property
    def returncode(self) -> int:
        if any(part.refused for part in self.parts) or self.engine.closed:
            return 1
        statuses = [status for part in self.parts for status in part.statuses.values()]
        return return_code(dict(enumerate(statuses)))

    @property
    def wait_status(self) -> int:
        return max((part.wait_status for part in self.parts), key=lambda status: (status & 0x7F, status))
