"""The commands on PATH, and `fakeslurm run`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakeslurm.commands.base import COMMANDS
from fakeslurm.fake import FakeSlurm

TIMEOUT = 30.0
COMMAND = [sys.executable, "-c", "import sys; from fakeslurm.cli import main; sys.exit(main())"]


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm() as slurm:
        yield slurm


def call(slurm: FakeSlurm, *argv: str, **how: object) -> subprocess.CompletedProcess[str]:
    options: dict[str, object] = {"env": slurm.environ(), "stdin": subprocess.DEVNULL, **how}
    return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False, **options)  # type: ignore[call-overload,no-any-return]


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not true in time: {what}"
        pause.wait(0.01)


def alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_the_commands_answer_like_the_calls_in_process(slurm: FakeSlurm, tmp_path: Path) -> None:
    for argv in (["sbatch", "--wrap", "true"], ["sbatch", "--bogus"], ["scancel"], ["srun"], ["squeue", "-h"]):
        shim = call(slurm, *argv, cwd=tmp_path)
        here = slurm.execute(argv, cwd=tmp_path)
        assert (shim.returncode, shim.stderr) == (here.returncode, here.stderr)
        assert shim.stdout.replace("job 1", "job 2") == here.stdout
        slurm.wait_idle()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(slurm: FakeSlurm, name: str) -> None:
    assert shutil.which(name, path=slurm.environ()["PATH"]) == f"{slurm.directory}/bin/{name}"
    assert call(slurm, name, "--bogus-option").returncode != 0


def test_they_find_their_cluster_without_variables(slurm: FakeSlurm, tmp_path: Path) -> None:
    """By the place they are called from, and not by SLURM_* (some clients remove these)."""
    absolute = f"{slurm.directory}/bin/sbatch"
    done = call(slurm, absolute, "--parsable", "--wrap", "true", cwd=tmp_path, env={})
    assert (done.returncode, done.stdout) == (0, "1\n")
    relative = call(slurm, "./sbatch", "--parsable", "-o/dev/null", "--wrap=true", cwd=slurm.directory / "bin", env={})
    assert relative.stdout == "2\n"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "squeue").symlink_to(f"{slurm.directory}/bin/squeue")
    assert call(slurm, str(tmp_path / "elsewhere" / "squeue"), "-h", env={}).returncode == 0


def test_two_clusters_at_once(slurm: FakeSlurm, tmp_path: Path) -> None:
    with FakeSlurm(first_job_id=500) as other:
        assert call(other, "sbatch", "--parsable", "--wrap=true", cwd=tmp_path).stdout == "500\n"
        assert call(slurm, "sbatch", "--parsable", "--wrap=true", cwd=tmp_path).stdout == "1\n"
        nested = call(slurm, "sbatch", "--parsable", "--wrap=true", cwd=tmp_path, env=other.environ(slurm.environ()))
        assert nested.stdout == "501\n"


def test_the_environment_and_directory_arrive(slurm: FakeSlurm, tmp_path: Path) -> None:
    environ = slurm.environ({"PATH": "/usr/bin:/bin", "FOO": "é\n x", "SLURM_JOB_ID": "7", "SBATCH_PARTITION": "nope"})
    assert "SLURM_JOB_ID" not in environ
    call(
        slurm,
        "sbatch",
        "--wrap",
        'printf %s "$FOO" > foo; pwd > where; umask > mask',
        cwd=tmp_path,
        env=environ,
        umask=0o027,
    )
    slurm.wait_idle()
    assert (tmp_path / "foo").read_text() == "é\n x"
    assert (tmp_path / "where").read_text() == f"{tmp_path}\n"
    assert (tmp_path / "mask").read_text() == "0027\n"
    assert oct((tmp_path / "slurm-1.out").stat().st_mode)[-3:] == "640"


def test_scripts_that_only_the_caller_can_read(slurm: FakeSlurm, tmp_path: Path) -> None:
    """Standard input, and a file of the caller's own descriptor table."""
    done = call(slurm, "sbatch", "--parsable", input="#!/bin/sh\necho stdin\n", cwd=tmp_path, stdin=None)
    assert (done.returncode, done.stdout) == (0, "1\n")
    substitution = "sbatch --parsable <(printf '#!/bin/sh\\necho substitution\\n')"
    assert call(slurm, "bash", "-c", substitution, cwd=tmp_path).stdout == "2\n"
    slurm.wait_idle()
    assert (tmp_path / "slurm-1.out").read_text() == "stdin\n"
    assert (tmp_path / "slurm-2.out").read_text() == "substitution\n"


def test_closed_descriptors(slurm: FakeSlurm, tmp_path: Path) -> None:
    done = call(slurm, "sh", "-c", "sbatch --wrap=true <&- >&- 2>&-; echo $?", cwd=tmp_path)
    assert done.stdout == "0\n"
    slurm.wait_idle()


def test_a_closed_pipe_kills_the_command_as_it_does_the_real_one(slurm: FakeSlurm, tmp_path: Path) -> None:
    for _ in range(3):
        slurm.execute(["sbatch", "-H", "--wrap=true"], cwd=tmp_path)
    script = "set -o pipefail; { sleep 0.2; squeue; } | true; echo $?"
    assert call(slurm, "bash", "-c", script).stdout == "141\n"


