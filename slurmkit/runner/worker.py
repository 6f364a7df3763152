# ruff: noqa: PTH118, PTH120  (pathlib is slow to import)
"""The worker: one rank. Runs the run hooks and the function, and writes the rank's result.

Of slurmkit it imports the job directory; the rest only when the job needs it.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from slurmkit import jobdir
from slurmkit.runner.leader import HANDED_ON, attempt, deaf, do_nothing, hostname, job_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO

    from slurmkit.runner.hooks import RunHooks

TERMINATED = 128 + signal.SIGTERM
INTERRUPTED = 128 + signal.SIGINT


class Terminated(SystemExit):
    """SIGTERM, as an exception, so that ``finally`` and the end hook run. A SystemExit: event loops and pools let it pass."""


class _Signals:
    """Turns the first SIGTERM into `Terminated`, at once or, while hooks are called, after them."""

    def __init__(self) -> None:
        self.deferring = False
        self.pending = False
        self.pid = os.getpid()

    def install(self) -> None:
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)

    def _on_sigterm(self, number: int, frame: object) -> None:
        if os.getpid() != self.pid:  # a process that the function has forked, and that a pool ends: it just dies
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        # Slurm signals all processes of the job, and the leader hands its own signal on: this is one and the same.
        signal.signal(signal.SIGTERM, do_nothing)
        self.pending = True
        if not self.deferring:
            raise Terminated(TERMINATED)

    def defer(self) -> None:
        self.deferring = True

    def resume(self) -> None:
        self.deferring = False
        if self.pending:
            raise Terminated(TERMINATED)

    def ignore(self) -> None:
        """The function has ended: its result is written, whatever comes. What the function has set up itself stays."""
        for number, ours in ((signal.SIGTERM, self._on_sigterm), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) == ours:
                signal.signal(number, do_nothing)


def run(job_dir: str, job: Mapping[str, Any], *, rank: int, local_rank: int) -> int:
    """Call the function as one rank; the process's exit code."""
    start_time = job_time(os.environ)
    pid = os.getpid()
    # Now: the function may change the environment.
    place = {"hostname": hostname(os.environ), "attempt": attempt(os.environ)}
    signals = _Signals()
    hooks: RunHooks | None = None
    value: Any = None
    outcome: dict[str, Any]
    try:
        try:
            signals.install()
            if job["callbacks"]:
                from slurmkit.runner.hooks import RunHooks

                signals.defer()
                hooks = RunHooks(job_dir, job, start_time, rank, local_rank)
                hooks.begin()
                signals.resume()
            function = _load(job_dir, jobdir.FUNCTION)
            args, kwargs = _load(job_dir, jobdir.ARGS), _load(job_dir, jobdir.KWARGS)
            if job["inject"]:
                from slurmkit.runtime import current_job_context

                kwargs.update(dict.fromkeys(job["inject"], current_job_context()))
            value = function(*args, **kwargs)
        finally:
            signals.ignore()
    except BaseException as error:  # noqa: BLE001  (the job's end, whatever it is, is what has to be reported)
        outcome = _outcome_of(error)
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


def _load(job_dir: str, name: str) -> Any:
    with jobdir.open_trusted(os.path.join(job_dir, name)) as file:
        return pickle.load(file)


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
    if isinstance(error, Terminated):
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
