"""`Cluster`: what submitting does and leaves behind, attaching, closing."""

from __future__ import annotations

import json
import math
import pickle
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stub_slurm import StubSlurm

import slurmkit
from fakeslurm import FakeSlurm
from slurmkit import BaseCallback, Cluster, JobContext, SubmissionError, task
from slurmkit.backends.base import Submission
from slurmkit.packaging.base import PackagingResult
from slurmkit.packaging.inherit import Inherit


@task(time=5, nodes=2)
def train(x: int, *, job: JobContext) -> int:
    return x + job.rank


def double(x: int) -> int:
    return 2 * x


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def slurm() -> StubSlurm:
    return StubSlurm()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def cluster(slurm: StubSlurm, root: Path) -> Iterator[Cluster]:
    with Cluster(slurm, job_root=root) as cluster:
        yield cluster


# --- submitting -------------------------------------------------------------------------------------------------------


def test_the_job_directory(cluster: Cluster, slurm: StubSlurm, root: Path) -> None:
    job = cluster.submit(train, 3)
    assert job.job_dir.parent == root == cluster.job_root
    assert stat.S_IMODE(job.job_dir.stat().st_mode) == 0o700
    assert names(job.job_dir) == [
        "args.pkl",
        "function.pkl",
        "job.json",
        "kwargs.pkl",
        "output",
        "script.sh",
    ]
    record = json.loads((job.job_dir / "job.json").read_text())
    token = job.job_dir.name
    options = {
        "job_name": "train",
        "time": "5",
        "nodes": "2",
        "comment": token,
        "open_mode": "append",
        "output": str(job.job_dir / "stdout"),
        "error": str(job.job_dir / "stderr"),
    }
    created = record.pop("created")
    assert abs(created - job.job_dir.stat().st_mtime) < 60
    assert record == {
        "version": 1,
        "slurmkit": slurmkit.__version__,
        "pre_submission_id": token,
        "job_id": job.job_id,
        "cluster": "stub",
        "module": __name__,
        "function": "train",
        "inject": ["job"],
        "max_requeues": None,
        "options": options,
        "after": [],
        "packaging": "inherit",
        "python": str(Path(sys.executable).absolute()),
        "python_version": ".".join(map(str, sys.version_info[:3])),
        "sys_path": record["sys_path"],
        "callbacks": [],
    }
    script = (job.job_dir / "script.sh").read_text()
    assert f"#SBATCH --comment={token}\n" in script
    assert "#SBATCH --nodes=2\n" in script
    assert slurm.jobs[job.job_id].comment == token


def test_options_of_the_cluster_are_defaults(slurm: StubSlurm, root: Path) -> None:
    options = {"partition": "debug", "time": 60, "requeue": False}
    with Cluster(slurm, job_root=root, options=options) as cluster:
        script = (cluster.submit(train, 1).job_dir / "script.sh").read_text()
        assert "#SBATCH --partition=debug\n" in script
        assert "#SBATCH --time=5\n" in script
        assert "--time=60" not in script
        assert "#SBATCH --no-requeue\n" in script
        script = (cluster.submit(train.with_options(requeue=True), 1).job_dir / "script.sh").read_text()
        assert "no-requeue" not in script
    with pytest.raises(slurmkit.OptionError, match=r"Cluster\(options=\.\.\.\): unknown option 'tiem'"):
        Cluster(slurm, options={"tiem": 1})


class Life(BaseCallback):
    requires_pickling = False

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def on_begin_package_ctx(self, ctx: Any) -> None:
        self.heard.append(("begin package", ctx))

    def on_end_package_ctx(self, ctx: Any) -> None:
        self.heard.append(("end package", ctx))

    def on_begin_submit_job_ctx(self, ctx: Any) -> None:
        self.heard.append(("begin submit", ctx))
        assert (Path(ctx.job_dir) / "job.json").exists()

    def on_end_submit_job_ctx(self, ctx: Any) -> None:
        self.heard.append(("end submit", ctx))
        assert json.loads((Path(ctx.job_dir) / "job.json").read_text())["job_id"] == ctx.job_id
        assert ctx.job in ctx.cluster.jobs()


