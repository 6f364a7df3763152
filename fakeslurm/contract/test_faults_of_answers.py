"""Answers that are late, changed on their way, or never heard: a limit of the rate, wrappers of the commands, a client that is killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from fakeslurm.contract import recorder
from fakeslurm.contract.harness import Result, SlurmUnderTest, until
from slurmkit import Cluster
from slurmkit.backends.cli import CliBackend, CommandResult, subprocess_execute
from slurmkit.errors import SchedulerError

# A limit of the rate

LIMIT = "SlurmctldParameters=rl_enable,rl_bucket_size=1,rl_refill_rate=1,rl_refill_period=2"
NOBODY = 65534


@attrs.frozen
class Limited:
    """A user who has asked too often: plain commands, slurmkit's backend, and a directory that this user can read."""

    run: Callable[..., Result]
    backend: CliBackend
    directory: Path


def as_nobody(argv: Sequence[str], **how: Any) -> CommandResult:
    return subprocess_execute(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv], **how)


@contextmanager
def limited(slurm: SlurmUnderTest) -> Iterator[Limited]:
    """root and SlurmUser have no limit: on the real Slurm another user asks, with a slurm.conf that this one can read."""
    if slurm.fake is not None:
        with slurm.fake.fault("rate_limited", seconds=1):
            yield Limited(slurm.run, slurm.backend(), slurm.workdir)
        return
    assert slurm.real is not None
    if os.geteuid() != 0:
        pytest.skip("only root can ask as another user, and who started the throwaway Slurm has no rate limit")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        conf = Path(shutil.copy(slurm.real.conf, directory))
        conf.chmod(0o644)
        environ = {**slurm.base_environment, "SLURM_CONF": str(conf)}

        def run(*argv: str) -> Result:
            done = as_nobody(argv, cwd=directory, env=environ, timeout=90)
            return Result(done.returncode, done.stdout, done.stderr)

        yield Limited(run, CliBackend(as_nobody, environ=environ), directory)
        log = (slurm.real.directory / "log/slurmctld.log").read_text()
        assert f"RPC rate limit exceeded by uid {NOBODY}" in log
        slurm.run("scancel", f"--user={NOBODY}")


def is_late(call: Callable[[], object]) -> bool:
    """Who is told to come back does so after a second, and then ever later."""
    start = time.monotonic()
    call()
    return time.monotonic() - start >= 1


@pytest.mark.slurm_version(min="23.02")
@pytest.mark.slurm_conf(LIMIT)
def test_who_asks_too_often_waits_and_is_told_nothing(slurm: SlurmUnderTest) -> None:
    with limited(slurm) as user:
        expected = [
            ("sbatch -H -J mine -o /dev/null --wrap=true", r"Submitted batch job \d+\n"),
            ("squeue -h -n mine -o %T", r"(PENDING\n)+"),
            ("scontrol show partition debug", r"PartitionName=debug\n(?s:.+)"),
            ("scancel -n mine", ""),
        ]

        def ask(call: str, text: str) -> None:
            done = user.run(*call.split())
            assert (done.returncode, done.stderr) == (0, "")
            assert re.fullmatch(text, done.stdout), done

        for call, text in expected:
            until(partial(is_late, partial(ask, call, text)), what=f"{call}, which was told to come back")
        until(lambda: user.run("scontrol", "ping").returncode == 1, what="a ping that does not wait")


@pytest.mark.slurm_version(min="23.02")
@pytest.mark.slurm_conf(LIMIT)
def test_slurmkit_waits_with_its_commands(slurm: SlurmUnderTest) -> None:
    with limited(slurm) as user:
        script = user.directory / "job.sh"
        script.write_text("#!/bin/sh\n#SBATCH --hold --comment=a-token --output=/dev/null\n")

        def use() -> None:
            job_id = user.backend.submit(script, cwd=user.directory).job_id
            assert user.backend.queue([job_id])[job_id]["Comment"] == "a-token"
            user.backend.cancel([job_id])

        assert is_late(use)  # several requests within a second, and one token in two


