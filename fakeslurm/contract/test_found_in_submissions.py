"""What the differential machine has found about submissions: where scripts are looked for, and what is looked at first."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown

ARRAY = "Invalid job array specification"
DEADLINE = "Requested time limit is invalid (missing or exceeds some limit)"
FEATURE = "Invalid feature specification"
LICENSE = "Invalid license specification"
LONG = "Pathname of a file, directory or other parameter too long"
NODE = "Invalid node name specified"
NODES = "Node count specification invalid"
PARTITION = "Invalid partition name specified"


@pytest.mark.parametrize(
    ("options", "found", "found_by_24_11"),
    [
        (["--comment", "x" * 1100, "-a", "5-2"], LONG, None),
        (["-a", "5-2", "-w", "n9"], ARRAY, None),
        (["-a", "5-2", "-C", "nope"], ARRAY, FEATURE),
        (["-a", "0-2000", "-p", ""], ARRAY, None),
        (["-w", "n9", "-p", "nope"], NODE, None),
        (["-p", "nope", "--deadline=2020-01-01"], PARTITION, None),
        (["-p", "nope", "-w", "n1", "-x", "n1"], PARTITION, None),
        (["-p", "nope", "-x", "n9"], PARTITION, None),
        (["-p", "nope", "-C", "nope"], PARTITION, FEATURE),
        (["--deadline=2020-01-01", "-L", "nope"], DEADLINE, None),
        (["-L", "nope", "-w", "n1", "-x", "n1"], LICENSE, None),
        (["-w", "n1", "-x", "n1", "-C", "nope"], NODE, FEATURE),
    ],
)
def test_what_is_wrong_first(slurm: SlurmUnderTest, options: list[str], found: str, found_by_24_11: str | None) -> None:
    """Of two things that are wrong; 24.11 looks at features early."""
    done = slurm.run("sbatch", "-H", *options, "--wrap=true")
    text = found_by_24_11 if found_by_24_11 and slurm.at_least("24.11") else found
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, last) == (1, f"sbatch: error: Batch job submission failed: {text}")


@pytest.mark.parametrize("quiet", [["-Q"], ["-Q", "--quiet"], ["-QQQ"]])
def test_quiet_twice_takes_errors_and_three_times_fatal_ones(slurm: SlurmUnderTest, quiet: list[str]) -> None:
    """But for those that are found while the command line is read."""
    loud = quiet == ["-Q"]
    (slurm.workdir / "a.sh").write_text("#!/bin/sh\n#SBATCH --mem=foo\n")
    submit = "Batch job submission failed: Invalid partition name specified"
    both = "SLURM_MEM_PER_CPU, SLURM_MEM_PER_GPU, and SLURM_MEM_PER_NODE are mutually exclusive."
    for options, text, returncode in (
        (
            ["-p", "nope", "--wrap=true"],
            f"sbatch: error: invalid partition specified: nope\nsbatch: error: {submit}\n",
            1,
        ),
        (["a.sh"], "sbatch: error: Invalid --mem specification\n", 255),
        (["nosuchscript"], "sbatch: error: Unable to open file nosuchscript\n", 1),
    ):
        done = slurm.run("sbatch", "-H", *quiet, *options)
        assert (done.returncode, done.stderr) == (returncode, text if loud else ""), options
    done = slurm.run("sbatch", "-H", *quiet, "--mem=foo", "--wrap=true")
    assert (done.returncode, done.stderr) == (255, "sbatch: error: Invalid --mem specification\n")
    memory = {"SBATCH_MEM_PER_CPU": "50", "SBATCH_MEM_PER_NODE": "60"}
    done = slurm.run("sbatch", "-H", *quiet, "--wrap=true", env=memory)
    assert (done.returncode, done.stderr) == (1, "" if quiet == ["-QQQ"] else f"sbatch: fatal: {both}\n")


@pytest.mark.parametrize(
    ("path", "options", "name", "command"),
    [
        ("", [], "./a.sh", "./a.sh"),
        ("", [], "sub/../a.sh", "W/sub/../a.sh"),
        ("", ["-D", "."], "a.sh", "W/./a.sh"),
        ("", ["-D", ""], "a.sh", "W//a.sh"),
        ("", ["-D", "sub/.."], "a.sh", "W/sub/../a.sh"),
        ("", ["-D", "."], "./a.sh", "./a.sh"),
        ("", ["-D", "sub"], "b.sh", "W/sub/b.sh"),
        ("", ["-D", "/tmp"], "sub/b.sh", "sub/b.sh"),
        ("W/bin/", [], "c.sh", "W/bin//c.sh"),
        ("W", [], "bin/c.sh", "W/bin/c.sh"),
        ("bin:W/bin", ["-D", "sub"], "c.sh", "bin/c.sh"),
        ("W/bin:sub", [], "b.sh", "sub/b.sh"),  # in bin that is a directory
        ("./bin", [], "c.sh", "W/./bin/c.sh"),
        ("./bin::.", ["-D", "sub"], "c.sh", None),
        ("", ["-D", "sub"], "./b.sh", None),
    ],
)
def test_where_a_script_is_found_and_how_it_is_shown(
    slurm: SlurmUnderTest, path: str, options: list[str], name: str, command: str | None
) -> None:
    """In the job's directory, on PATH, at last where sbatch is called; nothing is resolved."""
    for script in ("a.sh", "sub/b.sh", "bin/c.sh"):
        (slurm.workdir / script).parent.mkdir(exist_ok=True)
        (slurm.workdir / script).write_text("#!/bin/sh\n")
    (slurm.workdir / "bin/b.sh").mkdir()
    before = slurm.base_environment["PATH"]
    env = {"PATH": f"{path.replace('W', str(slurm.workdir))}:{before}" if path else before}
    done = slurm.run("sbatch", "--parsable", "-H", *options, name, env=env)
    if command is None:
        assert (done.returncode, done.stderr) == (1, f"sbatch: error: Unable to open file {name}\n")
        return
    job_id = done.stdout.strip()
    shown = slurm.run("squeue", "-h", "-j", job_id, "-o", "%o").stdout
    slurm.run("scancel", job_id)
    assert shown == f"{command.replace('W', str(slurm.workdir))}\n"


