"""The runner as Slurm would run it: the real batch script in a real process, with an environment such as Slurm makes.

srun is a stand-in of a few lines: here it matters what the leader makes of its ranks.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import runner_jobs
import runner_tasks as tasks
from runner_jobs import SECONDS, batch_environment, make_job
from runner_tasks import Diary

from slurmkit import JsonlCallback, jobdir
from slurmkit.callbacks.base import BaseCallback


@attrs.frozen
class Ran:
    """What a batch script left."""

    job_dir: Path
    code: int

    def __getattr__(self, name: str) -> str:
        if name not in ("stdout", "stderr"):
            raise AttributeError(name)
        return (self.job_dir / name).read_text()

    def header(self, rank: int = 0) -> dict[str, Any]:
        header = jobdir.read_result(self.job_dir, rank)
        assert header is not None
        return header

    def value(self, rank: int = 0) -> Any:
        return jobdir.read_value(self.job_dir, rank)

    @property
    def journal(self) -> list[dict[str, Any]]:
        return jobdir.read_journal(self.job_dir)

    @property
    def completed(self) -> dict[str, Any]:
        (completed,) = [event for event in self.journal if event["event"] == "completed"]
        return completed


Run = Callable[..., Ran]


@pytest.fixture
def srun(tmp_path: Path) -> dict[str, str]:
    return runner_jobs.install_srun(tmp_path / "bin")


@pytest.fixture
def run(tmp_path: Path, srun: dict[str, str]) -> Run:
    def run(
        function: Callable[..., Any],
        *args: Any,
        callbacks: Sequence[BaseCallback] = (),
        layout: Sequence[int] = (1,),
        env: dict[str, str] | None = None,
        prepare: Callable[[Path], object] = lambda job_dir: None,
        **kwargs: Any,
    ) -> Ran:
        job_dir = make_job(tmp_path / "jobs", function, *args, callbacks=callbacks, **kwargs)
        prepare(job_dir)
        return Ran(job_dir, runner_jobs.run(job_dir, batch_environment(layout, **srun | (env or {}))))

    return run


def diary(path: Path, *hooks: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if not hooks or line["hook"] in hooks]


# What comes back


@pytest.mark.parametrize("function", [tasks.add, lambda a, b=0: a + b])
def test_a_value(run: Run, function: Callable[..., int]) -> None:
    ran = run(function, 40, b=2)
    assert (ran.code, ran.value(), ran.stdout, ran.stderr) == (0, 42, "", "")
    header = ran.header()
    assert header["start_time"] <= header["end_time"]
    del header["start_time"], header["end_time"]
    assert header == {
        "status": "ok",
        "exit_code": 0,
        "error": None,
        "error_type": None,
        "error_message": None,
        "traceback": None,
        "hostname": "n1",
        "attempt": 0,
    }
    started, completed = ran.journal
    times = [started.pop("time"), completed.pop("time")]
    assert times == sorted(times)
    assert started == {
        "event": "started",
        "job_id": "77",
        "attempt": 0,
        "hostname": "n1",
        "world_size": 1,
        "written": {"stdout": 0, "stderr": 0},
    }
    assert completed == {
        "event": "completed",
        "attempt": 0,
        "job_state": "COMPLETED",
        "exit_code": "0:0",
        "failed_rank": None,
        "error_type": None,
        "error_message": None,
        "cause": None,
    }


def test_a_task(run: Run) -> None:
    assert run(tasks.decorated.func, 3).value() == -3


def test_output_goes_straight_to_its_files(run: Run) -> None:
    ran = run(tasks.talk, "hello")
    assert (ran.code, ran.stdout, ran.stderr) == (0, "hello\n", "HELLO\n")
    ran = run(tasks.stdout_inode)
    assert ran.value() == (ran.job_dir / "stdout").stat().st_ino


def test_nothing_is_left_but_the_results(run: Run) -> None:
    ran = run(tasks.add, 1)
    names = {path.name for path in ran.job_dir.iterdir()}
    made = {"args.pkl", "function.pkl", "job.json", "kwargs.pkl", "output", "script.sh", "stderr", "stdout"}
    assert names - made == {"journal.jsonl", "result.0.pkl"}


def test_surroundings(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's sys.path is the client's; the working directory is left to Slurm, and not on the path."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(sys, "path", [*sys.path, "/somewhere/else"])
    ran = run(tasks.surroundings)
    found = ran.value()
    assert found["path"] == [str(Path(entry).absolute()) for entry in dict.fromkeys(sys.path)]
    assert (found["cwd"], found["JOB_DIR"]) == (str(tmp_path / "cwd"), str(ran.job_dir))


def test_an_interpreter_that_has_no_slurmkit(run: Run) -> None:
    """As with a client that has found slurmkit through PYTHONPATH: the job needs none."""
    bare = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not bare.exists():
        pytest.skip(f"no {bare}")

    def use_it(job_dir: Path) -> None:
        script = (job_dir / "script.sh").read_text()
        assert sys.executable in script
        (job_dir / "script.sh").write_text(script.replace(sys.executable, str(bare)))

    ran = run(tasks.surroundings, prepare=use_it)
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.value()["prefix"] == sys.base_prefix


def test_by_hand_outside_of_slurm(tmp_path: Path) -> None:
    job_dir = make_job(tmp_path, tasks.context)
    assert runner_jobs.run(job_dir, {"PATH": os.environ["PATH"]}) == 0
    assert jobdir.read_value(job_dir, 0)[0].job_id == "local"


def test_a_large_value_is_not_copied(run: Run, tmp_path: Path) -> None:
    ran = run(tasks.large, 64, callbacks=[tasks.Memory(tmp_path / "growth", 64 << 20)])
    assert len(ran.value()) == 64 << 20
    assert float((tmp_path / "growth").read_text()) < 1.4


# What it costs

STANDARD_LIBRARY = {
    *(
        "__future__",
        "_compat_pickle",
        "_json",
        "_opcode",
        "_operator",
        "_pickle",
        "_sre",
        "_struct",
        "_weakref",
        "errno",
        "gc",
    ),
    *("_collections", "_functools", "collections", "collections.abc", "copyreg", "enum", "functools", "itertools"),
    *("keyword", "operator", "pickle", "re", "re._casefix"),
    *("re._compiler", "re._constants", "re._parser", "reprlib", "struct", "types"),
}
"""All that one rank without callbacks and injection imports of the standard library, in any of the supported versions."""


def test_modules_of_the_user_do_not_take_the_place_of_the_leaders(run: Run, tmp_path: Path) -> None:
    """What the leader imports late is there before the client's path is."""
    for name in ("json", "signal"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError\n")
    (tmp_path / "dying_task.py").write_text("import os\ndef die(): os.kill(os.getpid(), 9)\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import dying_task

        ran = run(dying_task.die, callbacks=[JsonlCallback(tmp_path / "heard", poll_interval_secs=None)])
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["dying_task"]
    assert ran.completed["error_message"] == "killed by signal 9 (SIGKILL)"
    assert "begin_run_job" in (tmp_path / "heard").read_text()


def test_imports_of_a_rank(run: Run, tmp_path: Path) -> None:
    """Pinned: each of these is paid once per rank. No attrs, cloudpickle, inspect, json, logging, pathlib, signal, typing among them."""
    (tmp_path / "bare_task.py").write_text("import sys\ndef modules(): return sorted(sys.modules)\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import bare_task

        ran = run(bare_task.modules)
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["bare_task"]
    command = [sys.executable, "-P", "-c", "import sys; print(*sys.modules)"]
    bare = subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout.split()
    imported = set(ran.value()) - set(bare) - {"bare_task"}
    ours = {name for name in imported if name.startswith("slurmkit")}
    assert ours == {
        "slurmkit",
        "slurmkit.jobdir",
        "slurmkit.runner",
        "slurmkit.runner.leader",
        "slurmkit.runner.worker",
        "slurmkit.runner.record",
        "slurmkit.stopping",
    }
    assert imported - ours - STANDARD_LIBRARY == set()


# How a function ends


def test_an_exception(run: Run) -> None:
    ran = run(tasks.boom, "no ü")
    header = ran.header()
    assert (ran.code, header["status"], header["exit_code"]) == (1, "error", 1)
    assert (header["error_type"], header["error_message"]) == ("ValueError", "no ü")
    error = pickle.loads(header["error"])
    assert (type(error), error.args) == (ValueError, ("no ü",))
    assert header["traceback"] == ran.stderr
    assert re.fullmatch(
        r'Traceback \(most recent call last\):\n  File ".*/runner_tasks\.py", line \d+, in boom\n    raise ValueError\(text\)\n'
        r"ValueError: no ü\n",
        ran.stderr,
    )
    assert {name: ran.completed[name] for name in ("job_state", "exit_code", "failed_rank")} == {
        "job_state": "FAILED",
        "exit_code": "1:0",
        "failed_rank": 0,
    }
    assert (ran.completed["error_type"], ran.completed["error_message"]) == ("ValueError", "no ü")


@pytest.mark.parametrize("function", [tasks.chained, tasks.add])
def test_tracebacks_do_not_show_the_runner(run: Run, function: Callable[..., Any]) -> None:
    ran = run(function)
    assert "slurmkit" not in ran.stderr
    assert "runpy" not in ran.stderr
    if function is tasks.chained:
        assert ran.stderr.index("ValueError: first") < ran.stderr.index("KeyError: 'second'")
    else:
        assert ran.stderr == "TypeError: add() missing 1 required positional argument: 'a'\n"


@pytest.mark.parametrize(
    ("code", "exit_code", "message", "stderr"),
    [(3, 3, "3", ""), (0, 0, "0", ""), (None, 0, "0", ""), ("text", 1, "text", "text\n"), (300, 300, "300", "")],
)
def test_sys_exit(run: Run, code: Any, exit_code: int, message: str, stderr: str) -> None:
    ran = run(tasks.leave, code)
    header = ran.header()
    assert (ran.code, ran.stderr) == (exit_code & 255, stderr)
    assert (header["status"], header["exit_code"], header["error"]) == ("exit", exit_code, None)
    assert (header["error_type"], header["error_message"]) == ("SystemExit", message)
    assert ran.completed["failed_rank"] == 0
    assert ran.completed["job_state"] == ("FAILED" if exit_code else "COMPLETED")


def test_keyboard_interrupt_is_not_raised_again_on_the_client(run: Run) -> None:
    ran = run(tasks.interrupt)
    header = ran.header()
    assert (ran.code, header["status"], header["error_type"], header["error"]) == (
        130,
        "error",
        "KeyboardInterrupt",
        None,
    )


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("exit7", 7, "ended with exit code 7"),
        ("exit0", 0, "ended with exit code 0"),
        ("kill9", 137, "killed by signal 9 (SIGKILL)"),
        ("kill11", 139, "killed by signal 11 (SIGSEGV)"),
    ],
)
def test_a_worker_that_is_gone(run: Run, tmp_path: Path, how: str, code: int, words: str) -> None:
    ran = run(tasks.vanish, how, callbacks=[Diary(tmp_path / "diary")])
    assert (ran.code, jobdir.result_ranks(ran.job_dir)) == (code, [])
    assert ran.stderr == f"slurmkit: rank 0 left no result: {words}\n"
    assert (ran.completed["exit_code"], ran.completed["failed_rank"]) == (f"{code}:0", 0)
    assert (ran.completed["error_type"], ran.completed["error_message"]) == (None, words)
    assert [line["hook"] for line in diary(tmp_path / "diary", "begin", "end", "completed")] == ["begin", "completed"]


def test_a_value_that_cannot_be_pickled(run: Run, tmp_path: Path) -> None:
    ran = run(tasks.lock, callbacks=[Diary(tmp_path / "diary")])
    header = ran.header()
    assert (ran.code, header["status"], header["error_type"]) == (1, "error", "NotPicklable")
    assert "the return value['a'][0] cannot be pickled: it is a _thread.lock" in header["error_message"]
    assert header["error_message"] in ran.stderr
    assert "Traceback" not in ran.stderr
    assert isinstance(pickle.loads(header["error"]), TypeError)
    (end,) = diary(tmp_path / "diary", "end")
    assert (end["status"], end["error_type"]) == ("failure", "NotPicklable")


def test_an_exception_that_cannot_be_pickled(run: Run) -> None:
    import threading

    def raising() -> None:
        class LocalError(Exception):
            lock = threading.Lock()

        raise LocalError("inside")

    ran = run(raising)
    header = ran.header()
    assert (ran.code, header["error"], header["error_message"]) == (1, None, "inside")
    assert header["error_type"].endswith("LocalError")
    assert "LocalError: inside" in ran.stderr


def test_an_exception_without_words(run: Run) -> None:
    ran = run(tasks.mute)
    assert (ran.code, ran.header()["error_type"]) == (1, "MuteError")
    assert ran.header()["error_message"] == "<str() of the exception failed: RuntimeError>"


def test_an_exception_that_is_no_exception(run: Run) -> None:
    ran = run(tasks.final)
    assert (ran.code, ran.header()["error_type"], ran.header()["error_message"]) == (1, "FinalError", "over")


def test_a_function_that_closes_stdout(run: Run) -> None:
    ran = run(tasks.close_stdout)
    assert (ran.code, ran.value(), ran.stdout) == (0, "done", "before\n")
    assert "cannot flush the output: I/O operation on closed file" in ran.stderr


@pytest.mark.parametrize("how", ["return", "raise"])
def test_a_forked_process_that_comes_back_leaves_the_result_alone(run: Run, tmp_path: Path, how: str) -> None:
    ran = run(tasks.fork, how, callbacks=[Diary(tmp_path / "diary")])
    assert (ran.code, ran.value()) == (0, "parent")
    assert [line["hook"] for line in diary(tmp_path / "diary", "begin", "end", "completed")] == [
        "begin",
        "end",
        "completed",
    ]
    assert ("ValueError: in the child" in ran.stderr) == (how == "raise")


def test_a_forked_process_dies_of_sigterm(run: Run) -> None:
    """It is not the rank, and says nothing: pools end their processes so."""
    ran = run(tasks.end_a_forked_process)
    assert (ran.code, ran.value(), ran.stderr) == (0, signal.SIGTERM, "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_in_a_function(run: Run, method: str) -> None:
    """spawn and forkserver run the main module again, which is the runner's."""
    ran = run(tasks.double_in_another_process, method, 21)
    assert (ran.code, ran.value(), ran.stderr) == (0, 42, "")


# What may be missing


def test_a_function_that_cannot_be_imported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gone_task.py").write_text("def f(): ...\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import gone_task

        ran = run(gone_task.f, prepare=lambda job_dir: (tmp_path / "gone_task.py").unlink())
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["gone_task"]
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    assert (ran.code, ran.header()["error_type"]) == (1, "ModuleNotFoundError")
    assert ran.stderr == "ModuleNotFoundError: No module named 'gone_task'\n"


def test_arguments_that_cannot_be_unpickled(run: Run, tmp_path: Path) -> None:
    callbacks = [Diary(tmp_path / "diary")]
    ran = run(tasks.add, 1, callbacks=callbacks, prepare=lambda job_dir: jobdir.write(job_dir, "args.pkl", b"junk"))
    assert (ran.code, ran.header()["error_type"]) == (1, "UnpicklingError")
    assert [line["hook"] for line in diary(tmp_path / "diary", "begin", "end")] == ["begin", "end"]


@pytest.mark.parametrize("name", ["function.pkl", "args.pkl", "kwargs.pkl"])
def test_files_that_others_can_write_are_not_unpickled(run: Run, name: str) -> None:
    ran = run(tasks.add, 1, prepare=lambda job_dir: (job_dir / name).chmod(0o666))
    assert (ran.code, ran.header()["error_type"]) == (1, "JobDirectoryError")
    assert f"refusing to read '{ran.job_dir / name}': others can write it (mode 0666)" in ran.stderr


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda job_dir: (job_dir / "job.json").unlink(), "is no job directory: it has no job.json"),
        (lambda job_dir: (job_dir / "job.json").write_text("{"), "is damaged"),
        (lambda job_dir: (job_dir / "job.json").chmod(0o602), "others can write it"),
    ],
)
def test_no_job(run: Run, prepare: Callable[[Path], object], words: str) -> None:
    ran = run(tasks.add, 1, prepare=prepare)
    assert ran.code == 70
    assert ran.stderr.startswith("slurmkit: ")
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.journal == []


