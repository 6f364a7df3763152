"""What the differential machine found out by asking much: formats, filters, orders and complaints of the query commands."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until

GATE = "until [ -e go ]; do sleep 0.05; done"


def said(slurm: SlurmUnderTest, *argv: str) -> tuple[int, str, str]:
    done = slurm.run(*argv)
    return done.returncode, done.stdout, done.stderr


def stderr(slurm: SlurmUnderTest, *argv: str) -> str:
    return slurm.run(*argv).stderr


# squeue


def test_lists_of_nodes_are_not_cut_on_the_left(slurm: SlurmUnderTest) -> None:
    """Their headers are, but for that of the nodes that a job has."""
    job_id = slurm.sbatch("true", "--hold", "-w", "n2", "-x", "n[3-4]")
    rows = slurm.run("squeue", "-j", job_id, "-o", "%.1n|%.3n|%1n|%.1x|%.2N").stdout
    assert rows == "R|REQ|R|E|NODELIST\nn2| n2|n|n[3-4]|  \n"
    slurm.run("scancel", job_id)


def test_widths_of_squeue(slurm: SlurmUnderTest) -> None:
    """A sign counts; below 0 there is one blank behind the text, and in sinfo no text."""
    job_id = slurm.sbatch("true", "--hold", "-J", "named")
    widths = {"-8": "named ", "-8x": "named x", "x9": "namedx9", "8x9": "named   x9", ".-8": "named ", "+8": "named   "}
    widths |= {" 8": "named   ", "8-9": "named   -9", "..8": "named.8", "  ": "named  "}
    found = {
        width: slurm.run("squeue", "-h", "-j", job_id, "-O", f"Name:{width}").stdout.rstrip("\n") for width in widths
    }
    assert found == widths
    assert slurm.run("sinfo", "-h", "-O", "Partition:-8x,Nodes:5").stdout == "x4    \n"
    assert slurm.run("sinfo", "-O", "Partition:-8,NodeList:-8x").stdout == "%.0-8sx\nx\n"
    slurm.run("scancel", job_id)


def test_what_squeue_complains_about_first(slurm: SlurmUnderTest) -> None:
    nobody = "squeue: error: Invalid user: nosuchuser\n\n"
    assert stderr(slurm, "squeue", "-j", "999999", "-u", "nosuchuser") == (
        f"{nobody}slurm_load_jobs error: Invalid job id specified\n"
    )
    for options, lines in (
        ("-l", 1),
        ("-l -h", 0),
        ("-l -O jobid", 1),
        ("--start", 0),
    ):  # the line with the date is there
        done = slurm.run("squeue", "-j", "999999", *options.split())
        assert (done.returncode, len(done.stdout.splitlines())) == (1, lines)
        assert done.stderr == "slurm_load_jobs error: Invalid job id specified\n"
    assert stderr(slurm, "squeue", "-u", "nosuchuser", "-t", "nope").startswith(
        f"{nobody}squeue: error: Invalid job state specified: nope\n"
    )
    assert "nosuchuser" not in stderr(slurm, "squeue", "-t", "nope", "-u", "nosuchuser")
    assert stderr(slurm, "squeue", "-u", "nosuchuser", "abc") == f"{nobody}squeue: error: Unrecognized option: abc\n"
    assert stderr(slurm, "squeue", "-u", "nosuchuser", "--bogus") == (
        f"{nobody}squeue: unrecognized option '--bogus'\nTry \"squeue --help\" for more information\n"
    )
    assert stderr(slurm, "squeue", "-o", "%_i", "-S", "E") == (
        "squeue: error: Invalid job format specification: _\nsqueue: error: Invalid sort specification: E\n"
    )


def test_usage(slurm: SlurmUnderTest) -> None:
    code, usage, err = said(slurm, "squeue", "--usage")
    assert (code, err) == (0, "")
    assert usage.startswith("Usage: squeue [-A account] [--clusters names] [-i seconds] [--job jobid]\n")
    last = usage.splitlines()[-1]
    assert last == ("              [-ahjlrsv]" if slurm.at_least("24.11") else "\t      [-ahjlrsv]")
    assert ("[--only-job-state]" in usage, len(usage.splitlines())) == (
        slurm.at_least("24.11"),
        6 + slurm.at_least("24.11"),
    )
    assert said(slurm, "squeue", "extra") == (1, usage, "squeue: error: Unrecognized option: extra\n")
    first = "Usage: sinfo [-abdelNRrsTv] [-i seconds] [-t states] [-p partition] [-n nodes]\n"
    second = "             [-S fields] [-o format] [-O Format] [--federation] [--local]\n"
    assert said(slurm, "sinfo", "--usage") == (0, first + second, "")


def test_jobs_without_nodes_sorted_by_node(slurm: SlurmUnderTest) -> None:
    """The other way round, behind those that have nodes; with a minus as they were, before them."""
    running = slurm.sbatch(GATE)
    slurm.wait(running, ["RUNNING"])
    first, second = (slurm.sbatch("true", "--hold") for _ in range(2))
    asked = ("squeue", "-h", "-o", "%i", "-j", f"{first},{second},{running}", "-S")
    assert slurm.run(*asked, "N,i").stdout.split() == [running, second, first]
    assert slurm.run(*asked, "-N,i").stdout.split() == [first, second, running]
    slurm.run("scancel", first, second)
    (slurm.workdir / "go").touch()
    slurm.wait(running)


def test_start_has_its_own_fields(slurm: SlurmUnderTest) -> None:
    """It passes over those of -O, not those of -o."""
    job_id = slurm.sbatch("true", "--hold", "-J", "named")
    start = slurm.run("squeue", "--start", "-j", job_id).stdout
    assert start.splitlines()[0].split() == [
        "JOBID",
        "PARTITION",
        "NAME",
        "USER",
        "ST",
        "START_TIME",
        "NODES",
        "SCHEDNODES",
        "NODELIST(REASON)",
    ]
    for argv in ("--start", "-O", "jobid"), ("-O", "jobid", "--start"):
        assert slurm.run("squeue", "-j", job_id, *argv).stdout == start
    assert slurm.run("squeue", "-j", job_id, "-o", "%j", "--start").stdout == "NAME\nnamed\n"
    done = said(slurm, "squeue", "-j", job_id, "-O", "ContainerID")
    assert done[1].split() == (["CONTAINERID", "(null)"] if slurm.at_least("24.11") else [])
    slurm.run("scancel", job_id)


def test_names_of_squeue_in_any_case(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "-J", "named")
    asked = ("squeue", "-h", "-o", "%i", "-j", job_id)
    for option in ("-n", "NAMED"), ("-q", "NORMAL,nope"), ("-A", "ROOT"):
        assert slurm.run(*asked, *option).stdout == f"{job_id}\n"
    assert slurm.run(*asked, "-p", "DEBUG").stdout == ""
    slurm.run("scancel", job_id)


@pytest.mark.parametrize(
    ("indices", "text", "shown"),
    [
        ("1-7:2", "1,3,5,7", "1 3 5 7"),
        ("1-13:2", "1-13:2", "1 3 5 7 9 11"),
        ("10-60:10", "10-60:10", "10 20 30 40 50"),
        ("1-11:2", "1,3,5,7,9,11", "1 3 5 7 9 11"),
    ],
)
def test_each_element_of_stepped_indices(slurm: SlurmUnderTest, indices: str, text: str, shown: str) -> None:
    """Of a range that is written with its step, the last one is not shown."""
    job_id = slurm.sbatch("true", "--hold", f"--array={indices}")
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%K").stdout == f"{text}\n"
    assert slurm.run("squeue", "-h", "-r", "-j", job_id, "-o", "%K").stdout.split() == shown.split()
    slurm.run("scancel", job_id)


def test_unique_arrays(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "--array=1-7:2%2")
    done = said(slurm, "squeue", "--array-unique", "-h", "-j", job_id, "-o", "%i|%r")
    if slurm.at_least("24.11"):
        text = "squeue: unrecognized option '--array-unique'\nTry \"squeue --help\" for more information\n"
        assert done == (1, "", text)
    else:
        assert done == (0, f"{job_id}_[1,3,5,7%2]|JobHeldUser\n", "")
    slurm.run("scancel", job_id)


def test_bits_of_an_array_that_are_shown(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "--array=1,3,5,8,11,14,19,24%2")

    def label(command: str, *argv: str) -> str:
        return slurm.run(command, *argv, env={"SLURM_BITSTR_LEN": "12"}).stdout.strip()

    assert label("squeue", "-h", "-j", job_id, "-o", "%K") == "1,3,5,8,...%2"
    argv = ("-n", "-X", "-P", "-j", job_id, "-o", "JobID")
    until(lambda: label("sacct", *argv) == f"{job_id}_[1,3,5,8,...%2]", what="the array in accounting", interval=0.1)
    slurm.run("scancel", job_id)


def test_steps_of_squeue(slurm: SlurmUnderTest) -> None:
    faults = {"abc": "abc.??", "abc.d": "abc.d", "12": "12.??", "12.": "12.??", "Name:.300": "Name:.300"}
    for text, wrong in faults.items():
        assert stderr(slurm, "squeue", "-s", text) == f"squeue: error: Invalid job_step id: {wrong}\n"
    for text in ("12.x3", "12.batch", "12_1.3"):
        assert said(slurm, "squeue", "-h", "-s", text) == (0, "", "")
    assert slurm.run("squeue", "-s", "-o", "%.20S|%.20l|").stdout.splitlines()[0] == (
        "START_TIME          |          TIME_LIMIT|"
    )
    header = "CONTAINERID" if slurm.at_least("24.11") else "CONTAINER"
    assert slurm.run("squeue", "-s", "-O", "ContainerID:12").stdout.splitlines()[0] == f"{header:12}"


# scontrol


def test_quiet(slurm: SlurmUnderTest) -> None:
    """It hides what is not found, too; but not what is said of lists of hosts, nor of words that mean nothing."""
    for words in ("show step 999999", "show node n9", "show partition nope", "show reservation nope", "show bogus"):
        assert said(slurm, "scontrol", "-Q", *words.split()) == (1, "", "")
    assert said(slurm, "scontrol", "-Q", "bogus") == (1, "", "invalid keyword: bogus\n")
    assert said(slurm, "scontrol", "-Q", "show", "hostnames", "n[3-2]") == (
        *(0, ""),
        "scontrol: error: _parse_single_range: Invalid range: `3-2'\nInvalid hostlist: n[3-2]\n",
    )
    done = said(slurm, "scontrol", "-Q", "version", "extra")
    assert done == (1, f"slurm-wlm {slurm.version}\n", "too many arguments for version keyword\n")


def test_quiet_about_what_there_is_none_of(slurm: SlurmUnderTest) -> None:
    assert said(slurm, "scontrol", "-Q", "show", "reservations") == (0, "", "")
    assert said(slurm, "scontrol", "-Q", "show", "steps") == (0, "", "")


def test_nodes_of_an_open_bracket(slurm: SlurmUnderTest) -> None:
    for text, name in (("n[1-", "n]"), ("a[1-2", "a]"), ("[", "")):
        done = said(slurm, "scontrol", "show", "node", text)
        if slurm.at_least("24.11"):
            complaint = f"unable to parse node list {text}\nscontrol: error: hostlist_shift_dims: no hostlist given\n"
            assert done == (1, "", complaint)
            assert said(slurm, "scontrol", "-Q", "show", "node", text) == (1, "", complaint.partition("\n")[2])
        else:
            assert done == (1, f"Node {name} not found\n", "")
            assert said(slurm, "scontrol", "-Q", "show", "node", text) == (1, "", "")


def test_one_parameter(slurm: SlurmUnderTest) -> None:
    """There is no such thing: all are shown."""
    done = slurm.run("scontrol", "show", "config", "MinJobAge")
    assert done.returncode == 0
    assert "\nClusterName " in done.stdout


def test_steps_of_elements(slurm: SlurmUnderTest) -> None:
    """In the order of slurmctld's list, in which the record of the array comes last. 22.05 shows them when they are asked for."""
    job_id = slurm.sbatch(GATE, "--array=3,5")
    labels = [f"{job_id}_3.batch", f"{job_id}_5.batch"]

    def steps(*argv: str) -> list[str]:
        return re.findall(r"^StepId=(\S+)", slurm.run("scontrol", "show", *argv).stdout, re.MULTILINE)

    until(lambda: steps("step", job_id) == labels, what="the steps")
    assert steps("steps") == (labels if slurm.at_least("24.11") else [])
    assert slurm.run("squeue", "-s", "-h", "-o", "%i", "-S", "u").stdout.split() == labels
    (slurm.workdir / "go").touch()
    until(lambda: slurm.run("squeue", "-h", "-j", job_id).stdout == "", what="the end of both")


