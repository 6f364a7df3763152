"""``slurmkit jobs`` and ``slurmkit clean``: what is in a job root, and what of it goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slurmkit
from fakeslurm import FakeSlurm, Simulated, VirtualClock
from slurmkit import Cluster, OptionError
from slurmkit.housekeeping import Entry, age_in_seconds, removable, survey

DAY = 86400.0


@slurmkit.task
def work(number: int = 0) -> int:
    raise NotImplementedError("it is simulated")


def command(slurm: FakeSlurm, *words: str, job_root: Path) -> subprocess.CompletedProcess[str]:
    program = "from slurmkit.cli import main; main()"
    argv = [sys.executable, "-c", program, *words, "--job-root", str(job_root)]
    return subprocess.run(argv, env=slurm.environ(), capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    clock = VirtualClock()
    with FakeSlurm(clock=clock) as slurm, clock.participate():
        slurm.simulate(lambda job: Simulated(10.0, exit_code=3) if job.name == "bad" else Simulated(10.0, result=1))
        yield slurm


def states(slurm: FakeSlurm, root: Path) -> dict[str, str]:
    return {entry.job_dir.name: entry.state for entry in survey(root, slurm.backend(), slurm.clock.time())}


def test_what_there_is(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        good = cluster.submit(work).wait()
        bad = cluster.submit(work.with_options(job_name="bad")).wait()
        array = cluster.map(work, range(3))
        array.wait()
        running = cluster.submit(work)
        slurm.advance(1)
        held = cluster.submit(work.with_options(hold=True))
        slurm.calls.clear()
        entries = survey(tmp_path, slurm.backend(), slurm.clock.time())
        asked = slurm.calls.count("squeue"), slurm.calls.count("sacct")
    assert asked == (1, 0)
    assert [entry.state for entry in entries] == ["COMPLETED", "FAILED", "3 COMPLETED", "RUNNING", "PENDING"]
    assert [entry.is_over for entry in entries] == [True, True, True, False, False]
    assert [entry.job_ids for entry in entries] == [
        (good.job_id,),
        (bad.job_id,),
        array.job_ids,
        (running.job_id,),
        (held.job_id,),
    ]
    assert {entry.function for entry in entries} == {f"{__name__}.work"}


def test_an_array_is_as_old_as_its_latest_element(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        array = cluster.map(work, range(3))
        array.wait()
    now = slurm.clock.time()
    for path in (array.job_dir, *(job.job_dir for job in array)):
        os.utime(path, (now + DAY, now + DAY))
    os.utime(array[1].job_dir, (now + 2 * DAY, now + 2 * DAY))
    assert [entry.touched - now for entry in survey(tmp_path, slurm.backend(), now)] == pytest.approx([2 * DAY])


def test_what_slurmctld_has_forgotten(slurm: FakeSlurm, tmp_path: Path) -> None:
    """Accounting knows it, or else the job's own journal; of what nobody knows anything it is said so."""
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        jobs = [cluster.submit(work).wait() for _ in range(2)]
        slurm.advance(DAY)
        assert set(states(slurm, tmp_path).values()) == {"COMPLETED"}
        with slurm.fault("accounting_off"):
            assert set(states(slurm, tmp_path).values()) == {"COMPLETED"}
            (jobs[0].job_dir / "journal.jsonl").unlink()
            assert states(slurm, tmp_path) == {jobs[0].job_dir.name: "LOST", jobs[1].job_dir.name: "COMPLETED"}