# Wrappers

BANNER = "*** Maintenance on 2030-02-01 ***\n"
WRAPPER = """#!{python}
import os, signal, subprocess, sys, time
{before}
done = subprocess.run([{program!r}, *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
out, err = done.stdout, done.stderr
{after}
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(done.returncode)
"""


@attrs.frozen
class Wrapped:
    """A fault, its options, what a wrapper does to the answer (`out`, `err`) that amounts to it, and what sbatch prints then."""

    fault: str
    options: Mapping[str, Any]
    change: str
    stdout: str
    stderr: str = ""


WRAPPERS = [
    Wrapped("slow", {"seconds": 1}, "time.sleep(1)", r"Submitted batch job \d+\n"),
    Wrapped("truncated_output", {}, "out = out[:len(out) // 2]", "Submitted b[a-z]*"),
    Wrapped(
        "garbled_output",
        {"before": BANNER, "after": "bye", "on_stderr": "module: loading slurm\n"},
        f"out, err = {BANNER!r} + out + 'bye', 'module: loading slurm\\n' + err",
        re.escape(BANNER) + r"Submitted batch job \d+\nbye",
        "module: loading slurm\n",
    ),
    Wrapped(
        "localised_output",
        {"words": {"Submitted batch job": "Batch-Job uebergeben:"}},
        "out = out.replace('Submitted batch job', 'Batch-Job uebergeben:')",
        r"Batch-Job uebergeben: \d+\n",
    ),
]


@contextmanager
def wrapped(slurm: SlurmUnderTest, how: Wrapped, command: str) -> Iterator[Mapping[str, str]]:
    """The fault; or a program of the command's name that comes before it on PATH: the environment of its callers."""
    if slurm.fake is not None:
        with slurm.fake.fault(how.fault, commands=[command], **how.options):
            yield slurm.base_environment
        return
    yield behind_a_wrapper(slurm, command, after=how.change)


def behind_a_wrapper(slurm: SlurmUnderTest, command: str, *, before: str = "", after: str = "") -> Mapping[str, str]:
    """The environment in which a program does this before, and after, it calls the command whose name it has."""
    path = slurm.base_environment["PATH"]
    program = shutil.which(command, path=path)
    assert program is not None
    wrapper = slurm.workdir / "wrappers" / command
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(WRAPPER.format(python=sys.executable, program=program, before=before, after=after))
    wrapper.chmod(0o755)
    return {**slurm.base_environment, "PATH": f"{wrapper.parent}{os.pathsep}{path}"}


def backend(slurm: SlurmUnderTest, environ: Mapping[str, str]) -> CliBackend:
    return slurm.backend() if slurm.kind == "fake" else CliBackend(environ=environ)


@pytest.mark.parametrize("how", WRAPPERS, ids=lambda how: how.fault)
def test_what_a_wrapper_prints(slurm: SlurmUnderTest, how: Wrapped) -> None:
    with wrapped(slurm, how, "sbatch") as environ:
        start = time.monotonic()
        done = slurm.run("sbatch", "-J", "wrapped", "-o", "/dev/null", "--wrap=true", env=environ)
        took = time.monotonic() - start
    assert re.fullmatch(how.stdout, done.stdout), done
    assert (done.returncode, done.stderr) == (0, how.stderr)
    assert took >= how.options.get("seconds", 0)
    slurm.wait_idle()


@pytest.mark.parametrize("how", WRAPPERS, ids=lambda how: how.fault)
def test_slurmkit_submits_once_whatever_a_wrapper_prints(slurm: SlurmUnderTest, how: Wrapped) -> None:
    with (
        wrapped(slurm, how, "sbatch") as environ,
        Cluster(backend(slurm, environ), job_root=slurm.workdir / "jobs") as cluster,
    ):
        name = slurm.workdir.name
        job = cluster.submit(recorder.add.with_options(job_name=name), 40, b=2)
        assert job.result(timeout=60) == 42
        assert slurm.run("squeue", "-h", "-t", "all", "-n", name, "-o", "%i").stdout == f"{job.job_id}\n"


