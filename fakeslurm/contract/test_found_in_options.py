"""What the differential machine has found about values of options."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown

NO_LIST = "fatal: Invalid node list specified\n"
INVALID = "error: Batch job submission failed: Invalid node name specified\n"


@pytest.mark.parametrize("name", ["ntasks", "cpus-per-task", "mincpus", "ntasks-per-node", "sockets-per-node"])
def test_numbers_that_are_too_large(slurm: SlurmUnderTest, name: str) -> None:
    """24.11 says so; before that they wrapped around."""
    done = slurm.run("sbatch", "-H", f"--{name}=4294967298", "--wrap=true")
    if slurm.at_least("24.11"):
        complaint = f"sbatch: error: Numeric argument (4294967298) too large for --{name}.\n"
        assert (done.returncode, done.stderr) == (1, complaint)
    else:
        assert done.returncode == 0, done
        slurm.run("scancel", done.stdout.split()[-1])


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--nice=2147483646", "Invalid --nice value, out of range (+/- 2147483645)"),
        ("--nice=-99999999999", "Invalid --nice value, out of range (+/- 2147483645)"),
        ("--priority=4294967294", "Priority must be < 4294967294"),
        ("--priority=-1", "Priority must be >= 0"),
        ("--nodes=2147483648", '"2147483648" is not a valid node count'),
        ("--nodes=3000000k", '"3000000k" is not a valid node count'),
    ],
)
def test_numbers_out_of_range(slurm: SlurmUnderTest, option: str, complaint: str) -> None:
    done = slurm.run("sbatch", "-H", option, "--wrap=true")
    assert (done.returncode, done.stderr) == (255, f"sbatch: error: {complaint}\n")


@pytest.mark.parametrize(
    ("text", "wrong"), [("n[1-", ""), ("[", ""), ("n[a]", "a"), ("n[1-2],n[x,3]", "x"), ("n[3-1]", "3-1")]
)
@pytest.mark.parametrize("command", ["sbatch", "salloc", "srun"])
def test_a_nodelist_that_is_none(slurm: SlurmUnderTest, command: str, text: str, wrong: str) -> None:
    """24.11 expands it before it asks slurmctld, and before it looks at begin and deadline."""
    if not slurm.at_least("24.11"):
        done = slurm.run("sbatch", "-w", "n[1-", "--wrap=true")
        assert (done.returncode, done.stderr) == (1, f"sbatch: {INVALID}")
        return
    tail = ["-H", "--wrap=true"] if command == "sbatch" else ["true"]
    done = slurm.run(command, "-w", text, "--begin=now+2hours", "--deadline=now+1hour", *tail)
    said = f"{command}: error: _parse_single_range: Invalid range: `{wrong}'\n" if wrong else ""
    assert (done.returncode, done.stderr) == (1, f"{said}{command}: {NO_LIST}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-N2 -w n[3-1] -M other", "{0}: error: _parse_single_range: Invalid range: `3-1'\n{0}: error: {1}\n"),
        ("-N2 -n1 -w n[1-", "{0}: warning: can't run 1 processes on 2 nodes, setting nnodes to 1\n{0}: error: {1}\n"),
    ],
)
@pytest.mark.parametrize("command", ["sbatch", "salloc"])
def test_a_nodelist_that_is_none_beside_a_number_of_nodes(
    slurm: SlurmUnderTest, command: str, options: str, said: str
) -> None:
    """24.11 expands it later, and it is another error."""
    if slurm.at_least("24.11"):
        done = slurm.run(command, *options.split(), *(["--wrap=true"] if command == "sbatch" else ["true"]))
        assert (done.returncode, done.stderr) == (1, said.format(command, "Invalid node list specified"))


@pytest.mark.parametrize("options", ["-N1 -n1", "-N2 -n1", "-N9"])
def test_a_nodelist_that_is_none_of_srun(slurm: SlurmUnderTest, options: str) -> None:
    """24.11 reads it early unless it knows nodes and tasks."""
    if slurm.at_least("24.11"):
        done = slurm.run("srun", *options.split(), "-w", "n[1-", "true")
        warning = "srun: warning: can't run 1 processes on 2 nodes, setting nnodes to 1\n" if "N2" in options else ""
        severity = "error" if "-n1" in options else "fatal"
        assert (done.returncode, done.stderr) == (1, f"{warning}srun: {severity}: Invalid node list specified\n")


@pytest.mark.parametrize("options", ["-n1", "-N9 -n9", "-N2 -n1"])
def test_a_nodelist_that_is_none_of_a_step(slurm: SlurmUnderTest, options: str) -> None:
    """Where nodes and tasks are known srun crashes in 24.11, which the fake does not."""
    slurm.wait(slurm.sbatch(f"srun {options} -w n[1- true; echo $?", "-o", "o", "-e", "e"))
    if not slurm.at_least("24.11"):
        assert slurm.output("o") == "1\n"
    elif slurm.is_real:
        assert slurm.output("o") == "139\n"
    else:
        assert slurm.output("o") == "1\n"
        assert slurm.output("e") == "srun: error: fakeslurm does not support --nodelist=n[1-\n"


@pytest.mark.parametrize("command", ["sbatch", "salloc", "srun"])
def test_fewer_tasks_than_nodes_and_another_mistake(slurm: SlurmUnderTest, command: str) -> None:
    tail = ["--wrap=true"] if command == "sbatch" else ["true"]
    done = slurm.run(command, "-N2", "-n1", "--begin=now+2hours", "--deadline=now+1hour", *tail)
    warning = "warning" if slurm.at_least("24.11") else "Warning"
    said = f"{command}: {warning}: can't run 1 processes on 2 nodes, setting nnodes to 1\n"
    said += f"{command}: error: Incompatible begin and deadline time specification\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_more_nodes_listed_than_there_may_be_and_another_mistake(slurm: SlurmUnderTest) -> None:
    """Before 24.11 sbatch goes on behind the first error."""
    options = "-N2 -n1 -w n[1-3] --begin=now+2hours --deadline=now+1hour --wrap=true"
    done = slurm.run("sbatch", *options.split())
    said = ["error: Incompatible begin and deadline time specification"]
    if slurm.at_least("24.11"):
        said.insert(0, "warning: can't run 1 processes on 2 nodes, setting nnodes to 1")
    else:
        said.insert(0, "Warning: can't run 1 processes on 3 nodes, setting nnodes to 1")
        said.insert(0, "error: invalid number of nodes (-N 3-2)")
    assert (done.returncode, done.stderr) == (1, "".join(f"sbatch: {line}\n" for line in said))


@pytest.mark.parametrize(
    "options", ["--exclusive -s", "-s --exclusive=exclusive -w n[1-", "-s --exclusive --begin=now+9 --deadline=now+3"]
)
@pytest.mark.parametrize("command", ["sbatch", "salloc", "srun"])
def test_nodes_that_are_shared_and_not(slurm: SlurmUnderTest, command: str, options: str) -> None:
    """24.11 refuses that before it looks at nodes and times."""
    if slurm.at_least("24.11"):
        tail = ["-H", "--wrap=true"] if command == "sbatch" else ["true"]
        done = slurm.run(command, *options.split(), *tail)
        text = f"{command}: fatal: --exclusive and --oversubscribe options are mutually exclusive\n"
        assert (done.returncode, done.stderr) == (1, text)


@pytest.mark.parametrize(
    ("directive", "variable", "options", "is_refused", "shown"),
    [
        ("--exclusive", None, "-s", True, "YES"),
        ("-s", None, "--exclusive", True, "NO"),
        ("-s", "", "", False, "NO"),
        ("--exclusive", "", "-s", False, "YES"),
        ("-s", "", "--exclusive", True, "NO"),
    ],
)
def test_who_says_that_nodes_are_shared(
    slurm: SlurmUnderTest, directive: str, variable: str | None, options: str, is_refused: bool, shown: str
) -> None:
    """The environment may contradict the script, and the line the environment: the last counts."""
    script = slurm.script(f"#SBATCH {directive}\ntrue")
    env = {} if variable is None else {"SBATCH_EXCLUSIVE": variable}
    done = slurm.run("sbatch", "-H", "--parsable", *options.split(), script, env=env)
    if is_refused and slurm.at_least("24.11"):
        assert done.returncode == 1
    else:
        job_id = done.stdout.strip()
        fields = slurm.show(job_id)
        slurm.run("scancel", job_id)
        assert fields is not None
        assert fields["OverSubscribe"] == shown


NO_PARTITION = "Invalid partition name specified"
NO_ARRAY = "Invalid job array specification"
NO_NODE = "Invalid node name specified"


@pytest.mark.parametrize(
    ("options", "before", "now"),
    [
        ("-p nope -w n9", NO_NODE, NO_NODE),
        ("-p nope -x n9", NO_PARTITION, NO_PARTITION),
        ("-p nope -a foo -w n9", NO_ARRAY, NO_ARRAY),
        ("-p nope -C nope", NO_PARTITION, "Invalid feature specification"),
        ("-w n9 -C nope", NO_NODE, "Invalid feature specification"),
        ("-w n9 --deadline=now+60 -t10", NO_NODE, NO_NODE),
        ("-p nope --test-only -w n9", NO_NODE, NO_NODE),
    ],
)
def test_which_mistake_is_found_first(slurm: SlurmUnderTest, options: str, before: str, now: str) -> None:
    done = slurm.run("sbatch", *options.split(), "--wrap=true")
    expected = now if slurm.at_least("24.11") else before
    assert (done.returncode, done.stderr.splitlines()[-1].rpartition(": ")[2]) == (1, expected)


def test_memory_that_variables_of_srun_ask_for_twice(slurm: SlurmUnderTest) -> None:
    done = slurm.run("srun", "true", env={"SLURM_MEM_PER_CPU": "1", "SLURM_MEM_PER_NODE": "1"})
    names = "SLURM_MEM_PER_CPU, SLURM_MEM_PER_GPU, and SLURM_MEM_PER_NODE"
    assert (done.returncode, done.stderr) == (1, f"srun: fatal: {names} are mutually exclusive.\n")


@pytest.mark.parametrize("text", ["n]", "^foo", "n9"])
def test_a_nodelist_of_no_nodes(slurm: SlurmUnderTest, text: str) -> None:
    done = slurm.run("sbatch", "-H", "-w", text, "--wrap=true")
    assert (done.returncode, done.stderr) == (1, f"sbatch: {INVALID}")


def test_an_excluded_list_that_is_none_is_left_to_slurmctld(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "-H", "-x", "n[1-", "--wrap=true")
    assert (done.returncode, done.stderr) == (1, f"sbatch: {INVALID}")


def test_who_gave_the_reason_of_no_nodes(slurm: SlurmUnderTest) -> None:
    """The row of a partition of which no node is left belongs to user 0."""
    done = slurm.run("sinfo", "-h", "-t", "down", "-o", "%P|%u|%U|%H|%E")
    assert done.stdout == "debug*|root|root(0)|Unknown|none\n"


@pytest.mark.parametrize(
    ("options", "before", "now"),
    [
        ("-n17 -C nope", 1, 0),
        ("-H -C nope", 1, 0),
        ("-N5 -w n9", 0, 0),
        ("-n17 -w n1 -x n1", 0, 0),
        ("--reservation=nope", 1, 1),
    ],
)
def test_ids_that_refused_submissions_use_up(slurm: SlurmUnderTest, options: str, before: int, now: int) -> None:
    first = int(slurm.sbatch("true", "--hold"))
    assert slurm.run("sbatch", "--wrap=true", *options.split()).returncode == 1
    assert int(slurm.sbatch("true", "--hold")) - first - 1 == (now if slurm.at_least("24.11") else before)


def test_none_of_something_is_no_gres(slurm: SlurmUnderTest) -> None:
    """Whatever its name, on a cluster that has none: programs write ``--gres=gpu:0`` of their number of GPUs."""
    prefix = "gres/" if slurm.at_least("24.11") else "gres:"
    for option, per_node, of_job in (
        ("--gres=gpu:0", "{}gpu:0", "N/A"),
        ("--gres=foo:a100:00k", "{}foo:a100:00k", "N/A"),
        ("--gres=gpu:0,foo:0", "{0}gpu:0,{0}foo:0", "N/A"),
        ("--gpus-per-node=a100:0", "{}gpu:a100:0", "N/A"),
        ("--gpus=a100:0", "N/A", "{}gpu:a100:0"),
        ("--gres=NONE", "N/A", "N/A"),
    ):
        job_id = slurm.sbatch("true", "--hold", option)
        found = slurm.run("squeue", "-h", "-j", job_id, "-O", "tres-per-node:40,tres-per-job:40").stdout.split()
        assert found == [per_node.format(prefix), of_job.format(prefix)], option
        slurm.run("scancel", job_id)
    refused = [["--gres=gpu:0,foo:1"], ["--gres=gpu"], *([] if slurm.at_least("24.11") else [["--gres=0"]])]
    for options in refused:
        done = slurm.run("sbatch", *options, "--wrap=true")
        assert (done.returncode, done.stderr) == (1, "sbatch: error: Invalid generic resource (gres) specification\n")


def test_a_step_of_none_of_something(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun --gres=foo:0 echo ran", "--gres=gpu:0", "-o", "out")
    slurm.wait(job_id)
    assert slurm.output("out") == "ran\n"


@pytest.mark.parametrize(
    ("options", "is_taken"),
    [
        ("-N2 -n2 -m plane=2", False),
        ("-N3 -n2 -m plane=1", False),
        ("-N2 -m plane=1", False),
        ("-N3 -n4 -m plane=2", False),
        ("-w n[1-2] -n3 -m plane=3", False),
        ("-N2 --ntasks-per-node=1 -m plane=2", False),
        ("-N2 -n2 -m plane=2 --begin=now+1hour --deadline=now+60", False),
        ("-N2-4 -n3 -m plane=2", True),
        ("-N3 -n5 -m plane=2", True),
        ("-n2 -m plane=2", True),
        ("-N2 --ntasks-per-node=2 -m plane=2", None),
    ],
)
def test_planes_without_tasks(slurm: SlurmUnderTest, options: str, is_taken: bool | None) -> None:
    """With --ntasks-per-node alone (None) 24.11 counts one task."""
    refused = "error: Too few processes for the requested {plane,node} distribution\n"
    done = slurm.run("sbatch", "-H", "--parsable", *options.split(), "--wrap=true")
    if is_taken or (is_taken is None and not slurm.at_least("24.11")):
        assert (done.returncode, done.stderr) == (0, "")
        slurm.run("scancel", done.stdout.strip())
    else:
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"sbatch: {refused}")
        assert slurm.run("salloc", *options.split(), "true").stderr == f"salloc: {refused}"


@pytest.mark.parametrize(
    ("number", "least"), [("65534", "1"), ("65535", "65535"), ("65536", "1"), ("131074", "2"), ("99999999999", "59391")]
)
def test_mincpus_has_sixteen_bits(slurm: SlurmUnderTest, number: str, least: str) -> None:
    done = slurm.run("sbatch", "--parsable", "-H", f"--mincpus={number}", slurm.script("true"))
    if slurm.at_least("24.11") and len(number) > 10:
        assert done.stderr == f"sbatch: error: Numeric argument ({number}) too large for --mincpus.\n"
        return
    job_id = done.stdout.strip()
    assert shown(slurm, job_id)["MinCPUsNode"] == least
    slurm.run("scancel", job_id)
