"""The environment of batch script, step and rank: names and values, as recorded from a real Slurm of the same version."""

from __future__ import annotations

import os
import subprocess

import pytest

from fakeslurm.contract import environments
from fakeslurm.contract.harness import SlurmUnderTest


@pytest.mark.parametrize("shape", environments.SHAPES)
def test_environment(slurm: SlurmUnderTest, shape: str) -> None:
    if slurm.kind == "site":
        pytest.skip("the recorded environments are those of n1..n4 with 4 CPUs each, which a site has not")
    recorded = environments.recorded(slurm.version)
    if recorded is None:
        pytest.skip(
            f"no environments are recorded for Slurm {slurm.version}: python -m fakeslurm.contract.environments"
        )
    expected = recorded[shape]
    found = environments.collect(slurm, environments.SHAPES[shape])
    assert sorted(found) == sorted(expected)
    for process, environment in expected.items():
        assert found[process] == environment, f"{shape}: {process}"


_GIVEN = {
    "nothing": {},
    "others": {"HYDRA_BOOTSTRAP": "ssh", "I_MPI_HYDRA_BOOTSTRAP": "", "OMPI_MCA_plm_slurm_args": "x"},
    "options": {"HYDRA_BOOTSTRAP": "slurm", "HYDRA_LAUNCHER_EXTRA_ARGS": "y", "PRTE_MCA_plm_slurm_args": "q"},
}
_ALL = {
    "HYDRA_BOOTSTRAP": "slurm",
    "HYDRA_LAUNCHER_EXTRA_ARGS": "--external-launcher",
    "I_MPI_HYDRA_BOOTSTRAP": "slurm",
    "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS": "--external-launcher",
    "OMPI_MCA_plm_slurm_args": "--external-launcher",
    "PRTE_MCA_plm_slurm_args": "--external-launcher",
}


def _launchers(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs if "HYDRA" in name or "_MCA_" in name}


@pytest.mark.parametrize("given", _GIVEN)
@pytest.mark.parametrize("how", ["sbatch", "srun", "salloc"])
def test_launchers_of_mpi(slurm: SlurmUnderTest, given: str, how: str) -> None:
    """24.11 tells them to use srun, unless they are told otherwise; what the user has set stays in scripts alone."""
    environ = _GIVEN[given]
    if how == "sbatch":
        job_id = slurm.sbatch("env", "-o", "out", env=environ)
        slurm.wait(job_id)
        text = slurm.output("out")
    else:
        text = slurm.run(how, "-Q", "env", env=environ).stdout
    expected = dict(environ)
    if slurm.at_least("24.11"):
        dropped = {
            "nothing": (),
            "others": ("HYDRA_LAUNCHER_EXTRA_ARGS", "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS"),
            "options": (),
        }[given]
        whole = {name: value for name, value in _ALL.items() if name not in dropped}
        bootstraps = {name: value for name, value in environ.items() if name.endswith("BOOTSTRAP")}
        expected = whole | (environ if how == "sbatch" else bootstraps)
    assert _launchers(text) == expected


def test_launchers_of_mpi_in_a_step_that_exports_nothing(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun --export=NONE /usr/bin/env; srun /usr/bin/env", "-o", "out", "--export=SET=1")
    slurm.wait(job_id)
    assert _launchers(slurm.output("out")) == {}


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ([], {}, None),
        (["--open-mode=append"], {}, "a"),
        (["--open-mode=t"], {}, "t"),
        ([], {"SBATCH_OPEN_MODE": "append"}, "a"),
        (["--open-mode=t"], {"SLURM_OPEN_MODE": "a"}, "t"),
    ],
)
def test_open_mode(slurm: SlurmUnderTest, options: list[str], environ: dict[str, str], expected: str | None) -> None:
    job_id = slurm.sbatch("env; srun env", "-o", "out", *options, env=environ)
    slurm.wait(job_id)
    found = [line for line in slurm.output_of_steps("out").splitlines() if line.startswith("SLURM_OPEN_MODE")]
    assert found == ([] if expected is None else [f"SLURM_OPEN_MODE={expected}"] * 2)