def test_a_result_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """Something is in its place."""

    def block(job_dir: Path) -> None:
        (job_dir / "blocker").mkdir()

    def function(job_dir: str) -> str:
        Path(job_dir, "blocker").rename(Path(job_dir, "result.0.pkl"))
        return "value"

    job_dir = make_job(tmp_path / "jobs", function, "?", callbacks=[Diary(tmp_path / "diary")])
    block(job_dir)
    jobdir.write(job_dir, "args.pkl", pickle.dumps((str(job_dir),)))
    assert runner_jobs.run(job_dir, batch_environment()) == 1
    assert "slurmkit: rank 0: cannot write '" in (job_dir / "stderr").read_text()
    (end,) = diary(tmp_path / "diary", "end")
    assert (end["status"], end["error_type"]) == ("failure", "JobDirectoryError")


def test_a_requeued_job_does_not_keep_its_old_results(run: Run) -> None:
    def leave_results(job_dir: Path) -> None:
        for rank in (0, 1):
            jobdir.write_result(job_dir, rank, {"status": "ok"}, lambda file: pickle.dump("stale", file))
        (job_dir / ".result.1.pkl.123.abc.tmp").touch()

    ran = run(tasks.vanish, "exit5", prepare=leave_results, env={"SLURM_RESTART_COUNT": "2"})
    assert jobdir.result_ranks(ran.job_dir) == []
    assert not list(ran.job_dir.glob(".result*"))
    assert [event["attempt"] for event in ran.journal] == [2, 2]
    assert [path.name for path in ran.job_dir.glob("journal*")] == ["journal.2.jsonl"]
    ran = run(tasks.add, 1, prepare=leave_results, env={"SLURM_RESTART_COUNT": "1"})
    assert (ran.value(), ran.header()["attempt"], jobdir.result_ranks(ran.job_dir)) == (1, 1, [0])


