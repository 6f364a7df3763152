"""`BaseCallback`, the hook table, and the loci at which a hook runs."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from slurmkit.callbacks.contexts import (
        CompletedContext,
        JobStatusUpdatedContext,
        PackagingBeginContext,
        PackagingEndContext,
        RunBeginContext,
        RunEndContext,
        SubmitBeginContext,
        SubmitEndContext,
    )

__all__ = ["HOOKS", "BaseCallback", "ExecutionLocus", "Hook", "RunHooksOn"]

RunHooksOn = Literal["all", "node", "first"]


class ExecutionLocus(enum.Enum):
    """Where a hook runs: in the process that submits, inside the job, or in both."""

    CLIENT = "client"
    RUNNER = "runner"
    BOTH = "both"


class Hook(NamedTuple):
    """One row of the hook table."""

    name: str
    default: ExecutionLocus
    allowed: tuple[ExecutionLocus, ...]


_CLIENT, _RUNNER, _BOTH = ExecutionLocus.CLIENT, ExecutionLocus.RUNNER, ExecutionLocus.BOTH

HOOKS: Mapping[str, Hook] = MappingProxyType(
    {
        hook.name: hook
        for hook in (
            Hook("on_begin_package_ctx", _CLIENT, (_CLIENT,)),
            Hook("on_end_package_ctx", _CLIENT, (_CLIENT,)),
            Hook("on_begin_submit_job_ctx", _CLIENT, (_CLIENT,)),
            Hook("on_end_submit_job_ctx", _CLIENT, (_CLIENT,)),
            Hook("on_begin_run_job_ctx", _RUNNER, (_RUNNER,)),
            Hook("on_end_run_job_ctx", _RUNNER, (_RUNNER,)),
            Hook("on_job_status_update_ctx", _CLIENT, (_CLIENT,)),
            Hook("on_completed_ctx", _BOTH, (_CLIENT, _RUNNER, _BOTH)),
        )
    }
)
"""Every hook in the order of a job's life, with its default locus and the loci it can have."""


class BaseCallback:
    """Follow a job through its life by overriding any of the eight hooks.

    Class or instance attributes:

    - `execution_loci`: hook name -> `ExecutionLocus`, for the hooks that shall not run at their default locus. Mappings of base classes are
      merged, the most derived class wins. Checked when the class is defined.
    - `requires_pickling`: False on a callback that must never leave the client. Its `on_completed_ctx` then runs on the client only.
    - `poll_interval_secs`: seconds between two `on_job_status_update_ctx` calls that are neither a transition nor terminal; None: no polling.
    - `run_hooks_on`: which ranks call the two run hooks: ``"all"``, ``"node"`` (local rank 0 of every node) or ``"first"`` (rank 0).
    """

    execution_loci: ClassVar[Mapping[str, ExecutionLocus]] = MappingProxyType({})
    requires_pickling: bool = True
    poll_interval_secs: float | None = None
    run_hooks_on: RunHooksOn = "all"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_loci(cls.__dict__.get("execution_loci", {}), where=f"{cls.__qualname__}.execution_loci")

    def on_begin_package_ctx(self, ctx: PackagingBeginContext) -> None:
        """Before the task is packaged (client)."""

    def on_end_package_ctx(self, ctx: PackagingEndContext) -> None:
        """After the task was packaged (client)."""

    def on_begin_submit_job_ctx(self, ctx: SubmitBeginContext) -> None:
        """Before sbatch is called (client)."""

    def on_end_submit_job_ctx(self, ctx: SubmitEndContext) -> None:
        """After sbatch accepted the job (client)."""

    def on_begin_run_job_ctx(self, ctx: RunBeginContext) -> None:
        """In the job, before the function is called (runner)."""

    def on_end_run_job_ctx(self, ctx: RunEndContext) -> None:
        """In the job, after the function returned, raised or exited (runner)."""

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        """A scheduler snapshot: at the callback's interval, at each transition and at the end (client)."""

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        """The job is over: on the runner while the job script still runs, on the client once Slurm reports a terminal state."""


def check_loci(loci: object, *, where: str) -> None:
    """Raise TypeError unless `loci` maps hooks to loci that they can have; the message lists what is valid."""
    if not isinstance(loci, Mapping):
        raise TypeError(f"{where} must be a mapping of hook name to ExecutionLocus, not {loci!r}")
    for name, locus in loci.items():
        hook = HOOKS.get(name)
        if hook is None:
            raise TypeError(f"{where}: unknown hook {name!r}; the hooks are {', '.join(HOOKS)}")
        if not isinstance(locus, ExecutionLocus) or locus not in hook.allowed:
            valid = ", ".join(f"ExecutionLocus.{allowed.name}" for allowed in hook.allowed)
            raise TypeError(f"{where}: {name} cannot run at {locus!r}; valid: {valid}")


def overrides(callback: BaseCallback, hook: str) -> bool:
    """True when `callback` does something at `hook`: its class, or the instance itself, replaces the base method."""
    return hook in vars(callback) or getattr(type(callback), hook) is not getattr(BaseCallback, hook)


def locus_of(callback: BaseCallback, hook: str) -> ExecutionLocus:
    """The locus that is in force for `hook`: the instance's mapping, else the most derived class that names the hook, else the default."""
    mine = vars(callback).get("execution_loci")
    if mine is not None:
        check_loci(mine, where=f"execution_loci of {callback!r}")
        if hook in mine:
            return ExecutionLocus(mine[hook])
    for cls in type(callback).__mro__:
        loci = cls.__dict__.get("execution_loci", {})
        if hook in loci:
            return ExecutionLocus(loci[hook])
    return HOOKS[hook].default
