"""Sites that differ: commands that are wrapped, in another language, slow or silent; nodes with another Python, or without the job root."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakeslurm import FakeSlurm
from fakeslurm.contract.harness import until
from slurmkit import Cluster, JobFailed, SubmissionError, task
from slurmkit.backends import cli
from slurmkit.backends.cli import CliBackend

SECONDS = 60
COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "scancel")

Wrap = Callable[..., CliBackend]


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm(nodes=2, cpus_per_node=4) as slurm:
        yield slurm


@pytest.fixture
def wrap(slurm: FakeSlurm, tmp_path: Path) -> Wrap:
    """A backend whose commands on PATH are shell scripts of the site; ``OWN`` in them is Slurm's own command."""
    wrappers = tmp_path / "wrappers"
    wrappers.mkdir()
    environ = slurm.environ()

    def make(text: str, *commands: str) -> CliBackend:
        for command in commands or COMMANDS:
            own = shutil.which(command, path=environ["PATH"])
            assert own is not None
            path = wrappers / command
            path.write_text(f"#!/bin/sh\n{text.replace('OWN', own)}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return CliBackend(environ={**environ, "PATH": f"{wrappers}:{environ['PATH']}"})

    return make


BANNER = r"""
printf '*** Welcome to Alps ***\nmaintenance | tonight\n\n'
OWN "$@"
code=$?
printf 'Bye.\n'
exit $code
"""


def test_banners_on_stdout(wrap: Wrap, slurm: FakeSlurm, tmp_path: Path) -> None:
    backend = wrap(BANNER)
    with Cluster(backend, job_root=tmp_path / "jobs") as cluster:
        one, two = cluster.submit(add, 1), cluster.submit(add.with_options(hold=True), 2)
        assert one.result(timeout=SECONDS) == 1
        assert (two.state, two.status()["JobName"]) == ("PENDING", "add")
        assert backend.find([two.job_dir.name]) == {two.job_dir.name: two.job_id}
        shown = backend.show(two.job_id)[two.job_id]
        assert (shown["JobName"], shown["JobState"], shown["Comment"]) == ("add", "PENDING", two.job_dir.name)
        booked = until(lambda: backend.accounting([one.job_id]), what="sacct has it")
        assert booked[one.job_id]["JobState"] == "COMPLETED"
        assert two.cancel()
        assert two.exception(timeout=SECONDS) is not None
        assert two.cancelled()


def test_an_sbatch_that_names_the_cluster(wrap: Wrap, tmp_path: Path) -> None:
    """As in a federation."""
    backend = wrap("""OWN "$@" | sed 's/$/;alps/'""", "sbatch")
    with Cluster(backend, job_root=tmp_path / "jobs") as cluster:
        job = cluster.submit(add, 1)
        assert job.job_id.isdecimal()
        assert job.result(timeout=SECONDS) == 1


def test_an_sbatch_that_answers_in_its_own_words(wrap: Wrap, slurm: FakeSlurm, tmp_path: Path) -> None:
    """It succeeded, and has said no id: the job is found by its token, and not submitted again."""
    backend = wrap("""OWN "$@" >/dev/null && echo "Stapeljob wurde eingereicht" """, "sbatch")
    with Cluster(backend, job_root=tmp_path / "jobs") as cluster:
        assert cluster.submit(add, 1).result(timeout=SECONDS) == 1
    assert slurm.calls.count("sbatch") == 1


def test_an_sbatch_that_refuses_in_another_language(wrap: Wrap, slurm: FakeSlurm, tmp_path: Path) -> None:
    backend = wrap("echo 'sbatch: Fehler: Konto überzogen' >&2; exit 1", "sbatch")
    with Cluster(backend, job_root=tmp_path / "jobs") as cluster:
        with pytest.raises(SubmissionError, match="exit code 1: sbatch: Fehler: Konto überzogen"):
            cluster.submit(add, 1)
        assert list(cluster.job_root.iterdir()) == []


def test_who_may_not_see_the_jobs_of_others(wrap: Wrap, tmp_path: Path) -> None:
    """Nobody asks about them."""
    refuse = """
    case " $* " in *" --me "*|*" --jobs="*) exec OWN "$@";; esac
    echo 'squeue: error: access denied' >&2
    exit 1
    """
    with Cluster(wrap(refuse, "squeue"), job_root=tmp_path / "jobs") as cluster:
        jobs = [cluster.submit(add, n) for n in range(3)]
        assert [job.result(timeout=SECONDS) for job in jobs] == [0, 1, 2]
        assert cluster.submit(add, 5).result(timeout=SECONDS) == 5


def test_commands_in_a_language_of_the_user(wrap: Wrap, tmp_path: Path) -> None:
    """What is parsed is asked for in the C locale; the job itself has the user's."""
    check = """
    [ "$LC_ALL" = C ] || { echo "der Gebietsschemawert ist $LC_ALL" >&2; exit 1; }
    exec OWN "$@"
    """
    backend = wrap(check, "squeue", "sacct", "scontrol", "scancel")
    assert backend._environ is not None
    environ = {**backend._environ, "LC_ALL": "C.UTF-8"}
    with Cluster(CliBackend(environ=environ), job_root=tmp_path / "jobs") as cluster:
        assert cluster.submit(language).result(timeout=SECONDS) == "C.UTF-8"


@task
def language() -> str | None:
    import os

    return os.environ.get("LC_ALL")


def test_an_sacct_that_does_not_answer(
    wrap: Wrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as squeue knows the job nobody needs it."""
    monkeypatch.setattr(cli, "QUERY_TIMEOUT", 5.0)
    with Cluster(wrap("exec sleep 1000", "sacct"), job_root=tmp_path / "jobs") as cluster:
        assert cluster.submit(add, 1).result(timeout=SECONDS) == 1
    assert "sacct" not in caplog.text


# --- nodes that differ --------------------------------------------------------------------------------------------------


def held(cluster: Cluster, function: Any, *args: Any) -> Any:
    return cluster.submit(function.with_options(hold=True), *args)


@pytest.mark.parametrize("ntasks", [1, 2])
def test_another_python_on_the_node(slurm: FakeSlurm, ntasks: int) -> None:
    """Found before anything is unpickled."""
    with Cluster(slurm.backend()) as cluster:
        job = held(cluster, add.with_options(ntasks=ntasks), 1)
        path = job.job_dir / "job.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "python_version": "3.99.1"}))
        for name in ("function.pkl", "args.pkl", "kwargs.pkl"):
            (job.job_dir / name).write_bytes(b"not to be read")
        slurm.execute(["scontrol", "release", job.job_id])
        error = job.exception(timeout=SECONDS)
        assert isinstance(error, JobFailed)
        assert error.exit_code == "70:0"
        assert "on n1, and the job was submitted from Python 3.99: pickles do not go from one to the other" in str(
            error
        )