def test_a_run_that_slurm_has_given_up_leaves_the_next_ones_results_alone(run: Run) -> None:
    """Slurm has lost the node, and runs the job again; the node lives on, and so does the first run."""

    def function(job_dir: str) -> str:
        jobdir.write_result(job_dir, 0, {"status": "ok", "attempt": 1}, lambda file: pickle.dump("second", file))
        return "first"

    def tell(job_dir: Path) -> None:
        jobdir.write(job_dir, "args.pkl", pickle.dumps((str(job_dir),)))

    ran = run(function, "?", prepare=tell)
    assert ran.value() == "second"
    assert "the job has been started again" in (ran.job_dir / "stderr").read_text()


def test_what_a_run_that_slurm_has_given_up_leaves_is_no_result(run: Run) -> None:
    """The other way round: it leaves its result after the next run has begun, which then leaves none."""

    def function(job_dir: str) -> None:
        jobdir.write_result(job_dir, 0, {"status": "ok", "attempt": 0}, lambda file: pickle.dump("first", file))
        os._exit(5)

    def tell(job_dir: Path) -> None:
        jobdir.write(job_dir, "args.pkl", pickle.dumps((str(job_dir),)))

    ran = run(function, "?", prepare=tell, env={"SLURM_RESTART_COUNT": "1"})
    assert [event.get("failed_rank") for event in ran.journal] == [None, 0]