def test_calls_at_the_same_time(slurm: FakeSlurm, tmp_path: Path) -> None:
    script = "for i in $(seq 20); do sbatch --parsable -H --wrap=true & done; wait"
    done = call(slurm, "bash", "-c", script, cwd=tmp_path)
    assert sorted(map(int, done.stdout.split())) == list(range(1, 21))
    assert slurm.calls.count("sbatch") == 20
    assert {one.via for one in slurm.calls} == {"shim"}


def test_a_wait_that_is_killed(slurm: FakeSlurm, tmp_path: Path) -> None:
    waiting = subprocess.Popen(
        ["sbatch", "--wait", "--wrap", "until [ -e go ]; do sleep 0.02; done"],
        env=slurm.environ(), cwd=tmp_path, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    slurm.wait_for(lambda: [job for job in slurm.jobs() if str(job.state) == "RUNNING"])
    waiting.terminate()
    assert waiting.wait(TIMEOUT) == -signal.SIGTERM
    (tmp_path / "go").touch()
    slurm.wait_idle()


def test_after_the_end_a_command_says_so(tmp_path: Path) -> None:
    with FakeSlurm() as slurm:
        environ = slurm.environ()
        waiting = subprocess.Popen(
            ["sbatch", "--wait", "-H", "--wrap=true"], env=environ, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        slurm.wait_for(slurm.jobs)
    _, stderr = waiting.communicate(timeout=TIMEOUT)
    assert waiting.returncode == 1
    assert stderr.startswith("sbatch: error: ")
    assert shutil.which("sbatch", path=f"{slurm_bin(environ)}") is None


def slurm_bin(environ: dict[str, str]) -> str:
    return environ["PATH"].split(os.pathsep)[0]


def test_a_directory_with_a_long_name_is_avoided(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Unix socket's path has room for a hundred bytes."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with FakeSlurm() as slurm:
        assert call(slurm, "squeue", "-h").returncode == 0
        assert long not in slurm.directory.parents


def test_an_interpreter_with_blanks_in_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "a b 'c'" / ("python" * 30)
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with FakeSlurm() as slurm:
        assert call(slurm, "sbatch", "--wrap", "srun true", cwd=tmp_path).returncode == 0
        slurm.wait_idle()
        assert [str(job.state) for job in slurm.jobs()] == ["COMPLETED"]


# fakeslurm run


def run(*argv: str, **how: object) -> subprocess.CompletedProcess[str]:
    options: dict[str, object] = {"stdin": subprocess.DEVNULL, **how}
    return subprocess.run([*COMMAND, "run", *argv], capture_output=True, text=True, timeout=60, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_run_a_program(tmp_path: Path) -> None:
    script = "sbatch --wait --wrap 'srun hostname' > /dev/null && cat slurm-1.out | wc -l; dirname $(command -v sbatch)"
    done = run("--", "sh", "-c", script, cwd=tmp_path)
    lines, place = done.stdout.split()
    assert (done.returncode, done.stderr, lines) == (0, "", "1")
    assert not Path(place).parent.exists()


def test_run_with_options() -> None:
    options = ["--nodes", "2", "--cpus-per-node", "3", "--version", "24.11", "--"]
    assert run(*options, "sinfo", "-h", "-N", "-o", "%N %c").stdout == "n1 3\nn2 3\n"
    assert run(*options, "sbatch", "--version").stdout == "slurm-wlm 24.11.5\n"


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -TERM $$", 143)])
def test_return_code_of_the_program(script: str, code: int) -> None:
    assert run("--", "sh", "-c", script).returncode == code


def test_programs_that_cannot_be_run(tmp_path: Path) -> None:
    missing = run("--", "no-such-program")
    assert (missing.returncode, missing.stderr) == (127, "fakeslurm: no-such-program: command not found\n")
    (tmp_path / "plain").touch()
    refused = run("--", str(tmp_path / "plain"))
    assert (refused.returncode, refused.stderr) == (126, f"fakeslurm: {tmp_path}/plain: Permission denied\n")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["run"], "no program to run"),
        (["run", "--"], "no program to run"),
        (["run", "--nodes", "0", "--", "true"], "nodes=0"),
        (["run", "--nodes", "x", "--", "true"], "invalid int value: 'x'"),
        (["run", "--version", "9.99", "--", "true"], "invalid choice: '9.99'"),
        (["run", "--real", "--version", "22.05", "--", "true"], "--version 22.05 with --real"),
        (["walk"], "invalid choice: 'walk'"),
        ([], "required"),
    ],
)
def test_wrong_command_lines(argv: list[str], text: str) -> None:
    done = subprocess.run([*COMMAND, *argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert text in done.stderr


def test_options_of_the_program_are_its_own() -> None:
    assert run("--", "printf", "%s|", "--nodes", "2", "--", "x").stdout == "--nodes|2|--|x|"
    assert run("printf", "%s|", "--nodes").stdout == "--nodes|"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_forwarded_and_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    body = "import signal, sys, time; signal.signal(%d, lambda *_: sys.exit(9)); open('up', 'w').write('x'); time.sleep(60)"
    job = f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 1000"
    script = (
        f'sbatch --wrap "{job}" >/dev/null; until [ -s pid ]; do sleep 0.02; done; exec {sys.executable} -c "$BODY"'
    )
    process = subprocess.Popen(
        [*COMMAND, "run", "--", "sh", "-c", script], cwd=tmp_path, env={**os.environ, "BODY": body % number},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    until((tmp_path / "up").exists, "the program runs")
    process.send_signal(number)
    assert process.wait(TIMEOUT) == 9
    assert not alive(int((tmp_path / "pid").read_text()))
