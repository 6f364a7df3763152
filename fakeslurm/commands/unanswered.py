"""What a command prints when the controller does not answer it: docs/measured/faults.md.

What is wrong with its arguments it has found before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from fakeslurm.commands import scancel, scontrol, squeue, sstat
from fakeslurm.commands.answers import words
from fakeslurm.commands.base import Given, Option, Reply, parse_options
from fakeslurm.commands.joblists import named, without_key
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.commands.jobupdate import names_jobs
from fakeslurm.messages import CONNECT_FAILURE, UNEXPECTED_MESSAGE
from fakeslurm.model import Settings

__all__ = ["unanswered"]

Answer = tuple[Reply, int]
"""What is printed, and how many requests were made one after the other, each of which was waited for."""

_LOADS = {
    "job": "slurm_load_jobs",
    "node": "slurm_load_node",
    "partition": "slurm_load_partitions",
    "config": "slurm_load_ctl_conf",
    "reservation": "slurm_load_reservations",
    "license": "slurm_load_license",
}
_STARS = "*" * 41
_CONNECT = 8
_SOCKET = 140
"""scancel's return code: the lowest eight bits of Slurm's number of the error."""


def unanswered(command: str, argv: Sequence[str], environ: Mapping[str, str], why: str, settings: Settings) -> Answer:
    """The answer of a command to whom nobody answers. `why` is Slurm's text for it."""
    if command == "srun":
        return _srun(argv, why, environ)
    return _ANSWERS[command](argv, why, settings)


def _failed(text: str, requests: int = 1, returncode: int = 1) -> Answer:
    return Reply(stderr=f"{text}\n", returncode=returncode), requests


def _sbatch(argv: Sequence[str], why: str, _settings: Settings) -> Answer:
    if "--test-only" in argv:
        return _failed(f"allocation failure: {why}", 2)
    return _failed(f"sbatch: error: Batch job submission failed: {why}")


def _squeue(argv: Sequence[str], why: str, settings: Settings) -> Answer:
    keys = _keys("squeue", argv, (*squeue.OPTIONS, *squeue.OLD_OPTIONS, *squeue.NEW_OPTIONS))
    if "nodelist" in keys:
        return _failed(f"slurm_load_node error: {why}")
    if "steps" in keys:
        return _failed(f"slurm_get_job_steps error: {why}", 2)
    return _failed(f"slurm_load_jobs error: {why}", 2 if "jobs" in keys else 1)


def _sinfo(_argv: Sequence[str], why: str, _settings: Settings) -> Answer:
    return _failed(f"slurm_load_partitions: {why}")


def _scancel(argv: Sequence[str], why: str, _settings: Settings) -> Answer:
    given, operands = parse_options("scancel", argv, scancel.OPTIONS)
    keys = {option.key for option in given}
    ids = [one for operand in operands for one in scancel.words(operand)]
    if keys & scancel.SEARCHES or any("." in one for one in ids):
        return _failed(f"slurm_load_jobs error: {why}", 2)
    lines = []
    for one in ids:
        if "verbose" in keys:
            lines.append(f"scancel: Terminating job {one}\n")
        lines.append(f"scancel: error: Kill job error on job id {one}: {why}\n")
    return Reply(stderr="".join(lines), returncode=_CONNECT if why == CONNECT_FAILURE else _SOCKET), 1


def _scontrol(argv: Sequence[str], why: str, settings: Settings) -> Answer:
    given, operands = parse_options("scontrol", argv, (*scontrol.OPTIONS, Option("json", "", "optional")))
    if any(option.key == "json" for option in given):
        return _failed("scontrol: error: fakeslurm does not support --json without a controller")
    return _SCONTROL[scontrol.keyword(operands[0])](operands[1:], why, settings)


def _show(arguments: Sequence[str], why: str, settings: Settings) -> Answer:
    entity = arguments[0].partition("=")[0].lower()
    which = arguments[1] if len(arguments) > 1 else arguments[0].partition("=")[2]
    if entity.startswith("s"):
        if settings.profile.release == NEW:
            return _failed(
                f"scontrol: error: scontrol_print_step: slurm_get_job_steps({which or '(null)'}) failed: {why}", 2
            )
        return _failed(f"slurm_get_job_steps error: {why}", 2)
    kind = next(one for one in _LOADS if one.startswith(entity[0]))
    return _failed(f"{_LOADS[kind]} error: {why}", 2 if kind == "job" and which else 1)


