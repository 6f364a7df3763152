# ruff: noqa: PTH108, PTH118, PTH120, PTH208  (pathlib is slow to import)
"""The leader: the process that is the batch script. It starts the workers, waits for them, and reports, whatever became of them.

It imports next to nothing and runs nothing of the user's before the workers have ended.
"""

from __future__ import annotations

import gc
import os
import sys
import time

from slurmkit import jobdir, stopping
from slurmkit.runner.record import read_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from typing import Any
else:
    import _signal as signal  # signal without its enums, which take 0.6 ms

RANKS_START = 10
"""Seconds after the start of srun for which a warning is kept back from the ranks, while Slurm launches them. What they begin with ignores it
(slurmstepd starts tasks with no signal ignored or blocked, whatever srun has: measured); then they look for `warned_path`."""

RUNNER_FAILED = 70
"""Exit code when the runner itself cannot do its work: no job directory, no srun. (EX_SOFTWARE of sysexits.h)"""

HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What Slurm, and users with --signal=B:..., send to the batch script, and mean for the program in it."""

SRUN_HANDS_ON = (signal.SIGUSR1, signal.SIGUSR2)
"""What srun passes to its tasks. SIGTERM and SIGHUP make it kill them with SIGKILL at once (measured on 22.05.8), so that no end hook would
run; when Slurm ends a job it sends SIGTERM to the tasks itself."""

CALL_VARIABLE = "SLURMKIT_CALL"
"""For the ranks: the attempt whose `slurmkit.checkpoints.write_call` is to be called."""


STDERR_VARIABLE = "SLURMKIT_STDERR"
"""For the ranks: how many bytes of the job's stderr are of earlier attempts."""


def lead(shared: str, index: int | None = None) -> int:
    """Run the job whose directory is `shared`, or the element `index` of that array; the batch script's exit code.

    Returns a second time, in the worker's own process, when the job has one task.
    """
    start_time = job_time(os.environ)
    try:
        job = read_job(shared)
        job_dir = shared if index is None else jobdir.create_element(shared, index)
        os.environ["JOB_DIR"] = job_dir
        world_size = task_count(os.environ)
        written = _written()
        _take_over(job_dir, world_size)
    except OSError as error:
        return fail(str(error))
    os.environ[STDERR_VARIABLE] = str(written[jobdir.STDERR])
    limit = job.get("max_requeues")
    if limit is not None and attempt(os.environ) > limit:
        _take_clients_path(job)
        return _refuse(job_dir, job, start_time, world_size, written, limit)
    handed_on = handled(job)
    # From here on signals wait until somebody is there to be told, or, in the worker, able to take them.
    signal.pthread_sigmask(signal.SIG_BLOCK, handed_on)
    if world_size == 1:
        from slurmkit.runner import worker

        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # else the collector of the worker would touch all that is here, and so have it copied
        pid = os.fork()
        if pid == 0:
            _take_clients_path(job, has_journal=False)
            return worker.run(job_dir, job, rank=0, local_rank=0)
        _take_clients_path(job)  # only now, as the worker does not wait for it
    else:
        _take_clients_path(job)
        _find_out_deadline()
        pid = _start_srun([shared] if index is None else [shared, f"{index}"], world_size, job)
    if pid:
        _hand_signals_on(pid, job, None if world_size == 1 else warned_path(job_dir))
    _journal(job_dir, _started(start_time, world_size, written))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else RUNNER_FAILED
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in handed_on:
        signal.signal(number, do_nothing)
    return _report(job_dir, job, start_time, world_size, code, written[jobdir.STDERR])


def rank(shared: str, index: int | None = None) -> int:
    """Be one of several ranks, started by srun; the rank's exit code. The arguments are those of `lead`."""
    try:
        job = read_job(shared)
    except OSError as error:
        return fail(f"rank {os.environ.get('SLURM_PROCID')} on {hostname(os.environ)}: {error}")
    _take_clients_path(job, has_journal=False)
    from slurmkit.runner import worker

    job_dir = jobdir.element_dir(shared, index)
    number, local = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_LOCALID"])
    return worker.run(job_dir, job, rank=number, local_rank=local, warned=warned_path(job_dir))