# Injection


def test_the_context_is_injected(run: Run) -> None:
    context, other = run(tasks.context).value()
    assert context == other
    assert (context.rank, context.world_size, context.hostname, context.job_id) == (0, 1, "n1", "77")
    assert context.output_dir == context.job_dir / "output"
    assert run(tasks.context, None, other=3).value() == (None, 3)


def test_a_damaged_environment_is_an_error_of_the_job(run: Run) -> None:
    ran = run(tasks.context, env={"SLURM_TASKS_PER_NODE": "x"})
    assert (ran.code, ran.header()["error_type"]) == (1, "JobEnvironmentError")
    assert "SLURM_TASKS_PER_NODE is 'x'" in ran.stderr
    assert run(tasks.add, 1, env={"SLURM_TASKS_PER_NODE": "x"}).value() == 1


# Callbacks


def test_hooks_of_one_rank(run: Run, tmp_path: Path) -> None:
    ran = run(tasks.boom, "no", callbacks=[Diary(tmp_path / "diary")])
    lines = diary(tmp_path / "diary")
    assert [line["hook"] for line in lines] == ["unpickled", "begin", "end", "unpickled", "completed"]
    begin, end, completed = (diary(tmp_path / "diary", hook)[0] for hook in ("begin", "end", "completed"))
    assert begin["pid"] == end["pid"] != completed["pid"]
    assert (begin["heard"], end["heard"], completed["heard"]) == (1, 2, 1)
    assert (begin["module"], begin["function"], begin["hostname"]) == ("runner_tasks", "boom", "n1")
    assert (begin["working_directory"], begin["python_version"]) == (str(Path.cwd()), sys.version.split()[0])
    assert begin["start_time"] <= begin["at"]
    assert (end["status"], end["error_type"], end["error_message"]) == ("failure", "ValueError", "no")
    assert end["traceback"] == completed["traceback"] == ran.stderr
    assert (end["stdout_path"], end["duration"] >= 0) == (str(ran.job_dir / "stdout"), True)
    assert (completed["job_state"], completed["exit_code"], completed["job_id"]) == ("FAILED", "1:0", "77")
    assert (completed["error_type"], completed["error_message"]) == ("ValueError", "no")
    assert completed["duration"] >= end["duration"]