@pytest.mark.parametrize("how", ["submit", "map"])
def test_a_hook_that_is_interrupted_before_sbatch_leaves_nothing(slurm: StubSlurm, root: Path, how: str) -> None:
    class Interrupted(BaseCallback):
        requires_pickling = False

        def on_begin_submit_job_ctx(self, ctx: Any) -> None:
            raise KeyboardInterrupt

    with Cluster(slurm, job_root=root, callbacks=[Interrupted()]) as cluster:
        with pytest.raises(KeyboardInterrupt):
            cluster.submit(train, 1) if how == "submit" else cluster.map(train, [1])
        assert list(root.iterdir()) == []
        assert cluster.jobs() == []


def test_hooks_of_a_submission(slurm: StubSlurm, root: Path) -> None:
    life, mine = Life(), Life()
    with Cluster(slurm, job_root=root, callbacks=[life]) as cluster:
        job = cluster.submit(train.with_callbacks(mine, life), 1)
        assert [name for name, _ in life.heard] == ["begin package", "end package", "begin submit", "end submit"]
        assert [name for name, _ in mine.heard] == [name for name, _ in life.heard]
        contexts = dict(life.heard)
        for ctx in contexts.values():
            assert ctx.cluster is cluster
            assert ctx.task.func is train.func
        assert contexts["begin package"].packaging_config == {"strategy": "inherit"}
        assert contexts["end package"].packaging_result.strategy == "inherit"
        begin, end = contexts["begin submit"], contexts["end submit"]
        assert begin.sbatch_options == end.sbatch_options
        assert begin.sbatch_options["nodes"] == "2"
        with pytest.raises(TypeError):
            begin.sbatch_options["nodes"] = "3"
        assert begin.job_dir == end.job_dir == str(job.job_dir)
        assert begin.pre_submission_id == end.pre_submission_id == job.job_dir.name
        assert isinstance(begin.packaging_strategy, Inherit)
        assert end.job is job
        assert end.job_id == job.job_id
        assert all(ctx.duration >= 0 for ctx in (contexts["end package"], end))
        times = [ctx.timestamp for ctx in contexts.values()]
        assert times == sorted(times)


def test_a_failing_hook_does_not_stop_the_submission(
    slurm: StubSlurm, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Life):
        def on_begin_package_ctx(self, ctx: Any) -> None:
            raise ValueError("mine")

    with Cluster(slurm, job_root=root, callbacks=[Fails()]) as cluster:
        assert cluster.submit(double, 1).job_id == "1"
    assert "ValueError: mine" in caplog.text


def test_a_packaging_strategy_of_ones_own(slurm: StubSlurm, root: Path) -> None:
    class Mine:
        name = "mine"
        config = {"strategy": "mine", "level": 3}  # noqa: RUF012

        def package(self, task: Any) -> PackagingResult:
            return PackagingResult(
                strategy="mine",
                python="/opt/python",
                python_version="3.12.1",
                sys_path=("/opt/lib",),
                runner="/opt/runner.py",
                setup=("module load x",),
            )

    with Cluster(slurm, job_root=root, packaging=Mine()) as cluster:
        script = (cluster.submit(double, 1).job_dir / "script.sh").read_text()
        assert "module load x\n" in script
        assert "/opt/python" in script
    with pytest.raises(slurmkit.OptionError, match="packaging is 'wheel'; valid: 'inherit'"):
        Cluster(slurm, packaging="wheel")  # type: ignore[arg-type]


# --- what is wrong is found before sbatch, and leaves nothing behind -------------------------------------------------


class Unpicklable(BaseCallback):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def on_begin_run_job_ctx(self, ctx: Any) -> None: ...


class Impossible(BaseCallback):
    requires_pickling = False

    def on_begin_run_job_ctx(self, ctx: Any) -> None: ...


@pytest.mark.parametrize(
    ("error", "words", "wrong"),
    [
        (slurmkit.NotPicklable, "lock", lambda c: c.submit(double, threading.Lock())),
        (slurmkit.NotPicklable, "handle of this process", lambda c: c.submit(double, c)),
        (slurmkit.NotPicklable, "Unpicklable.lock", lambda c: c.submit(train.with_callbacks(Unpicklable()), 1)),
        (slurmkit.CallbackError, "Impossible", lambda c: c.submit(train.with_callbacks(Impossible()), 1)),
        (slurmkit.OptionError, "tiem", lambda c: c.submit(task(tiem=1)(double), 1)),
        (TypeError, r"double\(x.*missing a required argument: 'x'", lambda c: c.submit(double)),
        (TypeError, "unexpected keyword argument 'y'", lambda c: c.submit(double, 1, y=2)),
        (TypeError, "too many positional", lambda c: c.submit(train, 1, 2)),
        (TypeError, "is no function", lambda c: c.submit(3)),
    ],
)
def test_what_is_wrong_with_a_task(
    cluster: Cluster, slurm: StubSlurm, root: Path, error: type[Exception], words: str, wrong: Any
) -> None:
    with pytest.raises(error, match=words):
        wrong(cluster)
    assert slurm.calls["sbatch"] == len(slurm.jobs)
    assert {job.job_dir.name for job in slurm.jobs.values()} == set(names(root) if root.exists() else ())