@pytest.mark.parametrize("how", WRAPPERS, ids=lambda how: how.fault)
def test_slurmkit_takes_no_state_from_half_an_answer(slurm: SlurmUnderTest, how: Wrapped) -> None:
    job_id = slurm.sbatch("true", "-H", "-o", "/dev/null")
    with wrapped(slurm, how, "squeue") as environ:
        asked = backend(slurm, environ)
        if how.fault in ("truncated_output", "garbled_output"):  # the last line has no end
            with pytest.raises(SchedulerError, match="cut off"):
                asked.queue([job_id])
        else:
            assert asked.queue([job_id])[job_id]["JobState"] == "PENDING"


# Clients

CLIENT = """
import sys
from pathlib import Path
from fakeslurm.contract import recorder
from slurmkit import Cluster, UnknownJob

sys.stdin.readline()
root = Path(sys.argv[1])
with Cluster("slurm", job_root=root) as cluster:
    jobs = []
    for path in root.iterdir() if root.is_dir() else ():
        try:
            jobs.append(cluster.attach(path))
        except UnknownJob:
            pass  # its submission has never happened
    job = jobs[0] if jobs else cluster.submit(recorder.add.with_options(job_name=root.parent.name), 40, b=2)
    print(job.result(timeout=60))
"""


@pytest.mark.parametrize("at", ["request", "answer"])
def test_a_client_that_is_killed_while_sbatch_runs(slurm: SlurmUnderTest, at: str) -> None:
    """Started again, it follows the job that there is, or submits the one that there is not."""

    def start(environ: Mapping[str, str]) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", CLIENT, str(slurm.workdir / "jobs")]
        return subprocess.Popen(argv, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def jobs() -> int:
        return len(slurm.run("squeue", "-h", "-t", "all", "-n", slurm.workdir.name).stdout.splitlines())

    with ExitStack() as stack:
        environ = slurm.base_environment
        if slurm.fake is None:
            kill = "os.kill(os.getppid(), signal.SIGKILL); sys.exit()"
            environ = behind_a_wrapper(slurm, "sbatch", **{"before" if at == "request" else "after": kill})
        first = stack.enter_context(start(environ))
        if slurm.fake is not None:
            stack.enter_context(slurm.fake.fault("client_killed", pid=first.pid, at=at, commands=["sbatch"]))
        assert first.communicate("go\n", timeout=90)[0] == ""
        assert first.returncode == -signal.SIGKILL
    assert jobs() == (at == "answer")
    with start(slurm.base_environment) as second:
        assert second.communicate("go\n", timeout=90)[0] == "42\n"
    assert jobs() == 1


# Languages


def test_slurm_speaks_one_language(slurm: SlurmUnderTest) -> None:
    """None of its programs calls setlocale: texts of the C library, numbers and times are those of the locale C."""
    job = slurm.sbatch("true")
    slurm.accounted(job, "End")
    calls = [
        "sbatch nofile",
        "squeue -j 99999999",
        "scontrol show job 99999999",
        "sacct -j abc",
        "sinfo -h -o %P",
        f"sacct -n -X -j {job} -o JobID,Submit,End,State",
    ]
    german = {"LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de"}
    made = slurm.workdir / "de_DE.UTF-8"
    if slurm.is_real and shutil.which("localedef") is not None:  # which needs the package locales, too
        made_it = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", made], capture_output=True, check=False)
        if made_it.returncode == 0:
            german["LOCPATH"] = str(made.parent)
    for call in calls:
        plain, translated = (slurm.run(*call.split(), env=env) for env in ({"LC_ALL": "C"}, german))
        assert plain == translated, call
    if slurm.is_real:
        for command in dict.fromkeys(call.split()[0] for call in calls):
            program = shutil.which(command, path=slurm.base_environment["PATH"])
            assert program is not None
            assert b"setlocale" not in Path(program).read_bytes()