def test_success_has_no_error_fields(run: Run, tmp_path: Path) -> None:
    run(tasks.add, 1, callbacks=[Diary(tmp_path / "diary")])
    for line in diary(tmp_path / "diary", "end", "completed"):
        assert (line["error_type"], line["error_message"], line["traceback"]) == (None, None, None)
    assert diary(tmp_path / "diary", "end")[0]["status"] == "success"


@pytest.mark.parametrize("fail", ["begin", "end", "completed", "begin end completed", "begin exit", "end exit"])
def test_a_callback_that_fails_harms_nothing(run: Run, tmp_path: Path, fail: str) -> None:
    callbacks = [Diary(tmp_path / "bad", fail=fail), Diary(tmp_path / "good")]
    ran = run(tasks.add, 1, callbacks=callbacks)
    assert (ran.code, ran.value(), ran.completed["job_state"]) == (0, 1, "COMPLETED")
    for name in ("bad", "good"):
        hooks = [line["hook"] for line in diary(tmp_path / name, "begin", "end", "completed")]
        assert hooks == ["begin", "end", "completed"]
    failing = [hook for hook in ("begin", "end", "completed") if hook in fail]
    assert ran.stderr.count("callback runner_tasks.Diary failed in") == len(failing)
    assert ran.stderr.count("Traceback") == len(failing)


