"""The throwaway Slurm: it starts, it runs jobs, and nothing of it is left behind."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakeslurm.conflines import read_conf
from fakeslurm.throwaway import (
    SlurmUnavailable,
    ThrowawaySlurm,
    cgroups,
    missing_programs,
    programs,
    unavailable_reason,
)
from fakeslurm.throwaway import cluster as cluster_module
from fakeslurm.throwaway import conf as texts

needs_slurm = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))
REPOSITORY = Path(__file__).resolve().parent.parent


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def processes_in(directory: Path) -> list[str]:
    """Command lines of live processes that belong to a cluster: named in arguments, environment or working directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes().decode(errors="replace")
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if any(str(directory) in text for text in (arguments, environment, place)):
            found.append(f"{entry.name} {arguments}")
    return found


def assert_nothing_left(directory: Path) -> None:
    wait_until(lambda: not directory.exists(), f"{directory} is gone")
    wait_until(lambda: not processes_in(directory), f"processes are gone: {processes_in(directory)}")


@pytest.fixture(scope="module")
def slurm() -> Iterator[ThrowawaySlurm]:
    # Commands give up on a dead controller after MessageTimeout seconds (10 by default).
    with ThrowawaySlurm(nodes=2, extra_conf={"MessageTimeout": "4"}) as cluster:
        yield cluster


def submit(cluster: ThrowawaySlurm, script: str, *options: str) -> str:
    done = cluster.run(["sbatch", "--parsable", *options], input=f"#!/bin/bash\n{script}\n", cwd=cluster.directory)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Running jobs


@needs_slurm
def test_a_job_runs_and_accounting_shows_it(slurm: ThrowawaySlurm) -> None:
    job = submit(slurm, "srun bash -c 'echo $SLURMD_NODENAME'", "--nodes=2", "--ntasks=2", "--job-name=hello")
    slurm.wait_idle()
    assert sorted((slurm.directory / f"slurm-{job}.out").read_text().split()) == ["n1", "n2"]
    show = ["sacct", "-nPX", "-j", job, "-o", "JobName,Partition,State,ExitCode,NodeList"]
    # slurmctld hands started jobs to slurmdbd every five seconds.
    wait_until(lambda: slurm.run(show).stdout == "hello|debug|COMPLETED|0:0|n[1-2]\n", "accounting has the job")


@needs_slurm
def test_attributes(slurm: ThrowawaySlurm) -> None:
    assert slurm.conf == slurm.directory / "slurm.conf"
    assert slurm.directory.stat().st_mode & 0o777 == 0o700
    assert slurm.run(["sbatch", "--version"]).stdout == f"slurm-wlm {slurm.version}\n"
    assert slurm.node_names == ("n1", "n2")
    assert sorted(slurm.pids) == ["mariadbd", "slurmctld", "slurmd.n1", "slurmd.n2", "slurmdbd"]


