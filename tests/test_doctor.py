"""``slurmkit doctor``: what it says of a site, and of sites where something is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakeslurm import FakeSlurm, VirtualClock
from fakeslurm.throwaway import ThrowawaySlurm, unavailable_reason
from slurmkit.doctor import Finding, examine, judge_commands, judge_configuration

CONFIGURATION = """\
Configuration data as of 2026-11-23T20:43:03
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = alps
MaxArraySize            = 1001
MinJobAge               = 300 sec
SLURM_VERSION           = 22.05.8
"""


def doctor(environ: Mapping[str, str], root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = "from slurmkit.cli import main; main()"
    argv = [sys.executable, "-c", program, "doctor", "--job-root", str(root), *words]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120, check=False)


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """What is said of each thing: level and text."""
    found = {}
    for line in done.stdout.splitlines():
        if not line.startswith(" "):
            about, _, says = line[8:].partition(": ")
            found[about] = (line[:8].strip(), says)
    return found


def level(findings: list[Finding], about: str) -> str:
    return next(finding.level for finding in findings if finding.about == about)


def test_a_site_that_is_well(tmp_path: Path) -> None:
    with FakeSlurm() as slurm:
        done = doctor(slurm.environ(), tmp_path / "jobs")
    assert (done.returncode, done.stderr) == (0, "")
    said = lines(done)
    assert said["Slurm"] == ("ok", "22.05.8, fake")
    assert said["arrays"] == ("ok", "indices up to 1000 (MaxArraySize = 1001)")
    assert said["job"] == ("ok", "the job directory is seen by its node, and the result is back")
    assert said["Python"][1].startswith(".".join(map(str, sys.version_info[:3])) + " on n1 ")
    assert said["job root"][0] == "warning", "it is under /tmp here"
    assert list((tmp_path / "jobs").iterdir()) == [], "what it has tried is gone"


@pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))
def test_a_real_slurm(tmp_path: Path) -> None:
    with ThrowawaySlurm() as slurm:
        done = doctor(slurm.environ(), tmp_path / "jobs")
    assert (done.returncode, done.stderr) == (0, "")
    assert {about for about, (level, _) in lines(done).items() if level != "ok"} <= {"job root", "MinJobAge"}


def test_nothing_is_submitted_unless_it_may_be(tmp_path: Path) -> None:
    with FakeSlurm() as slurm:
        done = doctor(slurm.environ(), tmp_path, "--no-submit")
        assert slurm.calls.count("sbatch") == 0
    assert done.returncode == 0
    assert "job" not in lines(done)


def test_a_refused_job_is_an_error(tmp_path: Path) -> None:
    with FakeSlurm() as slurm:
        done = doctor(slurm.environ(), tmp_path, "--option", "partition=nope")
    assert done.returncode == 1
    assert lines(done)["submission"][0] == "error"
    assert "Invalid partition name specified" in done.stdout
    assert "-> does the site want an account or a partition?" in done.stdout


@pytest.mark.parametrize(("word", "text"), [("partition", "is not NAME=VALUE"), ("partitoin=x", "partition")])
def test_an_option_that_is_none(tmp_path: Path, word: str, text: str) -> None:
    with FakeSlurm() as slurm:
        done = doctor(slurm.environ(), tmp_path, "--option", word)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_that_has_to_wait_is_cancelled(tmp_path: Path) -> None:
    with FakeSlurm(nodes=1, cpus_per_node=1) as slurm:
        slurm.execute(["sbatch", "--wrap=sleep 600"], cwd=tmp_path)
        done = doctor(slurm.environ(), tmp_path / "jobs", "--wait", "0.5")
        assert done.returncode == 0
        assert "PENDING (Resources); it was cancelled" in lines(done)["job"][1]
        assert slurm.execute(["squeue", "-h", "-n", "slurmkit-doctor"]).stdout == ""


def test_no_slurm_at_all(tmp_path: Path) -> None:
    done = doctor({"PATH": str(tmp_path)}, tmp_path / "jobs")
    assert done.returncode == 1
    assert lines(done)["sbatch"] == ("error", "is not on PATH: nothing can be submitted")
    assert not (tmp_path / "jobs").exists()


def test_a_controller_that_is_down(tmp_path: Path) -> None:
    with FakeSlurm() as slurm, slurm.fault("controller_down"):
        done = doctor(slurm.environ(), tmp_path / "jobs")
    assert done.returncode == 1
    assert lines(done)["slurmctld"][0] == "error"
    assert "Unable to contact slurm controller" in done.stdout


def test_a_job_root_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with FakeSlurm() as slurm:
        done = doctor(slurm.environ(), tmp_path / "file")
        assert slurm.calls.count("sbatch") == 0
    assert done.returncode == 1
    assert lines(done)["job root"][0] == "error"
    assert str(tmp_path / "file") in lines(done)["job root"][1]


class Elsewhere:
    """A Slurm whose nodes do not see the job root: what was submitted is not there any more when it starts."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def submit(self, script: Path, *, cwd: Path) -> Any:
        answer = self._backend.submit(script, cwd=cwd)
        script.parent.rename(script.parent.with_name("elsewhere"))
        return answer


def test_a_job_root_that_the_node_does_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock()
    with FakeSlurm(clock=clock) as slurm, clock.participate():
        for name, value in slurm.environ().items():
            monkeypatch.setenv(name, value)
        found = list(
            examine(
                job_root=tmp_path / "jobs",
                options={"begin": "now+5"},
                submit=True,
                patience=600,
                backend=Elsewhere(slurm.backend()),
            )
        )
    assert (found[-1].level, found[-1].about) == ("error", "job")
    assert "does not see that directory" in found[-1].advice


def test_a_site_that_changes_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Commenting(Elsewhere):
        def submit(self, script: Path, *, cwd: Path) -> Any:
            answer = self._backend.submit(script, cwd=cwd)
            slurm.execute(["scontrol", "update", f"jobid={answer.job_id}", "comment=billed"])
            return answer

    with FakeSlurm() as slurm:
        for name, value in slurm.environ().items():
            monkeypatch.setenv(name, value)
        found = list(
            examine(job_root=tmp_path, options={}, submit=True, patience=60, backend=Commenting(slurm.backend()))
        )
    assert (found[-1].level, found[-1].about) == ("warning", "comment")
    assert "'billed'" in found[-1].says


def test_commands() -> None:
    paths: dict[str, str | None] = dict.fromkeys(("sbatch", "squeue", "scancel", "scontrol", "sacct", "srun"), "/bin/x")
    assert {finding.level for finding in judge_commands(paths)} == {"ok"}
    for name, expected in {"squeue": "error", "scontrol": "error", "sacct": "warning", "srun": "warning"}.items():
        assert level(judge_commands({**paths, name: None}), name) == expected


@pytest.mark.parametrize(
    ("line", "about", "says"),
    [
        ("AccountingStorageType   = accounting_storage/none", "accounting", "is off"),
        ("AccountingStorageType   = (null)", "accounting", "is off"),
        ("MaxArraySize            = 1", "arrays", "are switched off"),
        ("MinJobAge               = 20 sec", "MinJobAge", "forgets a job 20 s after its end"),
    ],
)
def test_configurations(line: str, about: str, says: str) -> None:
    assert {finding.level for finding in judge_configuration(CONFIGURATION)} == {"ok"}
    name = line.split()[0]
    changed = "".join(line + "\n" if one.startswith(name) else one + "\n" for one in CONFIGURATION.splitlines())
    [found] = [finding for finding in judge_configuration(changed) if finding.level != "ok"]
    assert (found.level, found.about) == ("warning", about)
    assert says in found.says
    assert found.advice