def test_licenses(slurm: SlurmUnderTest) -> None:
    for words in (), ("nope",):
        done = said(slurm, "scontrol", "show", "licenses", *words)
        assert done == (0, "No licenses configured in Slurm.\n", "")


@pytest.mark.parametrize(
    ("options", "cpus", "least", "memory"),
    [
        ("-O -c3", "1", "3", "2000M"),
        ("-O -n4 -c2", "1", "2", "2000M"),
        ("-O -N2 -c2", "2", "2", "4000M"),
        ("-O --ntasks-per-node=2 -c2", "1", "2", "2000M"),
        ("-O -c3 --mem-per-cpu=100", "1", "3", "100M"),
    ],
)
def test_overcommitted_cpus(slurm: SlurmUnderTest, options: str, cpus: str, least: str, memory: str) -> None:
    """While it waits: one CPU of each node."""
    job_id = slurm.sbatch("true", "--hold", *options.split())
    fields = slurm.wait(job_id, ["PENDING"])
    tres = fields["ReqTRES" if slurm.at_least("24.11") else "TRES"]
    assert (fields["NumCPUs"], fields["MinCPUsNode"]) == (cpus, least)
    assert tres.split(",")[:2] == [f"cpu={cpus}", f"mem={memory}"]
    slurm.run("scancel", job_id)


