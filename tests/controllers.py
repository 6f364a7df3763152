"""Controllers for tests: jobs from sbatch's arguments, and what has become of them in few words."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from typing import Any

from fakeslurm.model import Job, JobDescription, Settings, StepRequest
from fakeslurm.slurmctld import Controller
from slurmkit.slurm.durations import parse_minutes

NOW = 1_800_000_000.0
_NAMED = (
    *(("-n", "ntasks"), ("-c", "cpus_per_task"), ("--ntasks-per-node", "ntasks_per_node"), ("--mincpus", "mincpus")),
    *(("--ntasks-per-core", "ntasks_per_core"), ("--ntasks-per-socket", "ntasks_per_socket")),
    *(("--threads-per-core", "threads_per_core"), ("--sockets-per-node", "sockets_per_node")),
    *(("--cores-per-socket", "cores_per_socket"), ("--tmp", "tmp_disk"), ("--nice", "nice")),
)
_TEXTS = (
    *(("-w", "nodelist"), ("-x", "exclude"), ("-m", "distribution"), ("--comment", "comment"), ("-p", "partition")),
    *(("-a", "array"), ("-C", "constraint"), ("-L", "licenses"), ("--reservation", "reservation")),
)
_FLAGS = (
    *(("--exclusive", "exclusive"), ("-O", "overcommit"), ("--spread-job", "spread_job"), ("-k", "no_kill")),
    *(("--use-min-nodes", "use_min_nodes"), ("--contiguous", "contiguous"), ("-s", "oversubscribe"), ("-H", "hold")),
)
_IGNORED = ("-J", "--qos", "--signal", "-D", "--profile", "--hint", "--gpus-per-node")


def options(text: str) -> dict[str, Any]:
    """Fields of a `JobDescription` for arguments of sbatch, those that the measured tables use."""
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    aliases = {"-O": ["--overcommit"], "-m": ["--distribution"], "-c": ["--cpus-per-task"]}
    for flag, name in _NAMED:
        parser.add_argument(flag, *aliases.get(flag, []), dest=name, type=int)
    for flag, name in _TEXTS:
        parser.add_argument(flag, *aliases.get(flag, []), dest=name)
    for flag, name in _FLAGS:
        parser.add_argument(flag, *aliases.get(flag, []), dest=name, action="store_true")
    for flag in ("-N", "-B", "-t", "--mem", "--mem-per-cpu"):
        parser.add_argument(flag, dest=flag)
    for flag in _IGNORED:
        parser.add_argument(flag, dest="_")
    for flag in ("--requeue", "--no-requeue"):
        parser.add_argument(flag, dest="_", action="store_true")
    given = {name: value for name, value in vars(parser.parse_args(shlex.split(text))).items() if value is not None}
    given.pop("_", None)
    if "-N" in given:
        low, _, high = given.pop("-N").partition("-")
        given |= {"min_nodes": int(low), "max_nodes": int(high or low)}
    if "-B" in given:
        sockets, cores = given.pop("-B").split(":")
        given |= {"sockets_per_node": int(sockets), "cores_per_socket": int(cores)}
        given.setdefault("ntasks", given.get("min_nodes", 1) * int(sockets) * int(cores))
    if "-t" in given:
        given["time_limit"] = parse_minutes(given.pop("-t")) or 0
    for flag, name in (("--mem", "mem_per_node"), ("--mem-per-cpu", "mem_per_cpu")):
        if flag in given:
            given[name] = _megabytes(given.pop(flag))
    return given


def _megabytes(text: str) -> int:
    number = int(text.rstrip("MG"))
    return number * 1024 if text.endswith("G") else number


def describe(text: str = "", **more: Any) -> JobDescription:
    known: dict[str, Any] = {"script": b"#!/bin/sh\n", "name": "job"}
    return JobDescription(**known | options(text) | more)


def cluster(**settings: Any) -> Controller:
    return Controller(Settings(**settings))


def submit(controller: Controller, text: str = "", now: float = NOW, **more: Any) -> Job:
    return controller.jobs[controller.submit(describe(text, **more), now)]


def cpus(job: Job) -> Mapping[str, int]:
    return dict(zip(job.nodes, job.cpus_per_node, strict=True))


def finish(controller: Controller, job: Job, now: float, wait_status: int = 0) -> None:
    """The batch script ends, and nothing is left of the job."""
    controller.batch_ended(job.job_id, wait_status, now)
    controller.processes_gone(job.job_id, now)


def step_request(text: str, job: Job) -> StepRequest:
    """What srun asks for with these arguments in a job, when it has read the job's SLURM_* variables."""
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    for flag, name in (
        ("-n", "ntasks"),
        ("-c", "cpus_per_task"),
        ("-r", "relative"),
        ("--ntasks-per-node", "ntasks_per_node"),
    ):
        parser.add_argument(flag, dest=name, type=int)
    for flag, name in (("-w", "nodelist"), ("-x", "exclude"), ("-m", "distribution")):
        parser.add_argument(flag, dest=name)
    for flag in ("--exact", "--overlap"):
        parser.add_argument(flag, dest=flag[2:], action="store_true")
    parser.add_argument("-O", dest="overcommit", action="store_true")
    parser.add_argument("-N", dest="-N")
    for flag in ("--mem", "--mem-per-cpu", "-J", "-t", "--export", "-W", "-o", "-D"):
        parser.add_argument(flag, dest="_")
    for flag in ("-l", "-K", "-u"):
        parser.add_argument(flag, dest="_", action="store_true")
    given = {name: value for name, value in vars(parser.parse_args(shlex.split(text))).items() if value is not None}
    given.pop("_", None)
    if "-N" in given:
        low, _, high = given.pop("-N").partition("-")
        given |= {"min_nodes": int(low), "max_nodes": int(high or low)}
    if "ntasks" not in given and job.description.asks_for_tasks:
        given["ntasks"] = job.num_tasks
    return StepRequest(name="step", **given)