def test_a_directory_is_an_empty_script(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "sub").mkdir()
    for name in ("sub", "./sub"):
        done = slurm.run("sbatch", name)
        assert (done.returncode, done.stderr) == (1, "sbatch: error: Batch script is empty!\n")


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ("-w n4,n1", "4 4 4"),
        ("-w n1,n3 -N3", "3-3 3 3"),
        ("-w n1,n3 -N2-4", "3-4 3 3"),
        ("-w n1,n3 -n2", "3 3 2"),
        ("-w n1,n3 -c3", "3 6 3"),
        ("-w n1,n3 -O", "3 3 3"),
        ("-w n1,n3 --ntasks-per-node=2", "3 4 4"),
        ("-w n1,n3 -N1-2", NODES),
        ("-w n1,n3,n4 -n2", NODES),
        ("-w n1,n3 -x n2", NODE),
    ],
)
def test_nodes_between_are_wanted_as_well(slurm: SlurmUnderTest, options: str, counts: str) -> None:
    """24.11 takes a list without -N as a choice: refused by the fake."""
    if slurm.at_least("24.11"):
        pytest.skip("of 22.05")
    done = slurm.run("sbatch", "--parsable", "-H", "--contiguous", *options.split(), "--wrap=true")
    if done.returncode:
        assert done.stderr.endswith(f"sbatch: error: Batch job submission failed: {counts}\n")
        return
    fields = slurm.show(done.stdout.strip()) or {}
    slurm.run("scancel", done.stdout.strip())
    assert " ".join(fields[name] for name in ("NumNodes", "NumCPUs", "NumTasks")) == counts