# sinfo


@pytest.mark.slurm_conf(
    "ReturnToService=0",
    "NodeName=n2 TmpDisk=100",
    "NodeName=n3 RealMemory=1000",
    "PartitionName=alpha Nodes=n[1-2] MaxTime=10",
)
def test_orders_and_reasons_of_sinfo(slurm: SlurmUnderTest) -> None:
    slurm.run("scontrol", "update", "nodename=n4", "state=drain", "reason=bad disk")

    def rows(*argv: str) -> list[str]:
        return slurm.run("sinfo", "-h", *argv).stdout.splitlines()

    by_state = ["debug* idle n[1-3]", "debug* drain n4", "alpha idle n[1-2]"]
    try:
        assert rows("-o", "%P %t %N", "-S", "#P,t") == by_state
        assert rows("-o", "%P %t %N", "-S", "P,t") == [by_state[2], *by_state[:2]]
        assert rows("-o", "%P %t %N", "-S", "-P,-t") == [by_state[1], by_state[0], by_state[2]]
        assert rows("-o", "%P %t %N", "-S", "Q?") != []
        assert rows("-N", "-o", "%N", "-S", "-N") == ["n4", "n3", "n2", "n2", "n1", "n1"]
        assert rows("-N", "-p", "debug", "-o", "%N %m", "-S", "m,-N") == ["n3 1000", "n4 2000", "n2 2000", "n1 2000"]
        assert rows("-p", "debug", "-n", "n[1-3]", "-o", "%m %d %N") == ["1000+ 0+ n[1-3]"]
        exactly = rows("-p", "debug", "-n", "n[1-3]", "-e", "-o", "%m %d %N", "-S", "N")
        assert exactly == ["2000 0 n1", "2000 100 n2", "1000 0 n3"]
        assert (
            slurm.run("sinfo", "-h", "-o", "%P %N", env={"SINFO_SORT": "P"}).stdout == "alpha n[1-2]\ndebug* n[1-4]\n"
        )
        reasons = ["bad disk root n4", "none Unknown n[1-3]"]
        assert rows("-R", "-p", "debug", "-o", "%E %u %N") == reasons[:1]
        assert rows("-R", "-p", "debug", "-t", "idle", "-o", "%E %u %N") == reasons
        assert rows("-R", "-p", "debug", "-t", "drain", "-o", "%E %u %N") == reasons[:1]
        assert rows("-RN", "-p", "debug") == ["n4             1    debug* drain "]
        assert rows("-p", "debug", "-R", "-t", "draining") == []
        assert rows("-p", "alpha", "-R", "-o", "%P|%D") == ["alpha|0"]
        assert rows("-p", "alpha", "-R", "-o", "%D|%a") == []
        assert slurm.run("sinfo", "-T", "-o", "%_N").stderr == "Invalid node format specification: _\n"
        assert rows("-d", "-p", "debug") == ["debug*       up   infinite      0    n/a "]
    finally:
        slurm.run("scontrol", "update", "nodename=n4", "state=resume")