def _hold(arguments: Sequence[str], why: str, _settings: Settings) -> Answer:
    lines, requests = [], 0
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if equals and key.lower() in ("name", "jobname"):
            lines.append(f"slurm_suspend error: {why}\n")
            requests += 1
            continue
        lines += [_unexpected(text) for text in _ids(argument)]
        requests += len(_ids(argument))
        lines.append(f"slurm_suspend error: {UNEXPECTED_MESSAGE}\n")
    return Reply(stderr="".join(lines), returncode=1), requests


def _each_job(arguments: Sequence[str], _why: str, _settings: Settings) -> Answer:
    ids = [text for argument in arguments for text in _ids(argument)]
    return Reply(stderr="".join(map(_unexpected, ids)), returncode=1), len(ids)


def _update(arguments: Sequence[str], why: str, settings: Settings) -> Answer:
    if not names_jobs(arguments):
        return _failed(f"slurm_update error: {why}")
    jobs = [one for one in arguments if one.partition("=")[0].lower().startswith("job") and "name" not in one.lower()]
    return _each_job(jobs, why, settings)


def _notify(_arguments: Sequence[str], why: str, _settings: Settings) -> Answer:
    return _failed(f"job notify failure: {why}")


def _write(_arguments: Sequence[str], why: str, _settings: Settings) -> Answer:
    return _failed(f"job script retrieval failed: {why}", returncode=0)


def _ping(_arguments: Sequence[str], _why: str, settings: Settings) -> Answer:
    text = f"Slurmctld(primary) at {settings.control_host} is DOWN\n"
    if os.getuid() != 0:  # measured on 24.11
        return Reply(text, returncode=1), 1
    return Reply(f"{text}{_STARS}\n** RESTORE SLURMCTLD DAEMON TO SERVICE **\n{_STARS}\n", returncode=1), 1


def _srun(argv: Sequence[str], why: str, environ: Mapping[str, str]) -> Answer:
    if "--test-only" in argv:
        return _failed(f"allocation failure: {why}", 2)
    job_id = environ.get("SLURM_JOB_ID")
    if job_id is not None:
        return _failed(
            f"srun: error: Unable to confirm allocation for job {job_id}: {why}\n"
            f"srun: Check SLURM_JOB_ID environment variable. Expired or invalid job {job_id}"
        )
    return _failed(f"srun: error: Unable to allocate resources: {why}")


def _salloc(_argv: Sequence[str], why: str, _settings: Settings) -> Answer:
    return _failed(f"salloc: error: Job submit/allocate failed: {why}")


def _sstat(argv: Sequence[str], _why: str, _settings: Settings) -> Answer:
    given, operands = parse_options("sstat", argv, sstat.OPTIONS, suggest_help=False)
    texts = [*operands, *(option.value or "" for option in given if option.key == "jobs")]
    jobs = [sstat.wanted(word)[0] for text in texts for word in words(text)]
    lines = [f"sstat: error: couldn't get steps for job {job_id}\n" for job_id in jobs]
    return Reply(stderr="".join(lines)), 2 * len(jobs)


def _wait_job(_arguments: Sequence[str], _why: str, _settings: Settings) -> Answer:
    return _failed("scontrol: error: fakeslurm does not support wait_job without a controller, where it waits for ever")


def _ids(argument: str) -> list[str]:
    return [one.text for one in named(without_key(argument))]


def _unexpected(text: str) -> str:
    return f"{UNEXPECTED_MESSAGE} for job {text}\n"


def _keys(program: str, argv: Sequence[str], options: Sequence[Option]) -> set[str]:
    given: Sequence[Given] = parse_options(program, argv, options)[0]
    return {option.key for option in given}


_ANSWERS: Mapping[str, Callable[[Sequence[str], str, Settings], Answer]] = {
    "sbatch": _sbatch,
    "squeue": _squeue,
    "sinfo": _sinfo,
    "scancel": _scancel,
    "scontrol": _scontrol,
    "salloc": _salloc,
    "sstat": _sstat,
}
_SCONTROL: Mapping[str, Callable[[Sequence[str], str, Settings], Answer]] = {
    "show": _show,
    "hold": _hold,
    "uhold": _hold,
    "release": _hold,
    "requeue": _each_job,
    "requeuehold": _each_job,
    "suspend": _each_job,
    "resume": _each_job,
    "update": _update,
    "notify": _notify,
    "write": _write,
    "wait_job": _wait_job,
    "ping": _ping,
}
