# ruff: noqa: PTH110, PTH118, PTH119, PTH120  (pathlib is slow to import)
"""The worker: one rank. Runs the run hooks and the function, and writes the rank's result.

Of slurmkit it imports the job directory; the rest only when the job needs it.
"""

from __future__ import annotations

import os
import pickle
import sys

from slurmkit import jobdir, stopping
from slurmkit.runner.leader import (
    CALL_VARIABLE,
    attempt,
    deaf,
    do_nothing,
    handled,
    hostname,
    job_time,
    warning_signal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from typing import Any, BinaryIO

    from slurmkit.runner.hooks import RunHooks
else:
    import _signal as signal  # see `slurmkit.runner.leader`

TERMINATED = 128 + signal.SIGTERM
INTERRUPTED = 128 + signal.SIGINT


class Terminated(SystemExit):
    """SIGTERM, as an exception, so that ``finally`` and the end hook run. A SystemExit: event loops and pools let it pass."""


class Warned(SystemExit):
    """The warning signal, as an exception, for a `slurmkit.Checkpoint` that can be requeued."""


class _Signals:
    """Turns the first SIGTERM into `Terminated`, at once or, while hooks are called, after them; not in a function that asks `should_stop`.

    The warning signal is there for who asks; it interrupts what `interrupts` by it, once.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.deferring = False
        self.pending = False
        self.interrupts = False
        self.pid = os.getpid()
        self.warning = warning_signal(job)
        self.handled = handled(job)

    def install(self, warned: str | None) -> None:
        signal.signal(signal.SIGTERM, self._on_sigterm)
        if self.warning is not None:
            signal.signal(self.warning, self._on_warning)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.handled)
        if self.warning is not None and warned is not None and os.path.exists(warned):
            stopping.told = True

    def _on_warning(self, number: int, frame: object) -> None:
        if os.getpid() != self.pid:  # a process that the function has forked: it is not told, and lives on
            return
        stopping.told = True
        if self.interrupts and not stopping.asked:
            self.interrupts = False
            raise Warned(0)

    def expect(self) -> None:
        """The function is one that the warning interrupts: now, if it has come already."""
        if stopping.told:
            raise Warned(0)
        self.interrupts = True

    def _on_sigterm(self, number: int, frame: object) -> None:
        if os.getpid() != self.pid:  # a process that the function has forked, and that a pool ends: it just dies
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        # Slurm signals all processes of the job, and the leader hands its own signal on: this is one and the same.
        signal.signal(signal.SIGTERM, do_nothing)
        self.pending = True
        self.interrupts = False
        stopping.told = True
        if not self.deferring and not stopping.asked:
            raise Terminated(TERMINATED)

    def defer(self) -> None:
        self.deferring = True

    def resume(self) -> None:
        self.deferring = False
        if self.pending:
            raise Terminated(TERMINATED)

    def ignore(self) -> None:
        """The function has ended: its result is written, whatever comes. What the function has set up itself stays."""
        self.interrupts = False
        for number, ours in ((signal.SIGTERM, self._on_sigterm), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) == ours:
                signal.signal(number, do_nothing)


def run(job_dir: str, job: Mapping[str, Any], *, rank: int, local_rank: int, warned: str | None = None) -> int:
    """Call the function as one rank; the process's exit code. `warned`: a file that is there when the warning signal has come already."""
    start_time = job_time(os.environ)
    pid = os.getpid()
    # Now: the function may change the environment.
    mine = attempt(os.environ)
    place = {"hostname": hostname(os.environ), "attempt": mine}
    signals = _Signals(job)
    hooks: RunHooks | None = None
    value: Any = None
    call: _Call | None = None
    outcome: dict[str, Any]
    try:
        try:
            signals.install(warned)
            if job["callbacks"]:
                from slurmkit.runner.hooks import RunHooks

                signals.defer()
                hooks = RunHooks(job_dir, job, start_time, rank, local_rank)
                hooks.begin()
                signals.resume()
            call = _Call(job_dir, job, rank, mine)
            if call.is_checkpoint and call.may_go_on:
                signals.expect()
            value = call()
        finally:
            signals.ignore()
    except BaseException as error:  # noqa: BLE001  (the job's end, whatever it is, is what has to be reported)
        outcome, error = _how_to_go_on(call, error)
        _tell(rank, outcome, error)
    else:
        outcome = _outcome("ok", 0)
    _flush()
    if os.getpid() != pid:  # a process that the function has forked, and that came back here: it is not the rank
        return int(outcome["exit_code"])
    outcome = _write(
        job_dir, rank, outcome, value, place | {"start_time": start_time, "end_time": job_time(os.environ)}
    )
    if hooks is not None:
        hooks.end(outcome)
        _flush()
    deaf()
    return int(outcome["exit_code"])


class _Call:
    """What this attempt calls: what the job was submitted with, or what an earlier attempt has left to go on with."""

    def __init__(self, job_dir: str, job: Mapping[str, Any], rank: int, attempt: int) -> None:
        self.job_dir, self.rank, self.attempt = job_dir, rank, attempt
        self.limit: int | None = job.get("max_requeues")
        left = os.environ.get(CALL_VARIABLE)
        shared = jobdir.shared_dir(job_dir, job)
        if left is None:
            self.function = _load(shared, jobdir.FUNCTION)
            self.args, self.kwargs = _arguments(job_dir, job)
        else:
            from slurmkit import checkpoints

            parts = checkpoints.read_call(job_dir, rank, int(left))
            written = parts["function"]
            self.function = _load(shared, jobdir.FUNCTION) if written is None else pickle.loads(written)
            self.args, self.kwargs = (pickle.loads(parts[name] or b"") for name in ("args", "kwargs"))
        self.injected: dict[str, Any] = {}
        if job["inject"]:
            from slurmkit.runtime import current_job_context

            self.injected = dict.fromkeys(job["inject"], current_job_context())
        self.is_checkpoint = hasattr(type(self.function), "checkpoint")

    def __call__(self) -> Any:
        return self.function(*self.args, **{**self.kwargs, **self.injected})

    @property
    def may_go_on(self) -> bool:
        """Whether the task may have the job started again."""
        return self.limit is not None and self.attempt < self.limit

    def checkpoint(self) -> Any:
        return self.function.checkpoint(*self.args, **{**self.kwargs, **self.injected})

    def leave(self, requeue: Any) -> None:
        """Write what the next attempt calls. Raises `NotPicklable`, `JobDirectoryError`."""
        from slurmkit import checkpoints, serialize

        same = not requeue.args and not requeue.kwargs
        args, kwargs = serialize.dump_arguments(*((self.args, self.kwargs) if same else (requeue.args, requeue.kwargs)))
        function = serialize.dump_function(self.function) if self.is_checkpoint else None
        checkpoints.write_call(self.job_dir, self.rank, self.attempt, function, args, kwargs)


def _arguments(job_dir: str, job: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    if "array" not in job:
        return _load(job_dir, jobdir.ARGS), _load(job_dir, jobdir.KWARGS)
    from slurmkit import items

    item = items.read(jobdir.shared_dir(job_dir, job), int(os.path.basename(job_dir)))
    return (item if job["array"]["starred"] else (item,)), {}


def _load(job_dir: str, name: str) -> Any:
    with jobdir.open_trusted(os.path.join(job_dir, name)) as file:
        return pickle.load(file)


def _how_to_go_on(call: _Call | None, error: BaseException) -> tuple[dict[str, Any], BaseException]:
    """The outcome of a function that has raised `error`, once what the next attempt needs is written; and the error to be told."""
    interrupted = isinstance(error, Terminated | Warned)
    lifecycle = sys.modules.get("slurmkit.lifecycle")
    asks = lifecycle is not None and isinstance(error, lifecycle.Requeue)
    if call is None or not (asks or (interrupted and call.is_checkpoint)):
        return _outcome_of(error), error
    from slurmkit.lifecycle import Requeue

    try:
        wanted = error if asks else call.checkpoint()
        if not isinstance(wanted, Requeue):
            raise TypeError(f"checkpoint() returned {wanted!r}; valid: a slurmkit.Requeue")
        call.leave(wanted)
    except BaseException as second:  # noqa: BLE001  (the user's own checkpoint(), or what cannot be pickled)
        return _outcome_of(second), second
    if call.may_go_on:
        code = TERMINATED if isinstance(error, Terminated) else 0
        message = "the task asked to be requeued"
        return _outcome(
            "requeue", code, error_type="Requeue", error_message=message, traceback=_traceback(error)
        ), wanted
    if interrupted:
        return _outcome_of(error), error
    if call.limit is None:
        reason = "max_requeues is not set: say how often with @task(max_requeues=N)"
    else:
        reason = f"this was attempt {call.attempt}, and max_requeues is {call.limit}"
    outcome = _outcome_of(error)
    return outcome | {"error": None, "error_message": f"the task asked to be requeued, but {reason}"}, error


def _outcome(status: str, exit_code: int, **error: Any) -> dict[str, Any]:
    return {
        "status": status,
        "exit_code": exit_code,
        "error": None,
        "error_type": None,
        "error_message": None,
        "traceback": None,
        **error,
    }


def _outcome_of(error: BaseException) -> dict[str, Any]:
    described = {
        "error_type": type(error).__qualname__,
        "error_message": _text(error),
        "traceback": _traceback(error),
    }
    if isinstance(error, Terminated):
        return _outcome("error", TERMINATED, **described | {"error_message": "the job was sent SIGTERM"})
    if isinstance(error, SystemExit):
        code = error.code
        if code is None or isinstance(code, int):
            return _outcome("exit", int(code or 0), **described | {"error_message": str(int(code or 0))})
        return _outcome("exit", 1, **described)
    if isinstance(error, KeyboardInterrupt):
        return _outcome("error", INTERRUPTED, **described)
    from slurmkit.serialize import dump_exception

    return _outcome("error", 1, error=dump_exception(error), **described)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001  (a __str__ of the user's own)
        return f"<str() of the exception failed: {type(second).__name__}>"


def _traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without the runner's own frames."""
    from traceback import StackSummary, TracebackException

    here = os.path.dirname(__file__) + os.sep
    whole = TracebackException.from_exception(error)
    seen: set[int] = set()
    parts = [whole]
    while parts:
        part = parts.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = StackSummary.from_list([frame for frame in part.stack if not frame.filename.startswith(here)])
        parts += [other for other in (part.__cause__, part.__context__, *(part.exceptions or ())) if other is not None]
    return "".join(whole.format())


def _tell(rank: int, outcome: Mapping[str, Any], error: BaseException) -> None:
    """What Python itself would print of the exception, on the job's stderr; in one write, since all ranks share it."""
    if outcome["status"] == "requeue":
        text = f"slurmkit: rank {rank} on {hostname(os.environ)} asked to be requeued\n"
    elif isinstance(error, Terminated):
        text = f"slurmkit: rank {rank} on {hostname(os.environ)} was sent SIGTERM\n"
    elif isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return
        text = f"{outcome['error_message']}\n"
    else:
        text = str(outcome["traceback"])
    _flush()
    _complain(text)


def _complain(text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:  # nobody reads it any more, or the disk is full: there is nowhere left to say so
        return


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError) as error:  # full disk, closed or replaced by the function
            _complain(f"slurmkit: cannot flush the output: {error}\n")


def _write(job_dir: str, rank: int, outcome: dict[str, Any], value: Any, header: dict[str, Any]) -> dict[str, Any]:
    """Write the rank's result; the outcome, which is another one when the value cannot be written. `header`: where and when it was."""

    def dump(file: BinaryIO) -> None:
        from slurmkit.serialize import dump_value

        dump_value(value, file, what="the return value")

    try:
        # Slurm starts a job again that ran on a node which it has lost; the node may live on, and its processes.
        if (jobdir.result_attempt(job_dir, rank) or 0) > header["attempt"]:
            _complain(f"slurmkit: rank {rank}: the job has been started again: the result of this run does not count\n")
            return outcome | header
        if outcome["status"] != "ok":
            jobdir.write_result(job_dir, rank, outcome | header)
            return outcome | header
        try:
            jobdir.write_result(job_dir, rank, outcome | header, dump)
            return outcome | header
        except TypeError as error:  # NotPicklable
            outcome = _outcome_of(error)
            outcome["traceback"] = f"{type(error).__name__}: {error}\n"
            _complain(f"slurmkit: rank {rank}: {error}\n")
            jobdir.write_result(job_dir, rank, outcome | header)
    except OSError as error:
        _complain(f"slurmkit: rank {rank}: {error}\n")
        outcome = _outcome_of(error)
    return outcome | header