def test_no_nodes_of_sinfo(slurm: SlurmUnderTest) -> None:
    """An empty list names none."""
    assert slurm.run("sinfo", "-h", "-n", "", "-o", "%P %D").stdout == "debug* 0\n"
    for argv in ("-N",), ("-o", "%D %t"), ("-o", "%n", "-S", "N"):
        assert slurm.run("sinfo", "-h", "-n", "", *argv).stdout == ""


def test_json_is_still_a_document(slurm: SlurmUnderTest) -> None:
    """Complaints do not hinder it."""
    done = slurm.run("squeue", "--json", "-u", "nosuchuser")
    assert done.stderr == "squeue: error: Invalid user: nosuchuser\n\n"
    assert "jobs" in json.loads(done.stdout)


def test_show_step_of_what_is_no_number(slurm: SlurmUnderTest) -> None:
    """22.05 asks for all steps, and misses job 0 when there are none."""
    if slurm.version < "24.11":
        for word in ("abc", "abc.2", "0.1"):
            done = slurm.run("scontrol", "show", "step", word)
            assert (done.returncode, done.stdout, done.stderr) == (1, "Job step 0.Invalid not found\n", "")
    assert slurm.run("scontrol", "show", "step").stdout == "No job steps in the system\n"


@pytest.mark.parametrize(
    "word", ["0", "00", "0_1", "0_x", "0_", "_1", ".1", "0.", "0.0", "0.1x", "0_1.1", "0x", "0x.1", "x_1"]
)
def test_show_step_of_job_0(slurm: SlurmUnderTest, word: str) -> None:
    """22.05 asks for all steps where no element and no step is named, and finds none where one is."""
    new = slurm.at_least("24.11")
    job_id = slurm.sbatch("sleep 60")
    until(lambda: slurm.run("scontrol", "-o", "show", "step", job_id).stdout.startswith("StepId="), what="its step")
    done = slurm.run("scontrol", "-o", "show", "step", word)
    element = {"0_1": "_1", "0_x": "_0", "0_": "_0", "_1": "_1", "0_1.1": "_1"}.get(word, "")
    if new:
        problem = f"scontrol: error: scontrol_print_step: slurm_get_job_steps({word}) failed: JobID can not be zero\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", problem)
    elif word in ("0", "00", "0x", "0x.1", "x_1"):
        assert (done.returncode, f"StepId={job_id}.batch " in done.stdout, done.stderr) == (0, True, "")
    else:
        assert (done.returncode, done.stdout, done.stderr) == (1, f"Job step 0{element}.Invalid not found\n", "")
    slurm.run("scancel", job_id)


