"""What `import slurmkit` offers, and what it costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import slurmkit

ROOT = Path(__file__).parents[1]

NAMES = [
    "BaseCallback",
    "CallbackError",
    "Checkpoint",
    "Clock",
    "Cluster",
    "ClusterClosed",
    "CompletedContext",
    "ExecutionLocus",
    "Job",
    "JobArray",
    "JobCancelled",
    "JobContext",
    "JobDependencyFailed",
    "JobDirectoryError",
    "JobEnvironmentError",
    "JobFailed",
    "JobLost",
    "JobNodeFailed",
    "JobOutOfMemory",
    "JobPreempted",
    "JobStatusUpdatedContext",
    "JobTimedOut",
    "JsonlCallback",
    "LoggingCallback",
    "NotPicklable",
    "OptionError",
    "Outcomes",
    "PackagingBeginContext",
    "PackagingEndContext",
    "PackagingError",
    "ProgressCallback",
    "RemoteTraceback",
    "Requeue",
    "ResultError",
    "RunBeginContext",
    "RunEndContext",
    "SchedulerError",
    "SchedulerNotFound",
    "SchedulerTimeout",
    "SlurmkitError",
    "SubmissionError",
    "SubmitBeginContext",
    "SubmitEndContext",
    "SystemClock",
    "Task",
    "UnknownJob",
    "WaitTimeout",
    "__version__",
    "current_job_context",
    "task",
]


def test_the_exported_names_are_these() -> None:
    assert slurmkit.__all__ == NAMES
    for name in NAMES:
        value = getattr(slurmkit, name)
        if name != "__version__":
            assert value.__name__ == name
            assert value.__doc__, name
    assert set(NAMES) <= set(dir(slurmkit))


def test_the_checkers_see_the_same_names_in_the_same_places() -> None:
    """The names are written down twice, for Python and for type checkers."""
    tree = ast.parse(inspect.getsource(slurmkit))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == slurmkit._MODULE_OF
    assert sorted([*seen, "__version__"]) == sorted(NAMES)


def test_every_error_is_exported_and_in_one_tree() -> None:
    errors = importlib.import_module("slurmkit.errors")
    assert set(errors.__all__) <= set(NAMES)
    for name in errors.__all__:
        error = getattr(errors, name)
        if name not in ("SlurmkitError", "RemoteTraceback"):
            assert issubclass(error, slurmkit.SlurmkitError)
            assert len(error.__mro__) > len(slurmkit.SlurmkitError.__mro__) + 1
        assert f" {name} " in f"{errors.__doc__} SlurmkitError RemoteTraceback "


def test_no_such_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = slurmkit.nothing  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        exec("from slurmkit import nothing")


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert slurmkit.__version__ == project["version"]


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules_after(statement: str) -> set[str]:
    program = f"import json, sys; before = set(sys.modules); {statement}; print(json.dumps(sorted(set(sys.modules) - before)))"
    return set(json.loads(python(program)))


def test_importing_the_package_imports_nothing_else() -> None:
    assert modules_after("import slurmkit") <= {"slurmkit", "__future__"}


HEAVY = {"rich", "typer", "click", "hypothesis", "pytest", "fakeslurm", "cloudpickle", "asyncio"}


def test_a_whole_client_imports_nothing_heavy() -> None:
    loaded = modules_after("from slurmkit import Cluster, task, JobContext, LoggingCallback, JsonlCallback, Job")
    assert "slurmkit.cluster" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


@pytest.mark.parametrize(
    "before",
    ["", "import slurmkit.task", "import slurmkit.cluster", "from slurmkit.task import Task", "import slurmkit.job"],
)
def test_task_is_the_decorator_whatever_was_imported_first(before: str) -> None:
    assert python(
        f"{before}\nfrom slurmkit import task\nimport slurmkit\nprint(task.__name__, callable(slurmkit.task))"
    ) == ("task True\n")


def test_the_command_line() -> None:
    def slurmkit_command(*arguments: str, hide: str = "") -> subprocess.CompletedProcess[str]:
        program = f"import sys\n{hide}\nfrom slurmkit.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    assert slurmkit_command("--version").stdout == f"slurmkit {slurmkit.__version__}\n"
    assert "Usage" in slurmkit_command("--help").stdout
    assert slurmkit_command("bogus").returncode == 2
    bare = slurmkit_command("--version", hide="sys.modules['typer'] = None")
    assert bare.returncode == 1
    assert "pip install 'slurmkit[cli]'" in bare.stderr


def test_only_the_strategies_need_hypothesis() -> None:
    everything = "from fakeslurm import FakeSlurm, Node, Partition, Simulated, VirtualClock; FakeSlurm().close()"
    assert "hypothesis" not in modules_after(everything)
    assert "hypothesis" in modules_after("import fakeslurm.strategies")