def test_the_result_is_there_before_the_end_hook(run: Run, tmp_path: Path) -> None:
    class Killer(BaseCallback):
        def on_end_run_job_ctx(self, ctx: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    ran = run(tasks.add, 1, callbacks=[Killer()])
    assert (ran.code, ran.value()) == (137, 1)
    assert (ran.completed["job_state"], ran.completed["failed_rank"]) == ("FAILED", None)


class Fragile(BaseCallback):
    def __setstate__(self, state: object) -> None:
        raise RuntimeError("will not be unpickled")

    def __reduce__(self) -> Any:
        return object.__new__, (Fragile,), {"x": 1}

    def on_end_run_job_ctx(self, ctx: Any) -> None: ...

    def on_completed_ctx(self, ctx: Any) -> None: ...


def test_a_callback_that_cannot_be_unpickled(run: Run, tmp_path: Path) -> None:
    ran = run(tasks.add, 1, callbacks=[Fragile(), Diary(tmp_path / "good")])
    assert (ran.code, ran.value()) == (0, 1)
    assert ran.stderr.count("callback test_runner.Fragile cannot be unpickled in the job\n") == 2  # worker and leader
    assert len(diary(tmp_path / "good", "begin", "end", "completed")) == 3


def test_callbacks_that_are_damaged_altogether(run: Run, tmp_path: Path) -> None:
    callbacks = [Diary(tmp_path / "diary")]
    ran = run(tasks.add, 1, callbacks=callbacks, prepare=lambda job_dir: jobdir.write(job_dir, "callbacks.pkl", b"x"))
    assert (ran.code, ran.value()) == (0, 1)
    assert "the callbacks of this job cannot be read" in ran.stderr


# Signals


@attrs.define
class Running:
    process: subprocess.Popen[bytes]
    job_dir: Path
    started: Path
    release: Path

    @property
    def worker(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not children.exists():
            pytest.skip("needs /proc to find the worker")
        (pid,) = children.read_text().split()
        return int(pid)

    def wait(self) -> Ran:
        return Ran(self.job_dir, self.process.wait(SECONDS))


@pytest.fixture
def start(tmp_path: Path, srun: dict[str, str]) -> Any:
    running: list[subprocess.Popen[bytes]] = []

    def start(
        function: Callable[..., Any],
        *args: Any,
        callbacks: Sequence[BaseCallback] = (),
        layout: Sequence[int] = (1,),
        wait: bool = True,
    ) -> Running:
        started, release = tmp_path / "started", tmp_path / "release"
        job_dir = make_job(tmp_path / "jobs", function, str(started), str(release), *args, callbacks=callbacks)
        process = runner_jobs.start(job_dir, batch_environment(layout, **srun))
        running.append(process)
        if wait:
            runner_jobs.until(started.exists, "the function runs")
        return Running(process, job_dir, started, release)

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS)


def terminated(ran: Ran, path: Path) -> None:
    header = ran.header()
    assert (ran.code, header["status"], header["error_type"], header["error"]) == (143, "error", "Terminated", None)
    assert ran.stderr == "slurmkit: rank 0 on n1 was sent SIGTERM\n"
    assert header["traceback"].rstrip().endswith("Terminated: 143")
    assert "in wait" in header["traceback"]
    assert "slurmkit/runner" not in header["traceback"]
    assert (ran.completed["job_state"], ran.completed["exit_code"]) == ("FAILED", "143:0")
    assert [line["hook"] for line in diary(path, "begin", "end", "completed")] == ["begin", "end", "completed"]
    (end,) = diary(path, "end")
    assert (end["status"], end["error_type"]) == ("failure", "Terminated")


@pytest.mark.parametrize("times", [1, 3])
def test_sigterm_to_the_leader_ends_the_worker_properly(start: Any, tmp_path: Path, times: int) -> None:
    job = start(tasks.wait_and_tidy, callbacks=[Diary(tmp_path / "diary")])
    for _ in range(times):
        job.process.terminate()
    terminated(job.wait(), tmp_path / "diary")
    assert Path(f"{job.started}.tidied").exists()


def test_sigterm_to_all_processes_as_slurm_sends_it(start: Any, tmp_path: Path) -> None:
    job = start(tasks.wait_and_tidy, callbacks=[Diary(tmp_path / "diary")])
    os.killpg(job.process.pid, signal.SIGTERM)
    terminated(job.wait(), tmp_path / "diary")
    assert Path(f"{job.started}.tidied").exists()


def test_sigterm_while_a_begin_hook_is_called(start: Any, tmp_path: Path) -> None:
    """The hook is not cut off, and the function is not called."""
    go = tmp_path / "go"
    callbacks = [Diary(tmp_path / "diary", pause=f"begin={go}")]
    job = start(tasks.wait, callbacks=callbacks, wait=False)
    runner_jobs.until(lambda: diary(tmp_path / "diary", "begin"), "the begin hook is called")
    os.killpg(job.process.pid, signal.SIGTERM)
    go.touch()
    ran = job.wait()
    assert (ran.code, ran.header()["error_type"]) == (143, "Terminated")
    assert not job.started.exists()
    assert "failed in" not in ran.stderr
    assert [line["hook"] for line in diary(tmp_path / "diary", "begin", "end", "completed")] == [
        "begin",
        "end",
        "completed",
    ]


def test_sigterm_while_an_end_hook_is_called_changes_nothing(start: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = start(tasks.wait, callbacks=[Diary(tmp_path / "diary", pause=f"end={go}")])
    job.release.touch()
    runner_jobs.until(lambda: diary(tmp_path / "diary", "end"), "the end hook is called")
    os.killpg(job.process.pid, signal.SIGTERM)
    go.touch()
    ran = job.wait()
    assert (ran.code, ran.value(), ran.stderr) == (0, "released", "")
    assert len(diary(tmp_path / "diary", "completed")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("who", ["worker", "leader"])
def test_signals_while_the_interpreter_ends_change_nothing(
    start: Any, tmp_path: Path, number: signal.Signals, who: str
) -> None:
    """Python takes its handlers away then, and the leader may hand a signal on late."""
    in_leader = who == "leader"
    callbacks = [tasks.Lingers(tmp_path / "started")] if in_leader else []
    job = start(tasks.wait if in_leader else tasks.wait_and_linger, callbacks=callbacks)
    job.release.touch()
    runner_jobs.until(Path(f"{job.started}.ending").exists, "the interpreter ends")
    os.killpg(job.process.pid, number)
    Path(f"{job.started}.go").touch()
    ran = job.wait()
    assert (ran.code, ran.value(), ran.stderr) == (0, "released", "")


def test_sigterm_again_does_not_disturb_the_tidying(start: Any) -> None:
    """As when Slurm signals all processes, and the leader hands its own signal on a moment later."""
    job = start(tasks.wait_and_tidy_slowly)
    worker = job.worker
    os.kill(worker, signal.SIGTERM)
    runner_jobs.until(Path(f"{job.started}.tidying").exists, "the function tidies up")
    os.kill(worker, signal.SIGTERM)
    job.release.touch()
    ran = job.wait()
    assert (ran.code, ran.header()["error_type"]) == (143, "Terminated")
    assert Path(f"{job.started}.tidied").exists()


def test_sigterm_of_a_function_with_its_own_handler(start: Any) -> None:
    job = start(tasks.wait_with_handler, signal.SIGTERM)
    job.process.terminate()
    runner_jobs.until(Path(f"{job.started}.heard").exists, "the handler was called")
    job.release.touch()
    ran = job.wait()
    assert (ran.code, ran.value()) == (0, [signal.SIGTERM])


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT])
def test_other_signals_reach_the_function(start: Any, number: signal.Signals) -> None:
    job = start(tasks.wait_with_handler, number)
    job.process.send_signal(number)
    runner_jobs.until(Path(f"{job.started}.heard").exists, "the handler was called")
    job.release.touch()
    assert job.wait().value() == [number]


def test_a_signal_that_nobody_handles_ends_the_worker_as_it_would_end_any_program(start: Any) -> None:
    job = start(tasks.wait)
    job.process.send_signal(signal.SIGUSR1)
    ran = job.wait()
    assert ran.code == 128 + signal.SIGUSR1
    assert "killed by signal 10 (SIGUSR1)" in ran.stderr or sys.platform == "darwin"


def test_a_worker_killed_from_outside(start: Any, tmp_path: Path) -> None:
    """The out-of-memory killer takes the worker; the leader is there to report."""
    job = start(tasks.wait, callbacks=[Diary(tmp_path / "diary")])
    os.kill(job.worker, signal.SIGKILL)
    ran = job.wait()
    assert ran.code == 137
    (completed,) = diary(tmp_path / "diary", "completed")
    assert (completed["job_state"], completed["exit_code"], completed["error_type"]) == ("FAILED", "137:0", None)


# Several ranks


def test_ranks(run: Run, tmp_path: Path) -> None:
    ran = run(tasks.context, layout=[2, 1])
    assert (ran.code, ran.stderr) == (0, "")
    assert jobdir.result_ranks(ran.job_dir) == [0, 1, 2]
    contexts = [ran.value(rank)[0] for rank in range(3)]
    assert [(context.rank, context.local_rank, context.node_rank) for context in contexts] == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 0, 1),
    ]
    assert [context.hostname for context in contexts] == ["n1", "n1", "n2"]
    assert [ran.header(rank)["hostname"] for rank in range(3)] == ["n1", "n1", "n2"]
    assert ran.journal[0]["world_size"] == 3
    assert (tmp_path / "bin" / "srun.log").read_text() == "--export=ALL\n"