@pytest.mark.slurm_conf("MinJobAge=303")  # a cluster that has seen no other job
def test_show_steps_where_there_are_only_arrays(slurm: SlurmUnderTest) -> None:
    """22.05 leaves them out, and misses the job then, of which none was named."""
    array = slurm.sbatch("sleep 60", "--array=1-2")
    slurm.wait(f"{array}_2", ["RUNNING"])
    asked = {
        words: slurm.run("scontrol", *words.split())
        for words in ("show steps", "-Q show steps", "show step 0_1", "show step abc")
    }
    if slurm.at_least("24.11"):
        assert asked["show steps"].stdout.startswith(f"StepId={array}_1.batch ")
    else:
        assert {done.returncode for done in asked.values()} == {1}
        assert {done.stdout for done in asked.values()} == {""}
        problem = "slurm_get_job_steps error: Invalid job id specified\n"
        assert [done.stderr for done in asked.values()] == [problem, "", problem, problem]
    slurm.run("scancel", array)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("extern", "extern"),
        ("interactive", "interactive"),
        ("TBD", "TDB"),
        ("batchx", None),
        ("0x", None),
        ("externx", None),
    ],
)
def test_show_step_by_name(slurm: SlurmUnderTest, step: str, said: str | None) -> None:
    """As 24.11 knows them; 22.05 asks for step 0, whatever the name, or for the number that it begins with."""
    job_id = slurm.sbatch("true", "--hold")
    done = slurm.run("scontrol", "show", "step", f"{job_id}.{step}")
    slurm.run("scancel", job_id)
    if not slurm.at_least("24.11"):
        said = "0"
    if said is not None:
        assert (done.returncode, done.stdout, done.stderr) == (1, f"Job step {job_id}.{said} not found\n", "")
    else:
        problem = "StepID includes unexpected non-numeric characters"
        text = f"scontrol: error: scontrol_print_step: slurm_get_job_steps({job_id}.{step}) failed: {problem}\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", text)