def test_a_submission_that_did_not_come_about(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        job = cluster.submit(work)
        known = json.loads((job.job_dir / "job.json").read_text())
        forgotten = tmp_path / "20261123-204303-3f9a1c7e02b4"
        forgotten.mkdir(mode=0o700)
        record = {**known, "job_id": None, "pre_submission_id": forgotten.name, "created": 1.0}
        (forgotten / "job.json").write_text(json.dumps(record))
        (job.job_dir / "job.json").write_text(json.dumps({**known, "job_id": None}))
        (tmp_path / "notes").mkdir()
        found = survey(tmp_path, slurm.backend(), slurm.clock.time())
    assert {entry.job_dir: (entry.job_ids, entry.state, entry.is_over) for entry in found} == {
        forgotten: ((), "NOT_SUBMITTED", True),
        job.job_dir: ((job.job_id,), "RUNNING", False),
    }


def test_an_array_whose_client_died_is_alive(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        array = cluster.map(work, range(3))
        path = array.job_dir / "job.json"
        record = json.loads(path.read_text())
        record["job_id"] = None
        for part in record["array"]["parts"]:
            part["job_id"] = None
        path.write_text(json.dumps(record))
        [found] = survey(tmp_path, slurm.backend(), slurm.clock.time())
    assert (found.job_ids, found.state, found.is_over) == (array.job_ids, "3 RUNNING", False)


def test_another_job_under_the_same_id_is_not_looked_at(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        job = cluster.submit(work).wait()
    slurm.advance(10)
    with slurm.fault("reused_ids"):
        slurm.advance(1)
        with Cluster(slurm.backend(), job_root=tmp_path / "other") as cluster:
            assert cluster.submit(work).job_id == job.job_id
            assert states(slurm, tmp_path) == {job.job_dir.name: "COMPLETED"}


def test_slurm_does_not_answer(tmp_path: Path) -> None:
    with FakeSlurm() as slurm:
        slurm.simulate(Simulated(0.0, result=1))
        with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
            job = cluster.submit(work).wait(60)
        with slurm.fault("controller_down"):
            done = command(slurm, "clean", "--older-than", "0s", job_root=tmp_path)
    assert done.returncode == 1
    assert "Unable to contact slurm controller" in done.stderr
    assert job.job_dir.is_dir()


def test_clean_beside_a_submission(tmp_path: Path) -> None:
    """At any moment of it, whatever is asked for: nothing of it is removed."""
    seen = []

    def clean(event: str, hook: Any, slurm: FakeSlurm, root: Path) -> None:
        found = survey(root, slurm.backend(), time.time())
        states = ["NOT_SUBMITTED", "LOST", "COMPLETED"]
        assert list(removable(found, time.time(), older_than=0.0, states=states)) == []
        assert list(removable(found, time.time(), older_than=0.0)) == []
        seen.extend((event, one.state) for one in found)

    class Cleans(slurmkit.BaseCallback):
        requires_pickling = False

        def on_begin_submit_job_ctx(self, ctx: Any) -> None:
            clean("begin", ctx, slurm, tmp_path)

        def on_end_submit_job_ctx(self, ctx: Any) -> None:
            clean("end", ctx, slurm, tmp_path)

    with FakeSlurm(conf=["MaxArraySize=2"]) as slurm:
        slurm.simulate(Simulated(60.0, result=1))
        backend = slurm.backend()
        submit = backend.submit

        def submit_and_clean(script: Path, *, cwd: Path) -> Any:
            submission = submit(script, cwd=cwd)
            clean("sbatch", None, slurm, tmp_path)
            return submission

        backend.submit = submit_and_clean  # type: ignore[method-assign]
        with Cluster(backend, job_root=tmp_path, callbacks=[Cleans()]) as cluster:
            cluster.submit(work)
            cluster.map(work, range(3))
    assert seen[:3] == [("begin", "NOT_SUBMITTED"), ("sbatch", "RUNNING"), ("end", "RUNNING")]
    assert [state for event, state in seen if "NOT_SUBMITTED" in state] == [
        "NOT_SUBMITTED",
        "3 NOT_SUBMITTED",
        "1 NOT_SUBMITTED, 2 RUNNING",
    ]


def entry(name: str, touched: float, *, is_over: bool = True, **states: int) -> Entry:
    return Entry(Path(name), "m.f", 0.0, touched, ("1",), states, is_over)


def names(*arguments: Any, **options: Any) -> list[str]:
    return [one.job_dir.name for one in removable(*arguments, **options)]


def test_what_can_go() -> None:
    entries = [
        entry("old", 0.0, COMPLETED=1),
        entry("young", 60.0, COMPLETED=1),
        entry("failed", 0.0, FAILED=1),
        entry("mixed", 0.0, FAILED=1, COMPLETED=9),
        entry("live", 0.0, is_over=False, RUNNING=1),
        entry("partly live", 0.0, is_over=False, COMPLETED=9, PENDING=1),
        entry("lost", 0.0, LOST=1),
        entry("never", 0.0, NOT_SUBMITTED=1),
    ]
    assert names(entries, 100.0, older_than=41.0) == ["old", "failed", "mixed"]
    assert names(entries, 100.0, older_than=40.0) == ["old", "young", "failed", "mixed"]
    assert names(entries, 100.0, older_than=0.0, states=["COMPLETED"]) == ["old", "young"]
    assert names(entries, 100.0, older_than=0.0, states=["COMPLETED", "FAILED"]) == ["old", "young", "failed", "mixed"]
    assert names(entries, 100.0, older_than=0.0, states=["RUNNING"]) == []
    assert names(entries, 100.0, older_than=0.0, states=["LOST", "NOT_SUBMITTED"]) == ["lost"], (
        "it may be being submitted"
    )
    assert names(entries, 3599.0, older_than=0.0, states=["NOT_SUBMITTED"]) == []
    assert names(entries, 3600.0, older_than=0.0, states=["LOST", "NOT_SUBMITTED"]) == ["lost", "never"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("45s", 45), ("90m", 5400), ("12h", 43200), ("30d", 30 * DAY), ("2w", 14 * DAY)]
)
def test_ages(text: str, seconds: float) -> None:
    assert age_in_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "1 d", "1y"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(OptionError, match="valid: a whole number and one of s, m, h, d, w"):
        age_in_seconds(text)


def test_the_commands(tmp_path: Path) -> None:
    with FakeSlurm() as slurm:
        slurm.simulate(
            lambda job: (
                Simulated(0.0, exit_code=3)
                if job.name == "bad"
                else Simulated(600.0 if job.name == "long" else 0.0, result=1)
            )
        )
        with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
            good, bad = cluster.submit(work), cluster.submit(work.with_options(job_name="bad"))
            live = cluster.submit(work.with_options(job_name="long"))
            good.wait(60)
            bad.wait(60)
            slurm.wait_for(lambda: live.state == "RUNNING")
        for job in (good, bad, live):
            os.utime(job.job_dir, (time.time(), time.time() - 2 * DAY))

        listed = command(slurm, "jobs", job_root=tmp_path)
        assert listed.returncode == 0, listed.stderr
        assert [line.split()[:2] for line in listed.stdout.splitlines()] == [
            [good.job_id, "COMPLETED"],
            [bad.job_id, "FAILED"],
            [live.job_id, "RUNNING"],
        ]
        only = command(slurm, "jobs", "--json", "--state", "failed", job_root=tmp_path)
        [found] = [json.loads(line) for line in only.stdout.splitlines()]
        assert (found["job_id"], found["states"], found["is_over"]) == (bad.job_id, {"FAILED": 1}, True)
        assert (found["function"], found["job_dir"]) == (f"{__name__}.work", str(bad.job_dir))

        young = command(slurm, "clean", job_root=tmp_path)
        assert young.stdout == "0 of 3 job directories removed\n"
        bogus = command(slurm, "clean", "--older-than", "soon", job_root=tmp_path)
        assert (bogus.returncode, "is no age" in bogus.stderr) == (2, True)
        bogus = command(slurm, "jobs", "--state", "DONE", job_root=tmp_path)
        assert (bogus.returncode, "'DONE' is no state" in bogus.stderr) == (2, True)
        said = command(slurm, "clean", "--older-than", "0s", "--dry-run", job_root=tmp_path).stdout
        assert (
            said
            == f"would remove {good.job_dir} (COMPLETED)\nwould remove {bad.job_dir} (FAILED)\n2 of 3 job directories would be removed\n"
        )
        assert good.job_dir.is_dir()
        said = command(slurm, "clean", "--older-than", "0s", "--state", "COMPLETED", job_root=tmp_path).stdout
        assert said == f"removed {good.job_dir} (COMPLETED)\n1 of 3 job directories removed\n"
        assert Counter(path.name for path in tmp_path.iterdir()) == {bad.job_dir.name: 1, live.job_dir.name: 1}
        assert "1 of 2" in command(slurm, "clean", "--older-than", "0s", job_root=tmp_path).stdout
        assert [path.name for path in tmp_path.iterdir()] == [live.job_dir.name]