@needs_slurm
def test_nothing_listens_beyond_the_loopback_interface(slurm: ThrowawaySlurm) -> None:
    inodes = set()
    for pid in slurm.pids.values():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:"):
                inodes.add(target[len("socket:[") : -1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    listening = {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}
    assert listening == {"0100007F"}


@needs_slurm
def test_environ_drops_what_an_outer_job_left(slurm: ThrowawaySlurm) -> None:
    outer = {
        "SLURM_JOB_ID": "7",
        "SLURMD_NODENAME": "far",
        "SBATCH_PARTITION": "nope",
        "SQUEUE_FORMAT": "%i",
        "SACCT_FORMAT": "jobid",
        "SRUN_DEBUG": "3",
        "SLURM_CONF": "/elsewhere/slurm.conf",
        "PATH": "/bin",
        "MY_SLURM_NOTE": "stays",
    }
    assert slurm.environ(outer) == {"PATH": "/bin", "MY_SLURM_NOTE": "stays", "SLURM_CONF": str(slurm.conf)}
    assert outer["SLURM_CONF"] == "/elsewhere/slurm.conf"


@needs_slurm
def test_run_gives_text_return_code_and_directory(slurm: ThrowawaySlurm, tmp_path: Path) -> None:
    done = slurm.run(["sh", "-c", "pwd; cat; echo no >&2; exit 3"], input="in\n", cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == (f"{tmp_path}\nin\n", "no\n", 3)
    with pytest.raises(subprocess.TimeoutExpired):
        slurm.run(["sleep", "30"], timeout=0.1)


@needs_slurm
def test_wait_idle_has_a_bound_and_says_what_it_saw(slurm: ThrowawaySlurm) -> None:
    job = submit(slurm, "sleep 60")
    with pytest.raises(TimeoutError, match=rf"{job} (RUNNING|PENDING)"):
        slurm.wait_idle(timeout=0.5)
    slurm.run(["scancel", job])
    slurm.wait_idle()


# Faults


@needs_slurm
def test_a_paused_controller_answers_nobody_until_it_is_resumed(slurm: ThrowawaySlurm) -> None:
    slurm.pause("slurmctld")
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            slurm.run(["squeue"], timeout=1)
    finally:
        slurm.resume("slurmctld")
    assert slurm.run(["squeue", "--noheader"]).returncode == 0


@needs_slurm
def test_a_killed_controller_comes_back_with_its_jobs(slurm: ThrowawaySlurm) -> None:
    job = submit(slurm, "sleep 60", "--job-name=survivor")
    state = slurm.directory / "state" / "job_state"
    wait_until(lambda: state.exists() and b"survivor" in state.read_bytes(), "the job is in the saved state")
    slurm.kill("slurmctld")
    assert "slurmctld" not in slurm.pids
    refused = slurm.run(["squeue"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Unable to contact slurm controller (connect failure)" in refused.stderr
    slurm.restart("slurmctld")
    assert slurm.run(["squeue", "--noheader", "--format=%i %j"]).stdout == f"{job} survivor\n"
    slurm.run(["scancel", job])
    slurm.wait_idle()


@needs_slurm
def test_restart_takes_a_running_or_a_paused_daemon(slurm: ThrowawaySlurm) -> None:
    before = slurm.pids
    slurm.pause("slurmd.n2")
    slurm.restart("slurmd")
    slurm.restart("slurmdbd")
    after = slurm.pids
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"slurmd.n1", "slurmd.n2", "slurmdbd"}
    submit(slurm, "true", "--nodes=2")
    slurm.wait_idle()


@needs_slurm
def test_an_unknown_daemon_is_refused(slurm: ThrowawaySlurm) -> None:
    with pytest.raises(ValueError, match=r"'slurmrestd'.*slurmctld"):
        slurm.pause("slurmrestd")


# Leaving


@needs_slurm
def test_two_coexist_and_each_leaves_nothing(slurm: ThrowawaySlurm) -> None:
    with ThrowawaySlurm(nodes=1, accounting=False) as other:
        assert sorted(other.pids) == ["slurmctld", "slurmd.n1"]
        first, second = submit(slurm, "true"), submit(other, "sleep 60 & setsid sleep 61 & wait")
        assert second == "1"
        slurm.wait_idle()
        assert (slurm.directory / f"slurm-{first}.out").exists()
        wait_until(lambda: any("sleep 61" in line for line in processes_in(other.directory)), "the job runs")
        assert other.run(["sacct"]).stderr == "Slurm accounting storage is disabled\n"
        home = other.directory
    # No waiting here: when the block has ended everything is gone, the job's own processes too.
    assert processes_in(home) == []
    assert not home.exists()
    other.close()
    with pytest.raises(RuntimeError, match="not running"):
        other.kill("slurmctld")
    assert slurm.run(["scontrol", "ping"]).returncode == 0


@needs_slurm
def test_an_exception_in_the_block_leaves_nothing() -> None:
    cluster = ThrowawaySlurm(nodes=1, accounting=False)
    with pytest.raises(KeyError), cluster:
        raise KeyError("x")
    home = cluster.directory
    assert processes_in(home) == []
    assert not home.exists()


OWNER = """
import os, sys, time
from fakeslurm.throwaway import ThrowawaySlurm
with ThrowawaySlurm(nodes=1, accounting=sys.argv[1] == "accounting") as cluster:
    done = cluster.run(["sbatch", "--wrap", "setsid sleep 100 & sleep 100"], cwd=cluster.directory)
    assert done.returncode == 0, done.stderr
    while not cluster.run(["squeue", "-h", "-t", "R"]).stdout:
        time.sleep(0.05)
    child = 0
    if sys.argv[2] == "fork":  # the child keeps the keeper's pipe open after its parent's death
        child = os.fork() or (time.sleep(100), os._exit(0))
    print(cluster.directory, child, flush=True)
    time.sleep(100)
"""


@needs_slurm
@pytest.mark.parametrize(
    ("signum", "fork", "accounting"),
    [
        (signal.SIGKILL, "no fork", "accounting"),
        (signal.SIGKILL, "fork", "without"),
        (signal.SIGTERM, "no fork", "without"),
        (signal.SIGINT, "no fork", "without"),
    ],
    ids=["SIGKILL", "SIGKILL-forked", "SIGTERM", "SIGINT"],
)
def test_a_signal_to_the_owner_leaves_nothing(signum: signal.Signals, fork: str, accounting: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, accounting, fork],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        child = 0
        try:
            directory, number = owner.stdout.readline().split()
            home, child = Path(directory), int(number)
            assert home.is_dir()
            os.kill(owner.pid, signum)
            assert owner.wait(timeout=30) != 0
            assert_nothing_left(home)
        finally:
            owner.kill()
            if child:
                os.kill(child, signal.SIGKILL)


@needs_slurm
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user to start a Slurm as that user")
def test_an_ordinary_user_can_start_one() -> None:
    nobody = pwd.getpwnam("nobody")
    path = os.pathsep.join([str(REPOSITORY), *(entry for entry in sys.path if entry.endswith("site-packages"))])
    program = (
        "import os, sys, time\n"
        "from fakeslurm.throwaway import ThrowawaySlurm\n"
        "with ThrowawaySlurm(nodes=2) as slurm:\n"
        "    slurm.run(['sbatch', '-N2', '--wrap', 'srun id -u'], cwd=slurm.directory)\n"
        "    slurm.wait_idle()\n"
        "    print(os.getuid(), (slurm.directory / 'slurm-1.out').read_text().split(), slurm.directory)\n"
    )
    python = next((name for name in (sys.executable, "/usr/bin/python3") if _can_run(name, nobody, path)), None)
    if python is None:
        pytest.skip(
            "the user nobody can execute neither this Python nor /usr/bin/python3 with this project on its path"
        )
    done = _as(nobody, [python, "-c", program], path)
    assert done.returncode == 0, done.stderr
    uid, jobs, home = done.stdout.strip().rsplit("[", 1)[0], done.stdout, done.stdout.split()[-1]
    assert uid.strip() == str(nobody.pw_uid)
    assert f"['{nobody.pw_uid}', '{nobody.pw_uid}']" in jobs
    assert not Path(home).exists()


def _as(user: pwd.struct_passwd, argv: list[str], path: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}
    return subprocess.run(
        argv,
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def _can_run(python: str, user: pwd.struct_passwd, path: str) -> bool:
    try:
        return _as(user, [python, "-c", "import fakeslurm.throwaway"], path).returncode == 0
    except OSError:
        return False


# Failing to start


@needs_slurm
def test_a_daemon_that_does_not_start_shows_its_log() -> None:
    """Two daemons end: which of them is seen first is a matter of time."""
    with pytest.raises(
        SlurmUnavailable, match=r"(?s)slurm(ctld|d\.n1) ended with return code 1.*NoSuchPlugin"
    ) as caught:
        ThrowawaySlurm(nodes=1, accounting=False, extra_conf={"SelectType": "select/NoSuchPlugin"}).start()
    assert "--- slurmctld" in str(caught.value)


@needs_slurm
def test_a_start_timeout_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakeslurm.throwaway.cluster._connects", lambda address: False)  # it is never ready
    begin = time.monotonic()
    with pytest.raises(SlurmUnavailable, match="not ready in time"):
        ThrowawaySlurm(nodes=1, accounting=False, start_timeout=0.05).start()
    assert time.monotonic() - begin < 60


@needs_slurm
def test_a_port_taken_between_choosing_and_binding_is_chosen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = cluster_module._free_ports
    chosen: list[list[int]] = []
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()

        def choose_a_taken_one_first(count: int) -> list[int]:
            ports = choose(count)
            if not chosen:
                ports[-1] = thief.getsockname()[1]  # n1's slurmd
            chosen.append(ports)
            return ports

        monkeypatch.setattr(cluster_module, "_free_ports", choose_a_taken_one_first)
        with ThrowawaySlurm(nodes=1, accounting=False) as cluster:
            assert len(chosen) == 2
            assert f"Port={chosen[1][-1]} " in cluster.conf.read_text()


@pytest.mark.parametrize("wrong", [{"nodes": 0}, {"cpus_per_node": -1}, {"memory_mb": 0}])
def test_sizes_below_one_are_refused(wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        ThrowawaySlurm(**wrong)  # type: ignore[arg-type]


def test_one_string_of_extra_conf_is_refused() -> None:
    with pytest.raises(TypeError, match="MinJobAge=3"):
        ThrowawaySlurm(extra_conf="MinJobAge=3")


def test_nothing_is_known_before_the_start() -> None:
    cluster = ThrowawaySlurm()
    for name in ("directory", "conf", "version", "pids"):
        with pytest.raises(RuntimeError, match="not"):
            getattr(cluster, name)


# What is missing


def test_missing_programs_name_their_debian_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "_DAEMON_DIRECTORIES", ())
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("slurmctld", "sbatch", "sacctmgr", "scontrol", "sinfo", "squeue", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert missing_programs() == ["slurmd", "slurmstepd", "slurmdbd", "mariadbd"]
    assert missing_programs(accounting=False) == ["slurmd", "slurmstepd"]
    reason = unavailable_reason()
    assert reason is not None
    assert reason.endswith("apt-get install --no-install-recommends slurmd slurmdbd mariadb-server")
    with pytest.raises(SlurmUnavailable, match="slurmd, slurmstepd, slurmdbd, mariadbd not found"):
        ThrowawaySlurm().start()


def test_daemons_are_found_outside_of_an_ordinary_users_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "slurmd").write_text("#!/bin/sh\n")
    (tmp_path / "slurmd").chmod(0o755)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(programs, "_DAEMON_DIRECTORIES", (str(tmp_path),))
    assert programs.find("slurmd") == str(tmp_path / "slurmd")
    assert programs.find("slurmctld") is None


def test_elsewhere_than_on_linux_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert unavailable_reason() == "a real Slurm needs Linux, this is darwin"


# The configuration as text


def layout(**changes: object) -> texts.Layout:
    values: dict[str, object] = {
        "directory": "/d",
        "cluster_name": "c",
        "user": "me",
        "host": "here",
        "nodes": 2,
        "cpus_per_node": 3,
        "memory_mb": 500,
        "accounting": True,
        "slurmctld_port": 1,
        "slurmdbd_port": 2,
        "slurmd_ports": (3, 4),
    }
    return texts.Layout(**(values | changes))  # type: ignore[arg-type]


def keys(text: str) -> dict[str, str]:
    pairs = [line.split("=", 1) for line in text.splitlines()]
    assert len({key for key, _ in pairs if key not in {"NodeName", "PartitionName"}}) == sum(
        key not in {"NodeName", "PartitionName"} for key, _ in pairs
    ), "a key occurs twice"
    return dict(pairs)


def conf_of(*lines: str, version: str = "22.05.8", **changes: object) -> str:
    return texts.slurm_conf(layout(**changes), version, read_conf(lines))


def test_extra_conf_replaces_a_line_or_adds_one() -> None:
    assert keys(conf_of())["MinJobAge"] == "20"
    changed = keys(conf_of("minjobage = 300", "PreemptMode=REQUEUE"))
    assert changed["MinJobAge"] == "300"
    assert changed["PreemptMode"] == "REQUEUE"
    two = conf_of("PartitionName=two Nodes=n1", "NodeSet=s Nodes=n1")
    assert two.count("PartitionName=") == 2
    assert two.splitlines()[-1] == "NodeSet=s Nodes=n1"


def test_extra_conf_changes_nodes_and_replaces_partitions() -> None:
    text = conf_of("NodeName=n2 cpus=8 Feature=fast", "PartitionName=debug Nodes=n1")
    assert "NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=3 CPUs=3 RealMemory=500 State=UNKNOWN\n" in text
    node = "NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=4 cpus=8 RealMemory=500 State=UNKNOWN Feature=fast\n"
    assert node in text
    assert [line for line in text.splitlines() if line.startswith("Partition")] == ["PartitionName=debug Nodes=n1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("NodeName=n7 CPUs=2", "NodeName=n7: there is no such node; nodes are n1, n2"),
        ("NodeName=n1 Port=7", "NodeName=n1 Port=7: a throwaway Slurm says itself where its nodes are"),
    ],
)
def test_nodes_stay_what_they_are(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conf_of(line)


def test_gres_conf_gives_a_gpu_a_device() -> None:
    assert texts.gres_conf(layout(), read_conf(["NodeName=n1 CPUs=2"])) is None
    found = texts.gres_conf(layout(), read_conf(["NodeName=n[1-2] Gres=gpu:a:1,gpu:b:2,dongle:3"]))
    assert found is not None
    text, devices = found
    assert devices == ["/d/dev/gpu0", "/d/dev/gpu1", "/d/dev/gpu2"]
    assert text.splitlines()[:3] == [
        "NodeName=n1 Name=gpu Type=a File=/d/dev/gpu0",
        "NodeName=n1 Name=gpu Type=b File=/d/dev/gpu1,/d/dev/gpu2",
        "NodeName=n1 Name=dongle Count=3",
    ]
    with pytest.raises(ValueError, match=r"NodeName=n1 Gres=gpu:two:3:4: expected name\[:type\]\[:number\]"):
        texts.gres_conf(layout(), read_conf(["NodeName=n1 Gres=gpu:two:3:4"]))


@needs_slurm
def test_nodes_and_partitions_of_extra_conf_are_there() -> None:
    lines = ["NodeName=n1 Gres=gpu:2,dongle:3 State=DRAIN", "GresTypes=gpu,dongle", "PartitionName=two Nodes=n2"]
    with ThrowawaySlurm(nodes=2, accounting=False, extra_conf=lines) as cluster:
        seen = cluster.run(["sinfo", "--noheader", "--format=%P|%N|%t|%G"]).stdout
        assert sorted(seen.split()) == [
            "debug*|n1|drain|gpu:2,dongle:3",
            "debug*|n2|idle|(null)",
            "two|n2|idle|(null)",
        ]


def test_what_differs_between_the_versions() -> None:
    old, new = (keys(conf_of(version=version)) for version in ("22.05.8", "24.11.5"))
    assert set(old) - set(new) == {"SwitchType", "MpiDefault", "TaskPlugin"}
    assert set(new) - set(old) == set()


def test_nodes_and_accounting_lines() -> None:
    text = conf_of(version="24.11.5", accounting=False)
    assert "NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=4 CPUs=3 RealMemory=500 State=UNKNOWN" in text
    assert "AccountingStorage" not in text
    assert "--user=root" in texts.mariadbd_options(layout(user="root"))
    assert "--user=root" not in texts.mariadbd_options(layout())


def test_a_database_keeps_its_temporary_tables_to_itself() -> None:
    # A mariadbd that starts removes every temporary table of the directory for them, those that another one is using included.
    assert [one for one in texts.mariadbd_options(layout()) if one.startswith("--tmpdir=")] == [
        f"--tmpdir={layout().directory}/tmp"
    ]


@pytest.mark.parametrize(
    ("text", "version", "release"),
    [("slurm-wlm 22.05.8\n", "22.05.8", (22, 5)), ("slurm 24.11.0-0rc1", "24.11.0", (24, 11))],
)
def test_versions(text: str, version: str, release: tuple[int, int]) -> None:
    assert texts.parse_version(text) == version
    assert texts.release(version) == release


def test_a_text_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match="no Slurm version in 'nothing'"):
        texts.parse_version("nothing")


@needs_slurm
@pytest.mark.skipif(cgroups.unavailable_reason() is not None, reason=f"{cgroups.unavailable_reason()}")
def test_memory_cgroups_go_with_the_cluster() -> None:
    """They are called by the node: whoever comes next has its own."""
    conf = ["SelectTypeParameters=CR_Core_Memory", "TaskPlugin=task/cgroup", "ConstrainRAMSpace=yes"]
    for _ in range(2):
        with ThrowawaySlurm(nodes=1, accounting=False, extra_conf=conf) as slurm:
            done = slurm.run(["srun", "--mem=50", "cat", "/proc/self/cgroup"])
            assert ":memory:/slurm_n1/uid_" in done.stdout
            assert (cgroups.MEMORY / "slurm_n1").is_dir()
        assert not (cgroups.MEMORY / "slurm_n1").exists()
