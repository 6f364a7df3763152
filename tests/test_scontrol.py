"""scontrol against what Slurm 22.05.8 printed: recorded reports, and measured answers to odd requests."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from query_golden import SETTINGS, T0, controller, into_array, jobs, recorded, run

from fakeslurm.commands.base import Invocation, command
from fakeslurm.contract import texts
from fakeslurm.messages import SlurmError
from fakeslurm.model import JobDescription, Node, Partition, Settings
from fakeslurm.slurmctld import Controller


def scontrol(*arguments: str, environ: dict[str, str] | None = None, **replaced: Any) -> tuple[int, str, str]:
    reply = run(["scontrol", *arguments], controller(**replaced), environ=environ)
    return reply.returncode, reply.stdout, reply.stderr


@pytest.mark.parametrize(
    ("argv", "comparable"),
    [
        (["scontrol", "show", "job"], texts.job_report),
        (["scontrol", "-d", "show", "job"], texts.job_report),
        (["scontrol", "-o", "show", "job"], texts.job_report),
        (["scontrol", "show", "step"], texts.step_report),
        (["scontrol", "show", "node"], texts.node_report),
        (["scontrol", "-o", "show", "node", "n3"], texts.node_report),
        (["scontrol", "show", "partition"], str),
        (["scontrol", "-o", "show", "partition"], str),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_recorded(argv: list[str], comparable: Any) -> None:
    """Byte for byte, but for what `fakeslurm.contract.texts` takes out of both."""
    now, stdout, stderr, code = recorded(*argv)
    reply = run(argv, controller(), now)
    assert comparable(reply.stdout) == comparable(stdout)
    assert (reply.stderr, reply.returncode) == (stderr, code)


def test_what_is_not_compared_is_there_all_the_same() -> None:
    report = scontrol("show", "job", "16")[1]
    assert "LastSchedEval=2026-11-23T21:14:36 Scheduler=Main\n   Partition=debug AllocNode:Sid=vm:0\n" in report
    node = scontrol("show", "node", "n1")[1]
    assert node.startswith("NodeName=n1 CoresPerSocket=1 \n   CPUAlloc=2 CPUEfctv=4 CPUTot=4 CPULoad=N/A\n")
    assert "   NodeAddr=n1 NodeHostName=n1 Version=22.05.8\n   RealMemory=2000 AllocMem=0 FreeMem=N/A Sockets=4" in node
    assert "   BootTime=None SlurmdStartTime=None\n   LastBusyTime=Unknown\n" in node
    assert "SrunHost:Pid=(null):0\n" in scontrol("show", "step", "1.0")[1]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["show", "job", "99"], (1, "", "slurm_load_jobs error: Invalid job id specified\n")),
        (["show", "jobid=99"], (1, "", "slurm_load_jobs error: Invalid job id specified\n")),
        (["show", "JobId", "99"], (1, "", "slurm_load_jobs error: Invalid job id specified\n")),
        (["-Q", "show", "job", "99"], (1, "", "")),
        (["show", "job", "abc"], (1, "", "scontrol_print_job error: Invalid job id specified\n")),
        (["show", "job", "1abc"], (1, "", "scontrol_print_job error: Invalid job id specified\n")),
        (["show", "job", "1,2"], (1, "", "scontrol_print_job error: Invalid job id specified\n")),
        (["show", "job", "1.0"], (1, "", "scontrol_print_job error: Invalid job id specified\n")),
        (["show", "job", "1_2"], (1, "Job 1_2 not found\n", "")),
        (["show", "job", "1", "2"], (1, "", "too many arguments for keyword:show\n")),
        (["show"], (1, "", "too few arguments for keyword:show\n")),
        (["show", "bogus"], (1, "", "invalid entity:bogus for keyword:show \n")),
        (["sho", "p"], (1, "", "invalid entity:p for keyword:sho \n")),
        (["show", "nodename=n1"], (1, "", "invalid entity:nodename=n1 for keyword:show \n")),
        (["bogus"], (1, "", "invalid keyword: bogus\n")),
        (["sh", "job"], (1, "", "invalid keyword: sh\n")),
        (["-Q", "show", "bogus"], (1, "", "")),
        (["-Q", "bogus"], (1, "", "invalid keyword: bogus\n")),
        (["show", "node", "n9"], (1, "Node n9 not found\n", "")),
        (["show", "node", ""], (0, "", "")),
        (["show", "partition", "nope"], (1, "Partition nope not found\n", "")),
        (["show", "partition", ""], (1, "Partition  not found\n", "")),
        (["show", "step", "99"], (1, "", "slurm_get_job_steps error: Invalid job id specified\n")),
        (["show", "step", "1.7"], (1, "Job step 1.7 not found\n", "")),
        (["show", "step", "2"], (1, "Job step 2. not found\n", "")),
        (["show", "hostnames", "n[1-3],m5"], (0, "n1\nn2\nn3\nm5\n", "")),
        (["show", "hostname", "n[1-2]"], (0, "n1\nn2\n", "")),
        (["show", "hostnames=n1"], (0, "n1\n", "")),
        (["show", "hostnames", ""], (0, "", "")),
        (["show", "hostnames"], (0, "", "scontrol: error: host list is empty\n")),
        (["show", "hostnames", "n[1-3]-ib"], (0, "", "Invalid hostlist: n[1-3]-ib\n")),
        (["show", "hostnames", " n1 , n2"], (0, "n1\nn2\n", "")),
        (["show", "hostlist", "n1,n2,n10"], (0, "n[1-2,10]\n", "")),
        (["show", "hostlist", "n3,n1,n2,n1"], (0, "n[3,1-2,1]\n", "")),
        (["show", "hostlist", ""], (0, "\n", "")),
        (["show", "hostlist", "n[1-2]x"], (1, "", "Invalid hostlist: n[1-2]x\n")),
        (["show", "hostlistsorted", "n3,n1,n2,n1"], (0, "n[1,1-3]\n", "")),
        (["show", "host", "n1"], (1, "", "invalid entity:host for keyword:show \n")),
        (["ping"], (0, "Slurmctld(primary) at vm is UP\n", "")),
        (["ping", "x"], (1, "", "too many arguments for keyword:ping\n")),
        (["version"], (0, "slurm-wlm 22.05.8\n", "")),
        (["-V"], (0, "slurm-wlm 22.05.8\n", "")),
        (["hold"], (1, "", "too few arguments for keyword:hold\n")),
        (
            ["--bogus"],
            (1, "", "scontrol: unrecognized option '--bogus'\nTry \"scontrol --help\" for more information\n"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers(arguments: list[str], answer: tuple[int, str, str]) -> None:
    assert scontrol(*arguments) == answer


def test_jobs_chosen() -> None:
    every = scontrol("show", "job")[1]
    assert every.count("JobId=") == len(jobs())
    assert scontrol("show", "job", "0")[1] == scontrol("show", "job", "")[1] == scontrol("show", "j")[1] == every
    one = scontrol("show", "job", "2", "-o")[1]
    assert one.startswith("JobId=2 JobName=wrap UserId=")
    assert one.count("\n") == 1
    assert scontrol("show", "job", jobs={}) == (0, "No jobs in the system\n", "")
    assert scontrol("show", "step", jobs={}) == (0, "No job steps in the system\n", "")


def test_an_element_of_an_array() -> None:
    some = jobs()
    into_array(some, 2, {3: 1, 2: 7})
    assert scontrol("show", "job", "2_1", jobs=some)[1].startswith("JobId=3 ArrayJobId=2 ArrayTaskId=1 JobName=fail\n")
    assert scontrol("show", "job", "2", jobs=some)[1].count("JobId=") == 4  # JobId and ArrayJobId of two jobs


def test_an_allocation_of_srun() -> None:
    """No standard files; the program is the command; it has no age for its priority when it starts at once."""
    some = jobs()
    some[2].description = attrs.evolve(some[2].description, script=None, argv=("sleep", "5"))
    report = scontrol("show", "job", "2", jobs=some)[1]
    assert "   AccrueTime=Unknown\n" in report
    assert "   Command=sleep\n   WorkDir=/tmp/w\n   Power=\n   \n\n" in report
    shown = run(
        ["squeue", "-h", "-t", "all", "-j", "2", "-O", "batchflag:|,batchhost:|,command:|,stdin:|"],
        controller(jobs=some),
    )
    assert shown.stdout == "0|vm|sleep|(null)|\n"


@pytest.mark.parametrize(
    ("asked", "number", "text"),
    [
        ({"min_nodes": 2, "max_nodes": 2}, 3, "NumNodes=2-2 "),
        ({"min_nodes": 1, "max_nodes": 3}, 2, "NumNodes=2-3 "),
        ({}, 4, "NumNodes=4 "),
        ({"ntasks_per_node": 2, "cpus_per_task": 2}, 1, "MinCPUsNode=4 "),
        ({"mincpus": 3}, 1, "MinCPUsNode=3 "),
        ({"ntasks_per_core": 1}, 1, "NtasksPerN:B:S:C=0:0:*:1 "),
        ({"ntasks_per_socket": 2}, 1, "NtasksPerN:B:S:C=0:0:2:* "),
        ({"sockets_per_node": 2, "cores_per_socket": 1, "threads_per_core": 1}, 1, "ReqB:S:C:T=0:0:1:1\n"),
        ({"sockets_per_node": 2}, 1, "Socks/Node=2 "),
        ({"mem_per_node": 1536}, 1, "MinMemoryNode=1.50G "),
        ({"mem_per_node": 1500}, 1, "MinMemoryNode=1500M "),
        ({"mem_per_node": 1 << 20}, 1, "MinMemoryNode=1T "),
        ({"mem_per_cpu": 100}, 1, "MinMemoryCPU=100M "),
        ({"tmp_disk": 5120}, 1, "MinTmpDiskNode=5G\n"),
        ({"oversubscribe": True}, 1, "OverSubscribe=YES Contiguous=0 "),
        ({"oversubscribe": True, "exclusive": True, "contiguous": True}, 1, "OverSubscribe=NO Contiguous=1 "),
        ({"nodelist": "n2,n1", "exclude": "n3,n3"}, 1, "ReqNodeList=n[1-2] ExcNodeList=n3\n"),
        ({"deadline": T0 + 3600.0}, 1, " Deadline=2026-11-23T22:14:27\n"),
        ({"qos": "nope"}, 1, " QOS=\n"),
        ({"uid": 1, "user": "daemon", "account": "FOO"}, 1, "Account=foo QOS=normal\n"),
        ({"uid": 1, "user": "daemon"}, 1, "Account=(null) QOS=normal\n"),
    ],
)
def test_what_was_asked_for(asked: dict[str, Any], number: int, text: str) -> None:
    """Of a job that waits (measured one by one with ``sbatch -H``)."""
    some = jobs()
    some[5].description = attrs.evolve(some[5].description, **asked)
    some[5].num_nodes = number
    assert text in scontrol("show", "job", "5", jobs=some)[1]


def test_memory_that_is_consumed() -> None:
    """CR_Core_Memory: what is allocated of it is a trackable resource of jobs and nodes."""
    settings = attrs.evolve(SETTINGS, memory_is_consumed=True)
    assert "   TRES=cpu=3,mem=4000M,node=2,billing=3\n" in scontrol("show", "job", "1", settings=settings)[1]
    assert "   TRES=cpu=4,mem=100M,node=1,billing=4\n" in scontrol("show", "job", "13", settings=settings)[1]
    assert "   TRES=cpu=2,mem=200M,node=1,billing=2\n" in scontrol("show", "job", "16", settings=settings)[1]


def test_partitions() -> None:
    partitions = (
        Partition("debug", default=True),
        Partition("alpha", nodes=("n1", "n2"), max_time=60, default_time=5, min_nodes=1),
        Partition("zeta", nodes=("n3",), max_nodes=2, state="DOWN"),
    )
    settings = Settings(partitions=partitions)
    reports = scontrol("-o", "show", "part", settings=settings, partitions={one.name: one for one in partitions})[1]
    alpha, zeta = reports.splitlines()[1:]
    assert " Default=NO QoS=N/A DefaultTime=00:05:00 " in alpha
    assert " MaxNodes=UNLIMITED MaxTime=01:00:00 MinNodes=1 " in alpha
    assert " Nodes=n[1-2] " in alpha
    assert alpha.endswith(" TRES=cpu=8,mem=4000M,node=2,billing=8")
    assert " MaxNodes=2 MaxTime=UNLIMITED MinNodes=0 " in zeta
    assert " State=DOWN TotalCPUs=4 TotalNodes=1 " in zeta
    node = scontrol("show", "node", "n2", settings=settings)[1]
    assert "   Partitions=debug,alpha \n" in node


def test_nodes_chosen() -> None:
    code, out, err = scontrol("-o", "show", "node", "n1,n9")
    assert (code, err) == (1, "")
    assert [line.split()[0] for line in out.splitlines()] == ["NodeName=n1", "Node"]
    assert len(scontrol("-o", "show", "node", "n[1-2]")[1].splitlines()) == 2


def test_host_names_of_the_environment() -> None:
    assert scontrol("show", "hostnames", environ={"SLURM_NODELIST": "n[1-2]"}) == (0, "n1\nn2\n", "")
    answer = (0, "", "scontrol: error: host list is empty\n")
    assert scontrol("show", "hostnames", environ={"SLURM_JOB_NODELIST": "n[1-2]"}) == answer


def test_hostlist_suffixes_by_version() -> None:
    settings = attrs.evolve(SETTINGS, version="24.11")
    assert scontrol("show", "hostnames", "n[1-2]-ib", settings=settings) == (0, "n1-ib\nn2-ib\n", "")


def test_config() -> None:
    code, out, err = scontrol("show", "config")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Configuration data as of 2026-11-23T21:15:58"
    assert lines[-2:] == ["", "Slurmctld(primary) at vm is UP"]
    assert "ClusterName             = throwaway" in lines
    assert "SelectTypeParameters    = CR_CORE" in lines
    assert "MinJobAge               = 300 sec" in lines
    assert scontrol("show", "c")[1] == out


@pytest.mark.parametrize(
    "arguments",
    [
        ["update", "jobid=1", "timemin=5"],
        ["u", "jobid=1", "corespec=1"],
        ["reconfigure"],
        ["show", "topology"],
        ["show", "hostlist", "/etc/hosts"],
        ["-u", "root", "ping"],
        ["-v", "ping"],
        [],
    ],
    ids=" ".join,
)
def test_refused(arguments: list[str]) -> None:
    code, out, err = scontrol(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("scontrol: error: fakeslurm does not support ")


class _Recorder:
    """Stands for a controller: notes who is held and released, and refuses job 7."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int, int]] = []
        self.parts = controller()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parts, name)

    def hold(self, job_id: int, now: float, *, uid: int, task: int | None = None, by_user: bool = False) -> None:
        self._note("uhold" if by_user else "hold", job_id, uid)

    def release(self, job_id: int, now: float, *, uid: int, task: int | None = None) -> None:
        self._note("release", job_id, uid)

    def _note(self, what: str, job_id: int, uid: int) -> None:
        if self.parts.jobs[job_id].finished:
            raise SlurmError("Job has already finished")
        if job_id == 7:
            raise SlurmError("Access/permission denied")
        self.done.append((what, job_id, uid))