def _take_clients_path(job: Mapping[str, Any], *, has_journal: bool = True) -> None:
    """From here on what the client can import is imported from the same places.

    But for what slurmkit itself needs yet, for the journal and in callbacks: a module of the user's that has its name shall not take its place.
    """
    if has_journal or job["callbacks"]:
        import json  # noqa: F401
        import signal  # noqa: F401

    sys.path[:] = job["sys_path"] or sys.path


def warning_signal(job: Mapping[str, Any]) -> int | None:
    """The signal that warns the task of its end: that of the option ``signal`` (``B:USR2@60``). None: there is none, or none to be heard."""
    text = job.get("options", {}).get("signal")
    if text is None:
        return None
    name = text.rpartition(":")[2].partition("@")[0].upper()
    if name.isdecimal():
        number = int(name)
    else:
        word = name.removeprefix("SIG")
        number = 0 if word.startswith("_") else getattr(signal, f"SIG{word}", 0)
    usable = number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM}
    return int(number) if usable else None


def handled(job: Mapping[str, Any]) -> tuple[int, ...]:
    """`HANDED_ON`, and the warning signal."""
    warning = warning_signal(job)
    return HANDED_ON if warning is None or warning in HANDED_ON else (*HANDED_ON, warning)


def warned_path(job_dir: str) -> str:
    """The file that tells ranks of this attempt which start late that the warning signal has come."""
    return os.path.join(job_dir, f"warned.{attempt(os.environ)}")


def task_count(env: Mapping[str, str]) -> int:
    """How many ranks a bare ``srun`` starts in this job: the number of tasks asked for, else one per node."""
    for name in ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_JOB_NUM_NODES", "SLURM_NNODES"):
        if env.get(name, "").isdecimal():
            return int(env[name])
    return 1


def job_id(env: Mapping[str, str]) -> str | None:
    """The id under which people know the job: ``123``, or ``123_4`` of an element of an array."""
    if env.get("SLURM_ARRAY_JOB_ID") and env.get("SLURM_ARRAY_TASK_ID"):
        return f"{env['SLURM_ARRAY_JOB_ID']}_{env['SLURM_ARRAY_TASK_ID']}"
    return env.get("SLURM_JOB_ID")


def output_path(job_dir: str, job: Mapping[str, Any], name: str) -> str:
    """The file of the job's STDOUT or STDERR."""
    element = job_id(os.environ) if "array" in job else None
    return os.path.join(jobdir.shared_dir(job_dir, job), jobdir.output_name(name, element))


def attempt(env: Mapping[str, str]) -> int:
    """How often Slurm has requeued the job: the number of this attempt, from 0."""
    text = env.get("SLURM_RESTART_COUNT", "")
    return int(text) if text.isdecimal() else 0


def job_time(env: Mapping[str, str]) -> float:
    """Epoch seconds: of the machine, or of a fake Slurm whose time is virtual, which writes it into a file."""
    path = env.get(jobdir.CLOCK_VARIABLE)
    if path is None:
        return time.time()
    with open(path) as file:  # noqa: PTH123 (pathlib is slow to import)
        return float(file.read())


def hostname(env: Mapping[str, str]) -> str:
    """The node, as Slurm calls it."""
    return env.get("SLURMD_NODENAME") or os.uname().nodename


def fail(message: str) -> int:
    """Say on the job's stderr why the runner cannot do its work."""
    print(f"slurmkit: {message}", file=sys.stderr, flush=True)
    return RUNNER_FAILED


def _take_over(job_dir: str, world_size: int) -> None:
    """What an earlier attempt of a requeued job has left must not be taken for this one's: but for the call that it goes on with."""
    names = os.listdir(job_dir)
    os.environ.pop(CALL_VARIABLE, None)
    for name in names:
        if name.startswith(("result.", ".result.", ".call.", ".checkpoint.", "warned.")):
            os.unlink(os.path.join(job_dir, name))
    if any(name.startswith("call.") for name in names):
        from slurmkit import checkpoints

        chosen = checkpoints.chosen_call(names, world_size)
        if chosen is not None:
            checkpoints.remove_calls(job_dir, names, chosen)
            os.environ[CALL_VARIABLE] = str(chosen)


def _written() -> dict[str, int]:
    """How much earlier attempts have written to the job's stdout and stderr, in bytes."""
    return {jobdir.STDOUT: os.fstat(1).st_size, jobdir.STDERR: os.fstat(2).st_size}