def test_one_task_needs_no_srun(run: Run, tmp_path: Path) -> None:
    run(tasks.add, 1)
    assert not (tmp_path / "bin" / "srun.log").exists()


def test_one_task_per_node_without_a_number_of_tasks(run: Run, tmp_path: Path) -> None:
    """Without -n the batch script has no SLURM_NTASKS. With CPUs per task srun is told that there is a task on every node."""
    env = {"SLURM_NTASKS": "", "SLURM_CPUS_PER_TASK": "2"}
    ran = run(tasks.add, 1, layout=[1, 1], env=env)
    assert jobdir.result_ranks(ran.job_dir) == [0, 1]
    assert (tmp_path / "bin" / "srun.log").read_text() == "--export=ALL --cpus-per-task=2 --ntasks=2\n"


@pytest.mark.parametrize(
    ("how", "code", "error_type", "message"),
    [
        ("raise", 1, "ValueError", "rank 1"),
        ("sys5", 5, "SystemExit", "5"),
        ("sys0", 0, "SystemExit", "0"),
        ("kill9", 137, None, "srun: killed by signal 9 (SIGKILL)"),
        ("exit7", 7, None, "srun: ended with exit code 7"),
        ("exit0", 0, None, "srun: ended with exit code 0"),
    ],
)
def test_one_of_several_ranks(
    run: Run, tmp_path: Path, how: str, code: int, error_type: str | None, message: str
) -> None:
    ran = run(tasks.on_rank, 1, how, layout=[2, 1], callbacks=[Diary(tmp_path / "diary")])
    assert ran.code == code
    assert [ran.value(0), ran.value(2)] == [0, 2]
    assert ran.completed["failed_rank"] == 1
    assert (ran.completed["error_type"], ran.completed["error_message"]) == (error_type, message)
    lines = diary(tmp_path / "diary")
    (completed,) = [line for line in lines if line["hook"] == "completed"]
    assert lines[-1] == completed, "after every rank has ended"
    assert (completed["exit_code"], completed["error_type"], completed["context_rank"]) == (f"{code}:0", error_type, 0)
    assert (completed["traceback"] is None) == (error_type is None)


