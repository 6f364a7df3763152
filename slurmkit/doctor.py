"""``slurmkit doctor``: does what slurmkit needs of a site work here, shown by one look at each thing and one small job.

What is found is judged in pure functions, of texts that Slurm's commands have printed; `examine` asks for these.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from slurmkit import jobdir
from slurmkit.backends.environment import query_environment
from slurmkit.backends.execute import CommandResult, subprocess_execute
from slurmkit.cluster import Cluster
from slurmkit.errors import JobDirectoryError, JobFailed, SlurmkitError, WaitTimeout
from slurmkit.job import Job
from slurmkit.outcome import id_in_journal
from slurmkit.task import as_task

__all__ = ["Finding", "examine", "judge_commands", "judge_configuration"]

Level = Literal["ok", "warning", "error"]

QUERY_TIMEOUT = 30.0
SHORT_MEMORY = 60
"""Seconds: with a smaller MinJobAge a poller with a usual interval misses the end in squeue."""


@attrs.frozen
class Finding:
    """One thing that was looked at. `says`: what is so; `advice`: what to do about it, for what is not "ok"."""

    level: Level
    about: str
    says: str
    advice: str = ""


NEEDED = {
    "sbatch": "nothing can be submitted",
    "squeue": "jobs cannot be followed",
    "scancel": "jobs cannot be cancelled",
    "scontrol": "jobs that accounting does not know cannot be asked about",
}
USEFUL = {
    "sacct": "how a job ended is known only as long as slurmctld remembers it, and then from the job's own journal",
    "srun": "jobs of several tasks need it on the nodes, though not here",
}


def judge_commands(path_of: Mapping[str, str | None]) -> list[Finding]:
    """Which of Slurm's commands there are: name -> its file, None for what is not on PATH."""
    found = []
    for name, without in {**NEEDED, **USEFUL}.items():
        if (path := path_of.get(name)) is not None:
            found.append(Finding("ok", name, path))
        else:
            level: Level = "error" if name in NEEDED else "warning"
            found.append(
                Finding(level, name, f"is not on PATH: {without}", "load the site's Slurm module, or set PATH")
            )
    return found


def judge_configuration(text: str) -> list[Finding]:
    """What ``scontrol show config`` says of the limits that slurmkit meets."""
    fields = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", text, re.MULTILINE))
    found = [
        Finding("ok", "Slurm", f"{fields.get('SLURM_VERSION', 'of unknown version')}, {fields.get('ClusterName')}")
    ]
    storage = fields.get("AccountingStorageType", "")
    if storage.endswith("/none") or storage == "(null)":
        found.append(
            Finding(
                "warning",
                "accounting",
                f"is off (AccountingStorageType = {storage})",
                "nothing has to be done: where slurmctld has forgotten a job, its journal in the job directory says how it ended",
            )
        )
    else:
        found.append(Finding("ok", "accounting", storage))
    size = int(fields.get("MaxArraySize", "0").split()[0])
    if size < 2:
        found.append(
            Finding(
                "warning",
                "arrays",
                f"are switched off (MaxArraySize = {size})",
                "nothing has to be done: Cluster.map submits a job for each item",
            )
        )
    else:
        found.append(Finding("ok", "arrays", f"indices up to {size - 1} (MaxArraySize = {size})"))
    age = int(fields.get("MinJobAge", "300").split()[0])
    if 0 < age < SHORT_MEMORY:
        found.append(
            Finding(
                "warning",
                "MinJobAge",
                f"slurmctld forgets a job {age} s after its end",
                "poll at shorter intervals, or rely on accounting for how jobs ended",
            )
        )
    return found


def judge_root(root: Path) -> Finding:
    """Whether job directories can be made in `root`. A temporary directory and one in memory are hardly seen by nodes."""
    about = "job root"
    try:
        made = jobdir.create(root, jobdir.new_pre_submission_id(0.0))
    except JobDirectoryError as error:
        return Finding(
            "error", about, str(error), "set SLURMKIT_JOB_ROOT, or --job-root, to a directory on a shared file system"
        )
    jobdir.remove(made)
    for local in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
        if root.is_relative_to(local):
            return Finding(
                "warning",
                about,
                f"{str(root)!r} is under {local}, which each node has of its own as a rule",
                "set SLURMKIT_JOB_ROOT, or --job-root, to a directory that every node sees",
            )
    return Finding("ok", about, f"{str(root)!r} can be written")


def _look() -> dict[str, str]:
    """What the job tells of its node."""
    return {
        "hostname": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "python": ".".join(str(number) for number in sys.version_info[:3]),
        "executable": sys.executable,
    }


def examine(
    *, job_root: Path | None, options: Mapping[str, str], submit: bool, patience: float, backend: Any = "slurm"
) -> Iterator[Finding]:
    """Look at one thing after the other. `options`: sbatch options of the job; `patience`: seconds that it may wait and run."""
    commands = judge_commands({name: shutil.which(name) for name in (*NEEDED, *USEFUL)})
    yield from commands
    if any(finding.level == "error" for finding in commands):
        return
    try:
        answer = _scontrol("show", "config")
    except TimeoutError as error:
        yield Finding("error", "slurmctld", str(error), "is the controller up? Try scontrol ping")
        return
    if answer.returncode != 0:
        words = (answer.stderr or answer.stdout).strip()
        yield Finding("error", "slurmctld", f"does not answer: {words}", "is the controller up? Try scontrol ping")
        return
    yield from judge_configuration(answer.stdout)
    with Cluster(backend, job_root=job_root, options={"time": "00:02:00", **options}) as cluster:
        root = judge_root(cluster.job_root)
        yield root
        if submit and root.level != "error":
            yield from _try_job(cluster, patience)


def _scontrol(*words: str) -> CommandResult:
    return subprocess_execute(["scontrol", *words], env=query_environment(os.environ), timeout=QUERY_TIMEOUT)


def _try_job(cluster: Cluster, patience: float) -> Iterator[Finding]:
    try:
        job = cluster.submit(as_task(_look).with_options(job_name="slurmkit-doctor"))
    except SlurmkitError as error:
        yield Finding(
            "error", "submission", str(error), "does the site want an account or a partition? --option account=NAME"
        )
        return
    yield Finding("ok", "submission", f"job {job.job_id}")
    try:
        there = job.result(timeout=patience)
    except WaitTimeout as error:
        job.cancel()
        yield Finding(
            "warning",
            "job",
            f"{error}; it was cancelled",
            "try again with more --wait, or with --option partition=NAME of one that is free",
        )
        return
    except JobFailed as error:
        yield Finding("error", "job", str(error), _advice(job))
        return
    except SlurmkitError as error:
        yield Finding("error", "job", str(error), f"look into {str(job.job_dir)!r}")
        return
    yield Finding("ok", "job", "the job directory is seen by its node, and the result is back")
    yield Finding("ok", "Python", f"{there['python']} on {there['hostname']} ({there['executable']})")
    if job.status().get("Comment") != job.job_dir.name:
        yield Finding(
            "warning",
            "comment",
            f"the site changes --comment: {job.status().get('Comment')!r}",
            "a submission whose answer is lost is then found again by its command line in accounting alone",
        )
    jobdir.remove(job.job_dir)


def _advice(job: Job[Any]) -> str:
    if id_in_journal(job.job_dir) is not None:
        return f"look into {str(job.job_dir)!r}"
    return (
        f"its runner has not written into {str(job.job_dir)!r}: either the node does not see that directory (set SLURMKIT_JOB_ROOT, or "
        f"--job-root, to a directory on a shared file system), or {sys.executable!r} does not exist there"
    )