def test_callbacks_of_the_cluster_are_checked_when_it_is_made(slurm: StubSlurm) -> None:
    with pytest.raises(slurmkit.CallbackError, match="Impossible"):
        Cluster(slurm, callbacks=[Impossible()])


def test_a_job_root_that_cannot_be(slurm: StubSlurm, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        Cluster(slurm, job_root=tmp_path / "file" / "jobs") as cluster,
        pytest.raises(slurmkit.JobDirectoryError, match=r"cannot make the job directory.*job_root"),
    ):
        cluster.submit(double, 1)
    assert slurm.calls["sbatch"] == 0
    assert names(tmp_path) == ["file"]


def test_a_full_disk_leaves_no_half_of_a_directory(
    cluster: Cluster, slurm: StubSlurm, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise slurmkit.JobDirectoryError("no space left")

    monkeypatch.setattr("slurmkit.jobdir.write_job", full)
    with pytest.raises(slurmkit.JobDirectoryError, match="no space left"):
        cluster.submit(double, 1)
    assert names(root) == []
    assert slurm.calls["sbatch"] == 0


def test_a_refused_job_leaves_nothing(cluster: Cluster, slurm: StubSlurm, root: Path) -> None:
    life = Life()
    slurm.refusal = SubmissionError("sbatch failed: Invalid qos", stderr="Invalid qos specification", returncode=1)
    with pytest.raises(SubmissionError, match="Invalid qos"):
        cluster.submit(task(callbacks=[life])(double), 1)
    assert names(root) == []
    assert [name for name, _ in life.heard] == ["begin package", "end package", "begin submit"]
    assert cluster.jobs() == []


def test_a_lost_job_keeps_its_directory(cluster: Cluster, slurm: StubSlurm, root: Path) -> None:
    class Leap:
        now = 0.0

        def time(self) -> float:
            return self.now

        monotonic = time

        def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
            self.now += timeout or 1.0
            return False

    slurm.refusal = slurmkit.SchedulerTimeout("sbatch did not answer")
    with Cluster(slurm, job_root=root, clock=Leap()) as patient, pytest.raises(slurmkit.SchedulerTimeout) as caught:
        patient.submit(double, 1)
    (kept,) = names(root)
    assert kept in str(caught.value)
    assert any(kept in note for note in caught.value.__notes__)


def test_an_answer_that_is_lost_is_found_by_the_token(
    slurm: StubSlurm, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = slurm.submit

    def lose(script: Path, *, cwd: Path) -> Submission:
        accept(script, cwd=cwd)
        raise slurmkit.SchedulerTimeout("sbatch did not answer")

    monkeypatch.setattr(slurm, "submit", lose)
    monkeypatch.setattr("slurmkit.backends.submission.LOOKUP_DELAYS", (0.01,))
    with Cluster(slurm, job_root=root) as cluster:
        job = cluster.submit(double, 21)
        slurm.run(job.job_id)
        assert job.result(timeout=60) == 42
    assert slurm.calls["sbatch"] == 1


def test_an_id_that_cannot_be_noted_is_no_reason_to_lose_the_job(
    cluster: Cluster, slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = slurmkit.jobdir.write_job

    def full_later(job_dir: Any, record: Any) -> None:
        if record["job_id"] is not None:
            raise slurmkit.JobDirectoryError("no space left")
        write(job_dir, record)

    monkeypatch.setattr("slurmkit.jobdir.write_job", full_later)
    job = cluster.submit(double, 1)
    assert "no space left" in caplog.text
    slurm.run(job.job_id)
    assert job.result(timeout=60) == 2


def test_builtins_and_context_by_hand(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(math.sqrt, 16.0)
    slurm.run(job.job_id)
    assert job.result(timeout=60) == 4.0
    given = cluster.submit(train, 1, job=JobContext.fake([2], rank=1))
    assert json.loads((given.job_dir / "job.json").read_text())["inject"] == []


# --- attaching --------------------------------------------------------------------------------------------------------


def test_attach(slurm: StubSlurm, root: Path) -> None:
    life = Life()
    with Cluster(slurm, job_root=root) as first:
        jobs = [first.submit(double, n) for n in range(3)]
        assert first.attach(jobs[0].job_id) is jobs[0]
        assert first.jobs() == jobs
    slurm.run(jobs[1].job_id)
    with Cluster(slurm, job_root=root, callbacks=[life]) as second:
        by_id = second.attach(int(jobs[1].job_id))
        by_directory = second.attach(jobs[2].job_dir)
        assert second.attach(str(jobs[1].job_dir)) is by_id
        assert by_id.result(timeout=60) == 2
        assert by_directory.state == "PENDING"
        assert [job.job_id for job in second.jobs()] == [job.job_id for job in jobs]
        assert second.jobs()[1:] == [by_id, by_directory]
        with pytest.raises(slurmkit.UnknownJob, match="there is no job 99 in"):
            second.attach("99")
        with pytest.raises(slurmkit.JobDirectoryError, match="is no job directory"):
            second.attach(root)


def test_attach_to_a_submission_whose_client_died(slurm: StubSlurm, root: Path) -> None:
    with Cluster(slurm, job_root=root) as cluster:
        job = cluster.submit(double, 4)
    path = job.job_dir / "job.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "job_id": None}))
    with Cluster(slurm, job_root=root) as cluster:
        assert cluster.attach(job.job_dir).job_id == job.job_id
    assert json.loads(path.read_text())["job_id"] == job.job_id  # for the time when Slurm has forgotten the job
    slurm.jobs.clear()
    path.write_text(json.dumps({**record, "job_id": None}))
    with Cluster(slurm, job_root=root) as cluster, pytest.raises(slurmkit.UnknownJob, match="was not finished"):
        cluster.attach(job.job_dir)


def test_attach_by_id_to_a_submission_whose_client_died(slurm: StubSlurm, root: Path) -> None:
    with Cluster(slurm, job_root=root) as cluster:
        job = cluster.submit(double, 4)
    forget_id(job.job_dir)
    with Cluster(slurm, job_root=root) as cluster:
        assert cluster.attach(job.job_id).job_dir == job.job_dir


def test_attach_to_a_submission_that_slurm_has_forgotten(slurm: StubSlurm, root: Path) -> None:
    """The client died before it could write the id down; the job has run, and has written its own."""
    with Cluster(slurm, job_root=root) as cluster:
        job = cluster.submit(double, 4)
    forget_id(job.job_dir)
    slurm.run(job.job_id)
    slurm.tokens_are_known = False
    with Cluster(slurm, job_root=root) as cluster:
        assert cluster.attach(job.job_dir).result(timeout=60) == 8


def forget_id(job_dir: Path) -> None:
    path = job_dir / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "job_id": None}))


def test_attach_takes_the_latest_of_a_reused_id(slurm: StubSlurm, root: Path) -> None:
    with Cluster(slurm, job_root=root) as cluster:
        old = cluster.submit(double, 1)
        slurm.jobs.clear()
        new = cluster.submit(double, 2)
        assert old.job_id == new.job_id
    with Cluster(slurm, job_root=root) as cluster:
        assert cluster.attach(new.job_id).job_dir == new.job_dir


@pytest.mark.parametrize("nonsense", ["", b""])
def test_attach_to_nothing(cluster: Cluster, nonsense: Any) -> None:
    with pytest.raises(slurmkit.UnknownJob, match=f"{nonsense!r} is neither the id of a job nor a job directory"):
        cluster.attach(nonsense)


# --- which Slurm ------------------------------------------------------------------------------------------------------


def test_no_slurm_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURMKIT_BACKEND", raising=False)
    makers: list[Callable[[], Cluster]] = [lambda: Cluster("slurm"), Cluster, Cluster.from_env]
    for make in makers:
        with pytest.raises(slurmkit.SchedulerNotFound, match=r'Cluster\("fake"\)'):
            make()


def test_from_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURMKIT_BACKEND", raising=False)
    with Cluster.from_env(job_root=tmp_path / "jobs") as cluster:
        assert (cluster.name, cluster.job_root) == ("slurm", tmp_path / "jobs")
    monkeypatch.setenv("SLURMKIT_BACKEND", "slurm")
    with Cluster.from_env() as cluster:
        assert cluster.name == "slurm"
    monkeypatch.setenv("SLURMKIT_BACKEND", "cloud")
    with pytest.raises(slurmkit.OptionError, match="SLURMKIT_BACKEND is 'cloud'; valid: 'slurm', 'fake'"):
        Cluster.from_env()
    for wrong in ("cloud", object()):
        with pytest.raises(slurmkit.OptionError, match="valid: 'slurm', 'fake', or an object"):
            Cluster(wrong)  # type: ignore[arg-type]


def test_the_job_root_of_a_fake_ends_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where another job root is set: nothing of a fake is left in a place that lasts. Its results can still be read."""
    monkeypatch.setenv("SLURMKIT_JOB_ROOT", str(tmp_path / "set"))
    with FakeSlurm() as slurm, Cluster(slurm.backend()) as cluster:
        job = cluster.submit(math.factorial, 5)
        assert cluster.job_root.parent == slurm.directory
        assert job.wait(timeout=60)
    assert job.result() == 120
    assert not cluster.job_root.exists()
    assert list(tmp_path.iterdir()) == []


def test_where_the_job_root_is(slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SLURMKIT_JOB_ROOT", raising=False)
    assert Cluster(slurm).job_root == tmp_path / ".slurmkit" / "jobs"
    monkeypatch.setenv("SLURMKIT_JOB_ROOT", str(tmp_path / "set"))
    assert Cluster(slurm).job_root == tmp_path / "set"
    monkeypatch.chdir(tmp_path)
    assert Cluster(slurm, job_root="here").job_root == tmp_path / "here"
    assert Cluster(slurm, job_root="~/there").job_root == tmp_path / "there"
    assert names(tmp_path) == [], "made with the first job"


# --- closing ----------------------------------------------------------------------------------------------------------


def test_closing(slurm: StubSlurm, root: Path) -> None:
    cluster = Cluster(slurm, job_root=root)
    running = cluster.submit(double, 1)
    slurm.start(running.job_id)
    cluster.close()
    cluster.close()
    assert slurm.calls["scancel"] == 0, "the jobs go on"
    assert slurm.calls["squeue"] == 1
    for use in (lambda: cluster.submit(double, 1), lambda: cluster.attach("1"), cluster.refresh):
        with pytest.raises(slurmkit.ClusterClosed):
            use()
    assert "closed" in repr(cluster)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(cluster)


def test_closing_asks_nobody_when_everything_is_known(slurm: StubSlurm, root: Path) -> None:
    with Cluster(slurm, job_root=root) as cluster:
        job = cluster.submit(double, 1)
        slurm.run(job.job_id)
        job.result(timeout=60)
        asked = slurm.calls["squeue"]
    assert slurm.calls["squeue"] == asked


def test_closing_survives_a_dead_scheduler(slurm: StubSlurm, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Cluster(slurm, job_root=root) as cluster:
        cluster.submit(double, 1)
        slurm.failure = slurmkit.SchedulerNotFound("no squeue")
    assert "not known at the end which jobs are over" in caplog.text


def test_refresh_is_one_request(cluster: Cluster, slurm: StubSlurm) -> None:
    jobs = [cluster.submit(double, n) for n in range(5)]
    for number in range(1, 4):
        cluster.refresh()
        assert slurm.calls["squeue"] == number
    assert {job.state for job in jobs} == {"PENDING"}
    assert slurm.calls["squeue"] == 3


def test_jobs_that_are_over_are_not_asked_about(cluster: Cluster, slurm: StubSlurm) -> None:
    first, second = cluster.submit(double, 1), cluster.submit(double, 2)
    cluster.refresh()
    assert slurm.asked_about == {first.job_id, second.job_id}
    slurm.run(first.job_id)
    first.result(timeout=60)
    cluster.refresh()
    assert slurm.asked_about == {second.job_id}
    slurm.run(second.job_id)
    second.result(timeout=60)
    asked = slurm.calls["squeue"]
    cluster.refresh()
    assert slurm.calls["squeue"] == asked