@pytest.mark.parametrize(
    ("run_hooks_on", "ranks"), [("all", ["0", "1", "2", "3"]), ("node", ["0", "2"]), ("first", ["0"])]
)
def test_run_hooks_on(run: Run, tmp_path: Path, run_hooks_on: Any, ranks: list[str]) -> None:
    """The others do not even unpickle the callback."""
    run(tasks.add, 1, layout=[2, 2], callbacks=[Diary(tmp_path / "diary", run_hooks_on)])
    for hook in ("begin", "end"):
        assert sorted(line["rank"] for line in diary(tmp_path / "diary", hook)) == ranks
    assert len(diary(tmp_path / "diary", "completed")) == 1
    assert len(diary(tmp_path / "diary", "unpickled")) == len(ranks) + 1


class OnlyCompleted(Diary):
    on_begin_run_job_ctx = BaseCallback.on_begin_run_job_ctx
    on_end_run_job_ctx = BaseCallback.on_end_run_job_ctx


def test_a_worker_does_not_unpickle_what_it_does_not_call(run: Run, tmp_path: Path) -> None:
    run(tasks.add, 1, layout=[2], callbacks=[OnlyCompleted(tmp_path / "diary")])
    assert [line["hook"] for line in diary(tmp_path / "diary")] == ["unpickled", "completed"]


def test_no_srun(run: Run, tmp_path: Path) -> None:
    callbacks = [Diary(tmp_path / "diary")]
    ran = run(tasks.add, 1, layout=[2], callbacks=callbacks, env={"PATH": str(tmp_path / "nowhere")})
    assert ran.code == 70
    assert f"slurmkit: cannot start srun: No such file or directory (PATH='{tmp_path / 'nowhere'}')\n" in ran.stderr
    assert [event["event"] for event in ran.journal] == ["started", "completed"]
    (completed,) = diary(tmp_path / "diary", "completed")
    assert (completed["job_state"], completed["exit_code"]) == ("FAILED", "70:0")


def test_sigterm_is_not_handed_to_srun(start: Any, tmp_path: Path) -> None:
    """srun would kill the ranks at once. Slurm itself sends SIGTERM to them when it ends the job."""
    job = start(tasks.wait, layout=[2], callbacks=[Diary(tmp_path / "diary")])
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        job.process.send_signal(number)
    log = tmp_path / "bin" / "srun.log"
    runner_jobs.until(lambda: "SIGUSR1" in log.read_text(), "srun has heard of the last signal")
    ran = job.wait()
    assert log.read_text() == "--export=ALL\nSIGUSR1\n"
    assert (ran.code, len(diary(tmp_path / "diary", "completed"))) == (138, 1)


def test_sigterm_to_all_processes_of_several_ranks(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "diary"
    job = start(tasks.wait, layout=[2, 1], callbacks=[Diary(path)])
    runner_jobs.until(lambda: len(diary(path, "begin")) == 3, "all ranks run")
    os.killpg(job.process.pid, signal.SIGTERM)
    ran = job.wait()
    assert ran.code == 143
    assert [ran.header(rank)["error_type"] for rank in range(3)] == ["Terminated"] * 3
    assert sorted(line["rank"] for line in diary(path, "end")) == ["0", "1", "2"]
    assert [line["error_type"] for line in diary(path, "completed")] == ["Terminated"]


def test_a_rank_that_is_gone_comes_before_those_that_were_terminated(run: Run) -> None:
    """As with --kill-on-bad-exit: one rank is killed, and srun ends the others for that."""
    ran = run(tasks.killed_and_terminated, layout=[3])
    assert ran.completed["failed_rank"] == 2
    assert [ran.header(rank)["error_type"] for rank in (0, 1)] == ["Terminated"] * 2