@pytest.mark.parametrize(
    ("arguments", "done", "complaints"),
    [
        (["hold", "5"], [("hold", 5, 0)], ""),
        (["holdu", "5"], None, ""),
        (["release", "5,8"], [("release", 5, 0), ("release", 8, 0)], ""),
        (["rel", "job=5"], [("release", 5, 0)], ""),
        (["hold", "jobid=5"], [("hold", 5, 0)], ""),
        (["hold", "JobName=held"], [("hold", 5, 0)], ""),
        (["hold", "name=nope"], [], ""),
        (["hold", "1"], [("hold", 1, 0)], ""),
        (["uhold", "5"], [("uhold", 5, 0)], ""),
        (
            ["hold", "2"],
            [],
            "Job has already finished for job 2\nslurm_suspend error: Job has already finished\n",
        ),
        (
            ["hold", "5,99,2", "abc", "8"],
            [("hold", 5, 0), ("hold", 8, 0)],
            "Invalid job id specified for job 99\nJob has already finished for job 2\n"
            "slurm_suspend error: Job has already finished\n"
            "Invalid job id specified for job abc\nslurm_suspend error: Invalid job id specified\n",
        ),
        (
            ["release", "7"],
            [],
            "Access/permission denied for job 7\nslurm_suspend error: Access/permission denied\n",
        ),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else "",
)
def test_hold_and_release(arguments: list[str], done: list[Any] | None, complaints: str) -> None:
    recorder = _Recorder()
    reply = run(["scontrol", *arguments], recorder)
    if done is None:
        assert reply.stderr == "invalid keyword: holdu\n"
        return
    assert recorder.done == done
    assert (reply.returncode, reply.stdout, reply.stderr) == (1 if complaints else 0, "", complaints)


def test_hold_and_release_a_job_of_the_controller() -> None:
    real = Controller(Settings(nodes=(Node("n1"),)))
    job_id = real.submit(JobDescription(script=b"#!/bin/sh\n", name="x", hold=True), 1000.0)
    assert run(["scontrol", "release", f"{job_id}"], real, 1001.0).returncode == 0
    assert real.jobs[job_id].start_time == 1001.0
    waiting = real.submit(JobDescription(script=b"#!/bin/sh\n", name="x", min_nodes=1, exclusive=True), 1002.0)
    for keyword, reason in (("uhold", "JobHeldUser"), ("hold", "JobHeldAdmin")):
        assert run(["scontrol", keyword, f"{waiting}"], real, 1003.0).returncode == 0
        report = run(["scontrol", "show", "job", f"{waiting}"], real, 1004.0).stdout
        assert "   Priority=0 " in report
        assert f"   JobState=PENDING Reason={reason} Dependency=(null)\n" in report


def test_jobs_of_others_cannot_be_held() -> None:
    invocation = Invocation(now=T0 + 91.0, cwd="/tmp", user="daemon", uid=1)
    reply = command("scontrol")(["hold", "5"], invocation, _Recorder())  # type: ignore[arg-type]
    assert reply.stderr == "Invalid user id for job 5\nslurm_suspend error: Invalid user id\n"


@pytest.mark.parametrize("argument", ["job=5", "JOB=5", "jobid=5", "JobId=5", "5"])
def test_jobs_may_be_named_by_a_keyword(argument: str) -> None:
    recorder = _Recorder()
    assert run(["scontrol", "hold", argument], recorder).returncode == 0
    assert recorder.done == [("hold", 5, 0)]


def test_an_unknown_cluster() -> None:
    code, out, err = scontrol("-M", "nope", "ping")
    assert (code, out) == (1, "")
    assert err.startswith("scontrol: error: No cluster 'nope' known by database.\n")


def test_the_file_of_the_configuration() -> None:
    settings = attrs.evolve(SETTINGS, conf="/etc/slurm/slurm.conf")
    assert f"{'SLURM_CONF':<23} = /etc/slurm/slurm.conf\n" in scontrol("show", "config", settings=settings)[1]
    assert f"{'SLURM_CONF':<23} = (null)\n" in scontrol("show", "config")[1]