@pytest.mark.parametrize(
    ("environ", "options", "before", "now"),
    [
        ({}, (), "-", "sbatch"),
        ({"SLURM_JOB_NAME": "mine"}, (), "mine", "sbatch"),
        ({"SBATCH_JOB_NAME": "mine"}, (), "mine", "mine"),
        ({}, ("-J", ""), "", ""),
    ],
)
def test_job_name_of_a_script_from_stdin(
    slurm: SlurmUnderTest, environ: dict[str, str], options: tuple[str, ...], before: str, now: str
) -> None:
    script = "#!/bin/sh\necho ${SLURM_JOB_NAME--}\n"
    done = slurm.run("sbatch", "--parsable", "-o", "out", *options, stdin=script, env=environ)
    slurm.wait(done.stdout.strip())
    assert slurm.output("out") == (now if slurm.at_least("24.11") else before) + "\n"


def _login() -> dict[str, str]:
    if os.geteuid() != 0:
        pytest.skip("only root can log in as somebody without a password")
    login = ["su", "-", "root", "-c", "printf '\\001'; env -0"]
    dump = subprocess.run(login, env={}, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
    return environments.parse(dump.partition(b"\1")[2])


def test_get_user_env(slurm: SlurmUnderTest) -> None:
    """The login's variables below those of the call; who submits from such a job passes it on; a negative timeout is none at all."""
    login = _login()
    jobs = {
        "plain": slurm.sbatch("/usr/bin/env -0 > plain"),
        "with": slurm.sbatch("/usr/bin/env -0 > with", "--get-user-env=5Lx"),
        "variable": slurm.sbatch("/usr/bin/env -0 > variable", env={"SBATCH_GET_USER_ENV": ""}),
        "passed on": slurm.sbatch("/usr/bin/env -0 > 'passed on'", env={"SLURM_GET_USER_ENV": "1"}),
        "negative": slurm.sbatch("/usr/bin/env -0 > negative", "--get-user-env=-1L"),
        "another": slurm.sbatch("/usr/bin/env -0 > another", env={"SLURM_GET_USER_ENV": "2"}),
    }
    for job_id in jobs.values():
        slurm.wait(job_id)
    found = {name: environments.parse((slurm.workdir / name).read_bytes()) for name in jobs}
    plain = found["plain"].keys()
    expected = {name: value for name, value in login.items() if name not in plain}
    for name in ("with", "variable", "passed on"):
        added = {key: value for key, value in found[name].items() if key not in {*plain, "SBATCH_GET_USER_ENV"}}
        assert added == {**expected, "SLURM_GET_USER_ENV": "1"}, name
        assert found[name].get("HOME") == found["plain"].get("HOME", login["HOME"])
    assert found["negative"].keys() == plain
    assert found["another"].keys() == {*plain, "SLURM_GET_USER_ENV"}


@pytest.mark.parametrize("value", ["nope", "5:L", " L"])
def test_get_user_env_of_what_is_no_time_and_mode(slurm: SlurmUnderTest, value: str) -> None:
    done = slurm.run("sbatch", f"--get-user-env={value}", "--wrap=true")
    assert (done.returncode, done.stderr) == (255, "sbatch: error: Invalid --get-user-env specification\n")


def test_what_a_login_gives(slurm: SlurmUnderTest) -> None:
    """A job with another --export than ALL has what a login of the user sets, MAIL and what profiles set included."""
    expected = _login()
    job_id = slurm.sbatch("/usr/bin/env -0 > out", "--export=SET=1")
    slurm.wait(job_id)
    found = environments.parse((slurm.workdir / "out").read_bytes())
    own = {"PATH", "PWD", "SHLVL", "_"}
    assert expected.items() - {(name, expected.get(name, "")) for name in own} <= found.items()
    assert found["PATH"].endswith(expected["PATH"])
    assert {name for name in found if not name.startswith(("SLURM", "HYDRA", "I_MPI", "OMPI", "PRTE"))} <= (
        expected.keys() | {"ENVIRONMENT", "HOSTNAME", "SET", "TMPDIR", "OLDPWD"}
    )


@pytest.mark.parametrize(
    ("job", "step", "old", "new"),
    [
        ([], ["--ntasks-per-core=1"], "cores", "cores"),
        ([], ["--ntasks-per-core=2"], "cores", "threads"),
        (["--ntasks-per-core=1"], [], None, "cores"),
        (["--ntasks-per-core=2"], [], None, "threads"),
        (["--ntasks-per-core=1"], ["--ntasks-per-core=2"], "cores", "threads"),
        (["--threads-per-core=1"], [], "threads", "threads"),
        ([], ["--threads-per-core=1"], "threads", "threads"),
        ([], ["--ntasks-per-socket=1"], "sockets", "sockets"),
    ],
)
def test_parts_of_nodes_ask_for_a_binding(
    slurm: SlurmUnderTest, job: list[str], step: list[str], old: str | None, new: str
) -> None:
    """A step's own; since 24.11 its job's as well."""
    done = slurm.run(*(["salloc", "-Q", *job] if job else []), "srun", *step, "env")
    kind = new if slurm.at_least("24.11") else old
    expected = [] if kind is None else [f"=quiet,{kind}", "_LIST=", f"_TYPE={kind}", "_VERBOSE=quiet"]
    prefix = "SLURM_CPU_BIND"
    assert sorted(line.removeprefix(prefix) for line in done.stdout.splitlines() if line.startswith(prefix)) == expected
    name, _, number = (step or job)[0].removeprefix("--").partition("=")
    assert f"SLURM_{name.upper().replace('-', '_')}={number}\n" in done.stdout
    lacks = "srun: cluster configuration lacks support for cpu binding\n"
    assert done.stderr == (lacks if name == "threads-per-core" and not slurm.at_least("24.11") else "")


@pytest.mark.parametrize(
    ("value", "old", "new"),
    [
        ("cores", "quiet,corescores", "quiet,cores"),
        ("v,cores", "verbose,coresv,cores", "verbose,cores"),
        ("none", *["quiet,none"] * 2),
    ],
)
def test_binding(slurm: SlurmUnderTest, value: str, old: str, new: str) -> None:
    done = slurm.run("srun", f"--cpu-bind={value}", "sh", "-c", "echo $SLURM_CPU_BIND")
    lacks = "srun: cluster configuration lacks support for cpu binding\n"
    assert (done.stdout, done.stderr) == ((f"{new}\n", "") if slurm.at_least("24.11") else (f"{old}\n", lacks))


def _bound_to(slurm: SlurmUnderTest, options: str, *job: str) -> tuple[str, list[str]]:
    """What srun says of its binding, and what it has set."""
    slurm.wait(slurm.sbatch(f"srun {options} sh -c 'env | grep ^SLURM_CPU_BIND | sort'", *job, "-o", "o", "-e", "e"))
    return slurm.output_of_steps("e"), [line.removeprefix("SLURM_CPU_BIND") for line in slurm.output("o").splitlines()]


_VERBOSE = ["=verbose", "_LIST=", "_TYPE=", "_VERBOSE=verbose"]


@pytest.mark.parametrize("job", [[], ["--threads-per-core=1"]], ids=" ".join)
@pytest.mark.parametrize(("value", "variables"), [("rank", []), ("quiet,rank", []), ("v,rank", _VERBOSE)])
def test_binding_to_ranks(slurm: SlurmUnderTest, job: list[str], value: str, variables: list[str]) -> None:
    """Since 24.11 there is none."""
    said, found = _bound_to(slurm, f"--cpu-bind={value}", *job)
    if slurm.at_least("24.11"):
        assert said == "srun: Ignoring --cpu-bind=rank. Rank binding is obsolete.\n"
        assert found == variables
    else:
        loud = "verbose" if value.startswith("v") else "quiet"
        assert said == "srun: cluster configuration lacks support for cpu binding\n"
        assert found == [f"={loud},rank", "_LIST=", "_TYPE=rank", f"_VERBOSE={loud}"]


@pytest.mark.parametrize(
    ("options", "job"),
    [
        ("--cpu-bind=v", ["--threads-per-core=1"]),
        ("--cpu-bind=v --threads-per-core=1", []),
        ("--threads-per-core=1 --cpu-bind=v", []),
    ],
)
def test_verbose_binding_to_threads(slurm: SlurmUnderTest, options: str, job: list[str]) -> None:
    _, found = _bound_to(slurm, options, *job)
    if slurm.at_least("24.11"):
        assert found == ["=verbose,threads", "_LIST=", "_TYPE=threads", "_VERBOSE=verbose"]
    else:
        assert found == ["=verbose", "_LIST=v", "_TYPE=", "_VERBOSE=verbose"]


@pytest.mark.parametrize(
    ("options", "job"), [("--cpu-bind=q", ["--threads-per-core=1"]), ("--cpu-bind=none --cpu-bind=q", [])]
)
def test_quiet_binding_is_none(slurm: SlurmUnderTest, options: str, job: list[str]) -> None:
    assert _bound_to(slurm, options, *job)[1] == []


@pytest.mark.parametrize(
    ("variable", "option", "expected"),
    [
        ("", "v", ["verbose", "", "", "verbose"]),
        ("local", "verbose", ["verbose,local", "", "local", "verbose"]),
        ("none", "v", ["verbose,none", "", "none", "verbose"]),
        ("local", "q", ["quiet,local", "", "local", "quiet"]),
        ("local", "none", ["quiet,none", "", "none", "quiet"]),
    ],
)
def test_verbose_binding_of_memory(slurm: SlurmUnderTest, variable: str, option: str, expected: list[str]) -> None:
    """To be verbose leaves what the variable says."""
    names = ["SLURM_MEM_BIND", "SLURM_MEM_BIND_LIST", "SLURM_MEM_BIND_TYPE", "SLURM_MEM_BIND_VERBOSE"]
    variables = {"SLURM_MEM_BIND": variable} if variable else {}
    done = slurm.run("srun", f"--mem-bind={option}", "/usr/bin/env", only_env=variables)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert [found[name] for name in names] == expected


@pytest.mark.parametrize(
    ("variables", "options", "cpus"),
    [
        ("SLURM_CPUS_PER_TASK=2", "", None),
        ("SLURM_TRES_PER_TASK=cpu=2", "", None),
        ("SLURM_CPUS_PER_TASK=2", "-c1", "1"),
        ("-u SLURM_CPUS_PER_TASK", "", "1"),
        ("SLURM_CPUS_PER_TASK=1", "", "1"),
    ],
)
def test_two_variables_of_cpus_per_task(slurm: SlurmUnderTest, variables: str, options: str, cpus: str | None) -> None:
    """24.11 has a job's -c in both, and minds when they differ; before that srun looked at neither."""
    body = f"env {variables} srun {options} sh -c 'echo ${{SLURM_CPUS_PER_TASK:-none}}'; echo $?"
    slurm.wait(slurm.sbatch(body, "-c1", "-o", "o", "-e", "e"))
    if not slurm.at_least("24.11"):
        inherited = variables.partition("TASK=")[2] if variables.startswith("SLURM_CPUS") else "1"
        unset = "none" if variables.startswith("-u") else inherited
        assert slurm.output("o") == f"{'1' if options else unset}\n0\n"
    elif cpus is None:
        by = ("2", "1") if "CPUS" in variables else ("1", "2")
        differ = f"SLURM_CPUS_PER_TASK={by[0]} != SLURM_TRES_PER_TASK=cpu={by[1]}"
        assert slurm.output("e") == f"srun: fatal: cpus-per-task set by two different environment variables {differ}\n"
        assert slurm.output("o") == "1\n"
    else:
        assert slurm.output("o") == f"{cpus}\n0\n"


def test_more_threads_than_the_job_has(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun --threads-per-core=2 true 2>&1 | tail -n1", "-o", "o.txt")
    slurm.wait(job_id)
    text = "Cannot request more threads per core than the job allocation"
    assert slurm.output("o.txt") == f"srun: error: Unable to create step for job {job_id}: {text}\n"


def test_nice_values_of_who_asks(slurm: SlurmUnderTest) -> None:
    """That of sbatch and srun is told, which is not that of the job."""
    show = "echo $SLURM_PRIO_PROCESS"
    inner = f"nice -n3 sbatch -Q -W -o inner --wrap='{show}'; until [ -s inner ]; do sleep 0.05; done; cat inner"
    slurm.wait(
        slurm.sbatch(f"nice -n3 nice; nice -n3 srun sh -c '{show}'; {inner}; nice; srun sh -c '{show}'", "-o", "o")
    )
    raised, *found, lower, step = map(int, slurm.output_of_steps("o").split())
    assert found == [raised, raised]
    assert lower < raised
    assert step == lower
