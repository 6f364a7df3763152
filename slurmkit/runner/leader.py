# ruff: noqa: PTH108, PTH118, PTH120, PTH208  (pathlib is slow to import)
"""The leader: the process that is the batch script. It starts the workers, waits for them, and reports, whatever became of them.

It imports next to nothing and runs nothing of the user's before the workers have ended.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from slurmkit import jobdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

RUNNER_FAILED = 70
"""Exit code when the runner itself cannot do its work: no job directory, no srun. (EX_SOFTWARE of sysexits.h)"""

HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What Slurm, and users with --signal=B:..., send to the batch script, and mean for the program in it."""

SRUN_HANDS_ON = (signal.SIGUSR1, signal.SIGUSR2)
"""What srun passes to its tasks. SIGTERM and SIGHUP make it kill them with SIGKILL at once (measured on 22.05.8), so that no end hook would
run; when Slurm ends a job it sends SIGTERM to the tasks itself."""


def lead(job_dir: str) -> int:
    """Run the job; the batch script's exit code. Returns a second time, in the worker's own process, when the job has one task."""
    start_time = job_time(os.environ)
    try:
        job = jobdir.read_job(job_dir)
        sys.path[:] = job["sys_path"] or sys.path
        _remove_stale_results(job_dir)
    except OSError as error:
        return fail(str(error))
    world_size = task_count(os.environ)
    # From here on signals wait until somebody is there to be told, or, in the worker, able to take them.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
    if world_size == 1:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            from slurmkit.runner import worker

            return worker.run(job_dir, job, rank=0, local_rank=0)
    else:
        pid = _start_srun(job_dir, world_size)
    if pid:
        _hand_signals_on(pid, HANDED_ON if world_size == 1 else SRUN_HANDS_ON)
    _journal(
        job_dir,
        {
            "event": "started",
            "time": start_time,
            "job_id": os.environ.get("SLURM_JOB_ID"),
            "attempt": attempt(os.environ),
            "hostname": hostname(os.environ),
            "world_size": world_size,
        },
    )
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else RUNNER_FAILED
    for number in HANDED_ON:
        signal.signal(number, do_nothing)
    return _report(job_dir, job, start_time, world_size, code)


def rank(job_dir: str) -> int:
    """Be one of several ranks, started by srun; the rank's exit code."""
    try:
        job = jobdir.read_job(job_dir)
    except OSError as error:
        return fail(f"rank {os.environ.get('SLURM_PROCID')} on {hostname(os.environ)}: {error}")
    sys.path[:] = job["sys_path"] or sys.path
    from slurmkit.runner import worker

    return worker.run(job_dir, job, rank=int(os.environ["SLURM_PROCID"]), local_rank=int(os.environ["SLURM_LOCALID"]))


def task_count(env: Mapping[str, str]) -> int:
    """How many ranks a bare ``srun`` starts in this job: the number of tasks asked for, else one per node."""
    for name in ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_JOB_NUM_NODES", "SLURM_NNODES"):
        if env.get(name, "").isdecimal():
            return int(env[name])
    return 1


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


def _remove_stale_results(job_dir: str) -> None:
    """What an earlier attempt of a requeued job has left must not be taken for this one's."""
    for name in os.listdir(job_dir):
        if name.startswith(("result.", ".result.")):
            os.unlink(os.path.join(job_dir, name))


def _start_srun(job_dir: str, world_size: int) -> int:
    """srun's process id, 0 when it cannot be started."""
    command = ["srun", "--export=ALL"]
    # Since 22.05 srun does not take this from the job by itself (srun.1, --cpus-per-task).
    if os.environ.get("SLURM_CPUS_PER_TASK"):
        command.append(f"--cpus-per-task={os.environ['SLURM_CPUS_PER_TASK']}")
        # And with it srun fills the CPUs of the job, which may be whole nodes, unless it knows how many tasks there are (measured).
        command.append(f"--ntasks={world_size}")
    program = os.path.join(os.path.dirname(__file__), "__main__.py")
    command += [sys.executable, "-P", program, "--rank", job_dir]
    # Python ignores these two for itself; what it starts shall not.
    defaults = (signal.SIGPIPE, signal.SIGXFSZ)
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


def _hand_signals_on(pid: int, numbers: tuple[signal.Signals, ...]) -> None:
    terminated = False

    def hand_on(number: int, frame: object) -> None:
        nonlocal terminated
        if number == signal.SIGTERM:
            if terminated:
                return
            terminated = True
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return  # it has just ended, which is what the leader is waiting for

    for number in HANDED_ON:
        signal.signal(number, hand_on if number in numbers else do_nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)


def _report(job_dir: str, job: Mapping[str, Any], start_time: float, world_size: int, code: int) -> int:
    """Every rank has ended: journal, completed hooks; the exit code of the batch script."""
    exit_code = code if code >= 0 else 128 - code
    failed_rank, failure = _first_failure(job_dir, world_size)
    if failure is None and failed_rank is not None:
        failure = {"error_type": None, "error_message": _last_words(code, world_size), "traceback": None}
        print(f"slurmkit: rank {failed_rank} left no result: {failure['error_message']}", file=sys.stderr, flush=True)
    completed = {
        "event": "completed",
        "time": job_time(os.environ),
        "attempt": attempt(os.environ),
        "job_state": "FAILED" if exit_code else "COMPLETED",
        "exit_code": f"{exit_code}:0",
        "failed_rank": failed_rank,
        "error_type": failure["error_type"] if failure else None,
        "error_message": failure["error_message"] if failure else None,
    }
    _journal(job_dir, completed)
    if job["callbacks"]:
        from slurmkit.runner import hooks

        hooks.completed(job_dir, completed, start_time, failure["traceback"] if failure else None)
        deaf()
        return exit_code
    # Nothing of the user's has run in this process: there is nothing to tidy up, and that takes 3 ms.
    sys.stderr.flush()
    os._exit(exit_code)


def _first_failure(job_dir: str, world_size: int) -> tuple[int | None, dict[str, Any] | None]:
    """The rank whose failure is the job's, and the header of its result (None: it has left none)."""
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
    if first is None or (missing and headers[first]["error_type"] == "Terminated"):
        return (missing[0] if missing else None), None
    return first, headers[first]


def _last_words(code: int, world_size: int) -> str:
    """What became of a process that left no result. With several ranks `code` is srun's: the highest of theirs, 128 + N for signal N."""
    number = -code if code < 0 else code - 128 if world_size > 1 else 0
    try:
        words = f"killed by signal {number} ({signal.Signals(number).name})"
    except ValueError:
        words = f"killed by signal {number}" if code < 0 else f"ended with exit code {code}"
    return words if world_size == 1 else f"srun: {words}"


def _journal(job_dir: str, record: Mapping[str, Any]) -> None:
    try:
        jobdir.append_journal(job_dir, record)
    except OSError as error:
        fail(str(error))