def test_files_of_array_elements_in_squeue(slurm: SlurmUnderTest) -> None:
    """22.05 names them as if they were jobs, by their own ids; 24.11 knows a pattern, and of stderr nothing."""
    array = slurm.sbatch("true", "--hold", "-a", "1-2")
    output, error = slurm.run("squeue", "-h", "-j", array, "-O", "STDOUT:200,STDERR:0").stdout.split()
    named = f"{slurm.workdir}/slurm-{array}.out"
    assert (output, error) == (
        (f"{slurm.workdir}/slurm-%A_%a.out", "(null)") if slurm.at_least("24.11") else (named, named)
    )
    slurm.run("scancel", array)


@pytest.mark.parametrize(
    ("options", "variables"),
    [("-a -p debug", ()), ("-p nope -a", ()), ("-a -p '' -T", ()), ("", ("SINFO_ALL", "SINFO_PARTITION"))],
)
def test_all_partitions_and_some(slurm: SlurmUnderTest, options: str, variables: tuple[str, ...]) -> None:
    done = slurm.run("sinfo", *shlex.split(options), env=dict.fromkeys(variables, "debug"))
    named = " and ".join(variables or ("-a", "-p"))
    text = f"sinfo: error: Conflicting options, {named}, specified. Please choose one or the other.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", text)


def test_all_partitions_though_a_variable_names_one(slurm: SlurmUnderTest) -> None:
    assert slurm.run("sinfo", "-h", "-o", "%P", env={"SINFO_PARTITION": "nope"}).stdout == ""
    assert slurm.run("sinfo", "-a", "-h", "-o", "%P", env={"SINFO_PARTITION": "nope"}).stdout == "debug*\n"


def test_tasks_of_a_job_that_was_over_twice(slurm: SlurmUnderTest) -> None:
    """Cancelled before it ran again it shows what it had; one that was requeued as it ran does not."""
    over, running = (slurm.sbatch(body, "-N2") for body in ("true", "sleep 100"))
    slurm.wait(over, ["COMPLETED"])
    slurm.wait(running, ["RUNNING"])
    for job_id in (over, running):
        assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
        slurm.wait(job_id, ["PENDING"])
        assert shown(slurm, job_id)["NumTasks"] == "2"
        assert slurm.run("scancel", job_id).returncode == 0
    assert slurm.wait(over, ["CANCELLED"])["NumTasks"] == "2"
    assert slurm.wait(running, ["CANCELLED"])["NumTasks"] == "N/A"