def _started(start_time: float, world_size: int, written: Mapping[str, int]) -> dict[str, Any]:
    return {
        "event": "started",
        "time": start_time,
        "job_id": job_id(os.environ),
        "attempt": attempt(os.environ),
        "hostname": hostname(os.environ),
        "world_size": world_size,
        "written": dict(written),
    }


def _refuse(
    job_dir: str, job: Mapping[str, Any], start_time: float, world_size: int, written: Mapping[str, int], limit: int
) -> int:
    """The job was requeued more often than its task wants."""
    number = attempt(os.environ)
    _journal(job_dir, _started(start_time, world_size, written))
    words = f"the job has been requeued {number} times, and max_requeues is {limit}"
    return _complete(job_dir, job, start_time, RUNNER_FAILED, 0, _failure(words), None)


def _find_out_deadline() -> None:
    """Ask once for all ranks, where Slurm (before 23.02) does not tell in the environment; they find it as those of later releases do."""
    if "SLURM_JOB_END_TIME" in os.environ or "SLURM_JOB_ID" not in os.environ:
        return
    from slurmkit.lifecycle import deadline

    end = deadline(os.environ["SLURM_JOB_ID"], os.environ)
    os.environ["SLURM_JOB_END_TIME"] = "" if end is None else str(int(end))


def _start_srun(arguments: list[str], world_size: int, job: Mapping[str, Any]) -> int:
    """srun's process id, 0 when it cannot be started."""
    command = ["srun", "--export=ALL"]
    # Since 22.05 srun does not take this from the job by itself (srun.1, --cpus-per-task).
    if os.environ.get("SLURM_CPUS_PER_TASK"):
        command.append(f"--cpus-per-task={os.environ['SLURM_CPUS_PER_TASK']}")
        # And with it srun fills the CPUs of the job, which may be whole nodes, unless it knows how many tasks there are (measured).
        command.append(f"--ntasks={world_size}")
    program = os.path.join(os.path.dirname(__file__), "__main__.py")
    warning = warning_signal(job)
    if warning is not None:  # Python may take long to start on a file system that all ranks start from
        command += ["/bin/sh", "-c", f"trap '' {warning}; exec \"$@\"", "sh"]
    command += [sys.executable, "-P", program, "--rank", *arguments]
    # Python ignores these two for itself, and the batch script the warning; what it starts shall not.
    defaults = (signal.SIGPIPE, signal.SIGXFSZ, *handled(job))
    try:
        return os.posix_spawnp("srun", command, os.environ, setsigmask=(), setsigdef=defaults)
    except OSError as error:
        fail(f"cannot start srun: {error.strerror} (PATH={os.environ.get('PATH', '')!r})")
        return 0


def do_nothing(number: int, frame: object) -> None:
    """A handler to stay alive by. Unlike SIG_IGN it is not inherited by programs that are started from now on."""


def deaf() -> None:
    """Nothing that is sent from now on matters. While the interpreter ends, Python takes its handlers away, but leaves SIG_IGN."""
    for number in HANDED_ON:
        signal.signal(number, signal.SIG_IGN)


