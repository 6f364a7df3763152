"""Job directories as `Cluster.submit` makes them, and the batch script run as Slurm would run it; the tasks of the runner's tests."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slurmkit import jobdir, script, serialize
from slurmkit.callbacks.base import BaseCallback
from slurmkit.injection import unfilled_parameters
from slurmkit.packaging.inherit import Inherit
from slurmkit.slurm import layout

SECONDS = 60


def make_job(
    root: Path,
    func: Callable[..., Any],
    *args: Any,
    callbacks: Sequence[BaseCallback] = (),
    max_requeues: int | None = None,
    warning: str | None = None,
    **kwargs: Any,
) -> Path:
    """A job directory that is ready to be submitted. `warning`: the option ``signal``."""
    packaged = Inherit().package(func)  # type: ignore[arg-type]
    job_dir = Path(jobdir.create(root, jobdir.new_pre_submission_id(time.time())))
    args_pickle, kwargs_pickle = serialize.dump_arguments(args, kwargs)
    files: dict[str, bytes | str] = {
        jobdir.FUNCTION: serialize.dump_function(func),
        jobdir.ARGS: args_pickle,
        jobdir.KWARGS: kwargs_pickle,
        jobdir.SCRIPT: script.render(options={"job_name": "test"}, job_dir=str(job_dir), packaging=packaged),
    }
    if callbacks:
        files[jobdir.CALLBACKS] = serialize.dump_callbacks(callbacks)
    for name, content in files.items():
        jobdir.write(job_dir, name, content)
    jobdir.write_job(
        job_dir,
        {
            "module": func.__module__,
            "function": getattr(func, "__qualname__", type(func).__qualname__),
            "inject": list(unfilled_parameters(func, args, kwargs)),
            "max_requeues": max_requeues,
            "options": {} if warning is None else {"signal": warning},
            "python": packaged.python,
            "python_version": platform.python_version(),
            "sys_path": list(packaged.sys_path),
            "callbacks": [type(callback).__qualname__ for callback in callbacks],
        },
    )
    return job_dir


def batch_environment(counts: Sequence[int] = (1,), **more: str) -> dict[str, str]:
    """What Slurm 22.05 gives the batch script of a job with this layout, as far as it matters, and nothing of ours."""
    nodes = "n1" if len(counts) == 1 else f"n[1-{len(counts)}]"
    return {
        "PATH": os.environ["PATH"],
        "SLURM_JOB_ID": "77",
        "SLURM_JOBID": "77",
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_JOB_NUM_NODES": str(len(counts)),
        "SLURM_JOB_PARTITION": "debug",
        "SLURM_NNODES": str(len(counts)),
        "SLURM_NTASKS": str(sum(counts)),
        "SLURM_TASKS_PER_NODE": layout.format(counts),
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        "SLURMD_NODENAME": "n1",
        **more,
    }


SRUN = '''\
#!{python} -S
"""Stands in for srun: one process per task of the batch script's environment, with a step's variables. Notes options and signals."""
import os, signal, sys

def counts():
    for item in os.environ["SLURM_TASKS_PER_NODE"].split(","):
        count, _, times = item.partition("(x")
        yield from [int(count)] * int(times.rstrip(")") or 1)

def note(text):
    with open(os.environ["SRUN_LOG"], "a") as log:
        print(text, file=log)

def on_signal(number, frame):
    note(signal.Signals(number).name)
    if number in (signal.SIGUSR1, signal.SIGUSR2):
        for pid in pids:
            os.kill(pid, number)

pids = []
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, on_signal)
arguments = sys.argv[1:]
first = next(i for i, a in enumerate(arguments) if not a.startswith("--"))
command = arguments[first:]
note(" ".join(arguments[:first]))
layout = list(counts())
nodes = os.environ["SLURM_JOB_NODELIST"]
for node, count in enumerate(layout):
    for local in range(count):
        env = dict(
            os.environ, SLURM_STEP_ID="0", SLURM_STEP_NODELIST=nodes, SLURM_STEP_NUM_TASKS=str(sum(layout)),
            SLURM_STEP_TASKS_PER_NODE=os.environ["SLURM_TASKS_PER_NODE"], SLURM_PROCID=str(len(pids)),
            SLURM_LOCALID=str(local), SLURM_NODEID=str(node), SLURMD_NODENAME="n%d" % (node + 1),
        )
        pids.append(os.posix_spawn(command[0], command, env))
codes = []
for pid in pids:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    codes.append(code if code >= 0 else 128 - code)
sys.exit(max(codes))
'''


def install_srun(directory: Path) -> dict[str, str]:
    """Put the stand-in on a PATH of its own; the variables that make the batch script find it."""
    directory.mkdir(exist_ok=True)
    program = directory / "srun"
    program.write_text(SRUN.format(python=sys.executable))
    program.chmod(0o755)
    return {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}", "SRUN_LOG": str(directory / "srun.log")}


def start(job_dir: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The batch script, started as slurmstepd starts it: output to files, behind that of earlier attempts, in a session of its own."""
    with (job_dir / jobdir.STDOUT).open("ab") as out, (job_dir / jobdir.STDERR).open("ab") as err:
        return subprocess.Popen(
            ["/bin/sh", str(job_dir / jobdir.SCRIPT)],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def run(job_dir: Path, env: Mapping[str, str]) -> int:
    """Run the batch script to its end; its exit code, negative for a signal."""
    with start(job_dir, env) as process:
        try:
            return process.wait(SECONDS)
        except BaseException:
            process.kill()
            raise


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {what}"
        pause.wait(0.01)