@pytest.mark.parametrize(
    ("options", "before", "later"),
    [
        ("--ntasks-per-node=3", "3 3", "9 3"),
        ("-w n[1-2] --ntasks-per-node=3", "6 4", "12 4"),
        ("-w n1 --ntasks-per-node=2 -c2", "2 2", "4 2"),
        ("-w n1 -O --ntasks-per-node=3", "3 3", "9 3"),
        ("-N1-3 --ntasks-per-node=3", "9 3", "9 3"),
    ],
)
def test_tasks_of_jobs_that_are_spread(slurm: SlurmUnderTest, options: str, before: str, later: str) -> None:
    """22.05 counts those of the nodes that were asked for, 24.11 those of all."""
    job_id = slurm.sbatch("echo $SLURM_NTASKS $SLURM_NNODES", "--spread-job", *options.split(), "-o", "o.txt")
    slurm.wait(job_id)
    assert slurm.output("o.txt") == f"{later if slurm.at_least('24.11') else before}\n"


def test_tasks_of_nodes_between(slurm: SlurmUnderTest) -> None:
    """The number of tasks is that of the named nodes, and they are dealt out over all."""
    if slurm.at_least("24.11"):
        pytest.skip("of 22.05")
    body = "echo $SLURM_NTASKS $SLURM_NPROCS $SLURM_NNODES $SLURM_TASKS_PER_NODE"
    job_id = slurm.sbatch(body, "--contiguous", "-w", "n1,n4", "--ntasks-per-node=3", "-o", "o.txt")
    slurm.wait(job_id)
    assert slurm.output("o.txt") == "6 6 4 3(x4)\n"


def test_more_nodes_than_tasks(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "-H", "-w", "n1,n3,n4", "-n2")
    assert shown(slurm, job_id)["NumNodes"] == "2-2"


@pytest.mark.parametrize("text", ["", ","])
def test_an_empty_list_of_nodes_is_shown(slurm: SlurmUnderTest, text: str) -> None:
    fields = shown(slurm, slurm.sbatch("true", "-H", "-N2", "-w", text, "-x", text))
    assert (fields["ReqNodeList"], fields["ExcNodeList"], fields["NumNodes"]) == ("", "", "2-2")


def test_an_empty_list_of_nodes_is_not_enough(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "-w", "", "--wrap=true")
    assert (done.returncode, done.stderr) == (1, f"sbatch: error: Batch job submission failed: {NODES}\n")


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ("-c5", False),
        ("-c3 --ntasks-per-node=2", False),
        ("--mincpus=5", True),
        ("--ntasks-per-node=5", True),
        ("--ntasks-per-node=5 -O", False),
    ],
)
def test_cpus_of_a_task_that_no_node_has(slurm: SlurmUnderTest, options: str, detail: bool) -> None:
    """With --ntasks-per-core nothing is said of them."""
    said = "sbatch: error: CPU count per node can not be satisfied\n" if detail else ""
    done = slurm.run("sbatch", "--ntasks-per-core=1", *options.split(), "--wrap=true")
    text = "sbatch: error: Batch job submission failed: Requested node configuration is not available\n"
    assert (done.returncode, done.stderr) == (1, said + text)


@pytest.mark.parametrize(
    ("limit", "shown_as"),
    [
        ("-1", "UNLIMITED"),
        ("-0", "UNLIMITED"),
        ("-2147483648", "UNLIMITED"),
        ("-4294967295", "1-00:00:00"),
        ("2147483647", "UNLIMITED"),
        ("4294967294", "UNLIMITED"),
        ("4294967356", "01:00:00"),
        ("35791393", "24855-03:13:00"),
        ("5-", "5-00:00:00"),
        ("0-35791394:81:75229", "22:07:00"),
        ("35791395:63310:596523", "50-21:45:00"),
    ],
)
def test_a_limit_that_32_bits_do_not_hold(slurm: SlurmUnderTest, limit: str, shown_as: str) -> None:
    """Seconds wrap around, and what begins with a dash is days. Negative ones are left to Slurm, which takes them for thousands of years."""
    job_id = slurm.sbatch("true", "-H", "-t", limit)
    assert shown(slurm, job_id)["TimeLimit"] == shown_as
    if shown_as != "UNLIMITED" and not limit.startswith("-"):
        other = slurm.sbatch("true", "-H", "-t", "7")
        assert slurm.run("scontrol", "update", f"jobid={other}", f"TimeLimit={limit}").returncode == 0
        assert shown(slurm, other)["TimeLimit"] == shown_as