def _hand_signals_on(pid: int, job: Mapping[str, Any], warned: str | None) -> None:
    """Send the process `pid`, which is srun or the worker, what comes here. `warned`: what to write for ranks that start late, when the
    warning comes; None for the worker."""
    warning = warning_signal(job)
    numbers = handled(job) if warned is None else SRUN_HANDS_ON
    ready = time.monotonic() + (0 if warned is None else RANKS_START)

    def hand_on(number: int, frame: object) -> None:
        if number == signal.SIGTERM:
            if stopping.told:
                return
            stopping.told = True
        left = ready - time.monotonic()
        if number == warning and left > 0:
            signal.signal(signal.SIGALRM, lambda _, frame: hand_on(number, frame))
            signal.setitimer(signal.ITIMER_REAL, left + 0.01)
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return  # it has just ended, which is what the leader is waiting for

    def on_warning(number: int, frame: object) -> None:
        if warned is not None:
            try:
                os.close(os.open(warned, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError as error:
                fail(f"ranks that start late do not hear of the warning: {error.strerror}: {warned!r}")
        hand_on(number, frame)

    def note(number: int, frame: object) -> None:
        stopping.told = stopping.told or number == signal.SIGTERM

    for number in handled(job):
        signal.signal(number, note if number not in numbers else on_warning if number == warning else hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handled(job))


def _report(job_dir: str, job: Mapping[str, Any], start_time: float, world_size: int, code: int, stderr: int) -> int:
    """Every rank has ended: have the job requeued if they want it; journal, completed hooks; the exit code of the batch script."""
    exit_code = code if code >= 0 else 128 - code
    failed_rank, failure = _first_failure(job_dir, world_size)
    if failure is None and failed_rank is not None:
        failure = _failure(_last_words(code, world_size))
        print(f"slurmkit: rank {failed_rank} left no result: {failure['error_message']}", file=sys.stderr, flush=True)
    cause = None
    if failed_rank is not None or stopping.told:
        from slurmkit.runner import ending

        # slurmstepd writes of the element by its own id; to scontrol that may be the whole array's.
        own = os.environ.get("SLURM_JOB_ID", "")
        cause = ending.cause_of_end(output_path(job_dir, job, jobdir.STDERR), own, stderr)
        if cause is None and failure is not None and failure.get("status") == "requeue":
            problem = ending.requeue(job_id(os.environ) or "", os.environ)
            if problem is None:
                cause = "REQUEUED"
            else:
                failure = _failure(f"the task asked to be requeued: {problem}", "Requeue")
                exit_code = exit_code or 1
                fail(str(failure["error_message"]))
    return _complete(job_dir, job, start_time, exit_code, failed_rank, failure, cause)


def _failure(message: str, error_type: str | None = None) -> dict[str, Any]:
    return {"error_type": error_type, "error_message": message, "traceback": None}


def _complete(
    job_dir: str,
    job: Mapping[str, Any],
    start_time: float,
    exit_code: int,
    failed_rank: int | None,
    failure: Mapping[str, Any] | None,
    cause: str | None,
) -> int:
    state = "FAILED" if exit_code else "COMPLETED"
    completed = {
        "event": "completed",
        "time": job_time(os.environ),
        "attempt": attempt(os.environ),
        "job_state": "REQUEUED" if cause == "REQUEUED" else state,
        "exit_code": f"{exit_code}:0",
        "failed_rank": failed_rank,
        "error_type": failure["error_type"] if failure else None,
        "error_message": failure["error_message"] if failure else None,
        "cause": cause,
    }
    _journal(job_dir, completed)
    if job["callbacks"]:
        from slurmkit.runner import hooks

        hooks.completed(job_dir, job, completed, start_time, failure["traceback"] if failure else None)
        deaf()
        return exit_code
    # Nothing of the user's has run in this process: there is nothing to tidy up, and that takes 3 ms.
    sys.stderr.flush()
    os._exit(exit_code)


def _first_failure(job_dir: str, world_size: int) -> tuple[int | None, dict[str, Any] | None]:
    """The rank whose end is the job's, and the header of its result (None: it has left none).

    One that has failed comes before those that ask to be requeued, and these before those that were terminated.
    """
    headers: dict[int, dict[str, Any]] = {}
    missing: list[int] = []
    mine = attempt(os.environ)
    for number in range(world_size):
        try:
            header = jobdir.read_result(job_dir, number)
        except (OSError, RuntimeError) as error:
            fail(str(error))
            header = None
        if header is not None and header.get("attempt", mine) != mine:
            header = None  # of a run that goes on, on a node that Slurm has lost
        if header is None:
            missing.append(number)
        else:
            headers[number] = header
    first = jobdir.first_failure(headers)
    # A rank that was terminated may have been so because another had died.
    if first is None or (
        missing and (headers[first]["error_type"] == "Terminated" or headers[first]["status"] == "requeue")
    ):
        return (missing[0] if missing else None), None
    return first, headers[first]


def _last_words(code: int, world_size: int) -> str:
    """What became of a process that left no result. With several ranks `code` is srun's: the highest of theirs, 128 + N for signal N."""
    from signal import Signals

    number = -code if code < 0 else code - 128 if world_size > 1 else 0
    try:
        words = f"killed by signal {number} ({Signals(number).name})"
    except ValueError:
        words = f"killed by signal {number}" if code < 0 else f"ended with exit code {code}"
    return words if world_size == 1 else f"srun: {words}"


def _journal(job_dir: str, record: Mapping[str, Any]) -> None:
    try:
        jobdir.append_journal(job_dir, record)
    except OSError as error:
        fail(str(error))
