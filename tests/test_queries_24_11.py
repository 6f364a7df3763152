"""squeue, sacct, scontrol and sinfo of 24.11 against what Slurm 24.11.5 printed about the jobs of `query_golden`.

The same submissions, one more of them refused, one with a directory that 24.11 makes, nearly all a second later.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from query_golden import SETTINGS, controller, into_array, jobs, without_energy

from fakeslurm.commands import sacct, sinfo, sinfofields, squeue, squeuefields
from fakeslurm.commands.base import Invocation, Reply, command
from fakeslurm.contract import texts
from fakeslurm.messages import Reason
from fakeslurm.model import Job
from slurmkit.slurm.states import JobState

RECORDING = json.loads((Path(__file__).parent / "data" / "queries-24.11.5.json").read_text())["commands"]
EVERYTHING = next(entry for entry in RECORDING if entry["argv"][:1] == ["sacct"] and entry["argv"][-1] == "all")
NEW = attrs.evolve(SETTINGS, version="24.11")
T1 = 1795473478
"""2026-11-23T22:37:58 UTC, when the first job was submitted."""
NOW = T1 + 91

SUBMITTED = (0, 1, 2, 3, 4, 4, 5, 5, 5, 5, 5, 7, 8, 8, 8, 8, 9, 9, 9)
RAN: dict[int, tuple[int, int | None]] = {
    1: (1, None),
    2: (2, 2),
    3: (3, 3),
    4: (4, 4),
    6: (4, 4),
    9: (5, 5),
    10: (6, 6),
    11: (6, 7),
    12: (7, 90),
    13: (9, 90),
    14: (9, 9),
    15: (31536009, None),
    16: (9, None),
    17: (601, None),
    19: (10, 10),
}
"""When they started, will start, or ended, after `T1`."""


def new_jobs() -> dict[int, Job]:
    """The nineteen jobs as they were then."""
    table = jobs()
    for job_id, job in table.items():
        job.looked_at = not job.description.hold
        job.told_reason = Reason.NONE  # accounting was told when they were submitted
        job.submit_time = T1 + SUBMITTED[job_id - 1]
        if job.eligible_time is not None:
            job.eligible_time = job.submit_time + (3600 if job_id == 7 else 0)
        start, end = RAN.get(job_id, (None, None))
        job.start_time = None if start is None else T1 + start
        job.end_time = None if end is None else T1 + end
        for step in [*([job.batch] if job.batch else []), *job.steps.values()]:
            step.start_time = job.start_time or 0
            if step.end_time is not None:
                step.end_time = job.end_time
    for job_id in (3, 4, 14):
        table[job_id].time_limit = None
    refused, killed, wrote = table[6], table[10], table[14]
    refused.state, refused.reason, refused.wait_status = JobState.FAILED, "BadConstraints", 1
    killed.reason = "RaisedSignal:9(Killed)"
    wrote.state, wrote.reason, wrote.wait_status = JobState.COMPLETED, Reason.NONE, 0
    assert wrote.batch is not None
    wrote.batch.state, wrote.batch.wait_status = JobState.COMPLETED, 0
    return table


def run(*argv: str, now: float = NOW, **replaced: Any) -> Reply:
    invocation = Invocation(now=now, cwd="/tmp/w", environ={"TZ": "UTC"}, host="vm", version="24.11")
    return command(argv[0])(argv[1:], invocation, controller(**{"settings": NEW, "jobs": new_jobs()} | replaced))


def comparable(argv: list[str], text: str) -> str:
    """`text` without what the fake does not know: plans of the backfill scheduler, and what a machine alone knows."""
    for entity, strip in (("job", texts.job_report), ("node", texts.node_report), ("step", texts.step_report)):
        if argv[0] == "scontrol" and entity in argv:
            text = strip(text)
    if argv[0] == "squeue":
        text = text.replace("|n[1-3]|/tmp/w\n", "|(null)|/tmp/w\n").replace("|0|n[1-3]|*:*:*|", "|0|(null)|*:*:*|")
        text = text.replace("n[1-3]               (Resources)", "(null)               (Resources)")
    if argv[0] == "sinfo":
        text = text.replace("plnd", "idle").replace("planned", "   idle").replace("mix-", "mix ")
        text = text.replace(" mixed-", "  mixed")
    return text


def is_table(argv: list[str]) -> bool:
    """Whether it is compared field by field, by a test of its own."""
    return (argv[0] == "sacct" and ("all" in argv or "-l" in argv)) or (argv[0] == "sinfo" and "%all" in argv)


@pytest.mark.parametrize(
    "entry",
    [entry for entry in RECORDING if not is_table(entry["argv"])],
    ids=lambda entry: " ".join(entry["argv"])[:40],
)
def test_recorded(entry: dict[str, Any]) -> None:
    argv = entry["argv"]
    reply = run(*argv, now=entry["now"])
    assert comparable(argv, without_energy(reply.stdout)) == comparable(argv, without_energy(entry["stdout"]))
    assert (reply.stderr, reply.returncode) == (entry["stderr"], entry["rc"])


def fields(text: str, key: str) -> dict[str, dict[str, str]]:
    names, *lines = (line.split("|") for line in text.splitlines())
    names = [name.strip() for name in names]
    rows = [dict(zip(names, map(str.strip, line), strict=True)) for line in lines]
    return {row[key]: row for row in rows}


def test_every_field_of_sacct() -> None:
    """But for numbers that the cluster's database gives, and what became of the job that was refused.

    (PlannedCPU of that job is what is left of a negative number.)
    """
    entry = EVERYTHING
    reply = run(*entry["argv"], now=entry["now"])
    real, fake = (fields(without_energy(text), "JobID") for text in (entry["stdout"], reply.stdout))
    assert list(real) == list(fake)
    assert entry["stdout"].splitlines()[0] == reply.stdout.splitlines()[0]
    for job_id, row in real.items():
        row["Flags"] = row["Flags"].replace("SchedBackfill", "SchedMain")
        for name in ("DBIndex", "SLUID"):
            assert len(row[name]) == len(fake[job_id][name])
            row[name] = fake[job_id][name]
    for name in ("PlannedCPU", "PlannedCPURAW"):
        del real["6"][name], fake["6"][name]
    for row in (*real.values(), *fake.values()):  # recorded where nobody asked after energy (jobacct_gather/none)
        for name in [name for name, text in row.items() if "Energy" in name or text == "energy=0" or not text]:
            del row[name]
    assert fake == real


def test_the_number_for_good_is_the_same_in_both_its_forms() -> None:
    """Decoded as measured: 7207597968634544128 is s681M858Y4M000."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    for line in run("sacct", "-nPX", "-o", "submit,dbindex,sluid").stdout.splitlines():
        _, number, text = line.split("|")
        assert text[0] == "s"
        assert sum(digits.index(digit) << 5 * place for place, digit in enumerate(reversed(text[1:]))) == int(number)
    entry = EVERYTHING
    row = fields(entry["stdout"], "JobID")["1"]
    ours = int(run("sacct", "-nPX", "-j1", "-o", "dbindex").stdout)
    assert row["SLUID"] == "s681M858Y4M000"
    assert 0 <= int(row["DBIndex"]) - ours < 1000 << 10  # within the second of the submission


def test_every_field_of_sinfo() -> None:
    argv = ["sinfo", "-N", "-o", "%all"]
    entry = next(entry for entry in RECORDING if entry["argv"] == argv)
    key = "NODELIST"
    real, fake = fields(entry["stdout"], key), fields(run(*argv).stdout, key)
    for name, row in real.items():
        row["STATE"] = {"planned": "idle", "mixed-": "mixed"}.get(row["STATE"], row["STATE"])
        for unknown in ("FREE_MEM", "HOSTNAMES", "NODE_ADDR", "CPU_LOAD"):
            del row[unknown], fake[name][unknown]
    assert fake == real


def test_groups_of_sinfo() -> None:
    """Measured: the heading of -l, its empty column, and the order of states."""
    plain = "debug*       up   infinite      1   comp n1\ndebug*       up   infinite      2    mix n[2,4]\n"
    assert run("sinfo", "-h").stdout == f"{plain}debug*       up   infinite      1   idle n3\n"
    lines = run("sinfo", "-l").stdout.splitlines()[1:3]
    assert lines == [
        "PARTITION AVAIL  TIMELIMIT   JOB_SIZE ROOT OVERSUBS     GROUPS  NODES       STATE RESERVATION NODELIST",
        "debug*       up   infinite 1-infinite   no       NO        all      1  completing             n1",
    ]
    assert run("sinfo", "-o", "%i|%t|%N").stdout == "RESERVATION|STATE|NODELIST\n|comp|n1\n|mix|n[2,4]\n|idle|n3\n"


def test_all_fields_of_sacct_in_columns() -> None:
    """The header and the rule under it, and rows of the same width."""
    entry = next(entry for entry in RECORDING if entry["argv"] == ["sacct", "-o", "all", "-j", "1,9"])
    lines = run(*entry["argv"]).stdout.splitlines(keepends=True)
    assert lines[:2] == entry["stdout"].splitlines(keepends=True)[:2]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_steps() -> None:
    """Measured: the batch step has a name here."""
    assert run("scontrol", "show", "step", "1.batch").stdout.startswith("StepId=1.batch UserId=0 ")
    assert run("scontrol", "show", "step", "1.7") == Reply("Job step 1.7 not found\n", "", 1)
    problem = "scontrol: error: scontrol_print_step: slurm_get_job_steps"
    assert run("scontrol", "show", "step", "999.0").stderr == f"{problem}(999.0) failed: Invalid job id specified\n"
    assert run("scontrol", "show", "step", "abc").stderr == f"{problem}(abc) failed: JobID can not be zero\n"


HELD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"hold": True}, {}, "1-1"),
    ({"hold": True, "ntasks": 8}, {"num_nodes": 2}, "2-2"),
    ({"hold": True, "min_nodes": 2, "max_nodes": 4}, {"num_nodes": 2}, "2-4"),
    ({"hold": True, "ntasks": 2, "ntasks_per_node": 1}, {"num_nodes": 2}, "2"),
    ({"hold": True, "ntasks": 3, "cpus_per_task": 2}, {}, "1"),
    ({"min_nodes": 1, "max_nodes": 1}, {}, "1-1"),
    ({}, {}, "1"),
]


@pytest.mark.parametrize(("asked", "became", "text"), HELD, ids=lambda value: str(value)[:30])
def test_nodes_of_a_job_that_was_submitted_held(asked: dict[str, Any], became: dict[str, Any], text: str) -> None:
    table = new_jobs()
    job = table[5]
    job.description = attrs.evolve(job.description, **{"hold": False} | asked)
    job.num_nodes, job.looked_at = became.get("num_nodes", 1), not job.description.hold
    assert f" NumNodes={text} " in run("scontrol", "-o", "show", "job", "5", jobs=table).stdout


def test_names_of_files() -> None:
    """scontrol understands widths, %b and %%; squeue and sacct expand nothing, and know of no stderr by itself."""
    table = new_jobs()
    pattern = "%5j-%t-%n-%N-%s-%u-%x-%A-%a-%b-%J-%%-%3a-%q-%012j.out"
    table[12].description = attrs.evolve(table[12].description, output=pattern, name="wrap")
    report = run("scontrol", "show", "job", "12", jobs=table).stdout
    path = "/tmp/w/00012-%t-%n-%N-%s-root-wrap-12-4294967294-4-%J-%-4294967294-%q-0000000012.out"
    assert f"   StdErr={path}\n   StdIn=/dev/null\n   StdOut={path}\n" in report
    out = run("squeue", "-h", "-j", "12", "-O", "stdout:|,stderr:|,stdin:", jobs=table).stdout
    assert out == f"/tmp/w/{pattern}|(null)|/dev/null\n"
    out = run("sacct", "-nPX", "-j", "12,15", "-o", "stdout,stderr,stdin", jobs=table).stdout
    assert out == f"/tmp/w/{pattern}||/dev/null\n/tmp/w/%x-%j.out|/tmp/w/%x-%j.err|/dev/null\n"


def test_names_of_files_of_an_array() -> None:
    table = new_jobs()
    into_array(table, 12, {12: 3})
    assert run("squeue", "-h", "-j", "12", "-O", "stdout:", jobs=table).stdout == "/tmp/w/slurm-%A_%a.out\n"


def test_names_of_files_of_a_forgotten_job() -> None:
    some = controller(settings=NEW, jobs=new_jobs())
    invocation = Invocation(now=NOW, cwd="/tmp/w", environ={}, host="vm", version="24.11")
    known = command("sacct")(["-j", "2", "-o", "stdout"], invocation, some)
    del some.jobs[2]
    assert command("sacct")(["-j", "2", "-o", "stdout"], invocation, some) == known
    assert "/slurm-" in known.stdout


def test_restarts() -> None:
    table = new_jobs()
    table[2].restart_count = 2
    assert run("sacct", "-nP", "-j", "2", "-o", "jobid,restarts", jobs=table).stdout == "2|2\n2.batch|\n"


def test_tasks_with_several_cpus() -> None:
    report = run("scontrol", "show", "job", "16").stdout
    assert report.endswith("   StdOut=/tmp/w/slurm-16.out\n   TresPerTask=cpu=2\n   \n\n")
    assert (
        run("squeue", "-h", "-j", "16", "-O", "tres-per-task:|,ContainerId:|,ExcNodes:").stdout
        == "cpu=2|(null)|n[1-2]\n"
    )


def test_a_letter_that_is_no_field_of_the_order() -> None:
    assert run("squeue", "-h", "-S", "q") == Reply("", "squeue: error: Invalid sort specification: q\n", 1)


def test_partitions_of_some_nodes_are_no_node_sets() -> None:
    partition = attrs.evolve(NEW.partitions[0], nodes=("n1", "n2"))
    settings = attrs.evolve(NEW, partitions=(partition,))
    report = run("scontrol", "show", "partition", settings=settings, partitions={"debug": partition}).stdout
    assert "MaxCPUsPerSocket=UNLIMITED\n   Nodes=n[1-2]\n" in report


def test_configuration() -> None:
    lines = run("scontrol", "show", "config").stdout.splitlines()
    for name, value in (("SLURM_VERSION", "24.11.5"), ("PreemptType", "(null)"), ("JobAcctGatherType", "(null)")):
        assert f"{name:<23} = {value}" in lines


@pytest.mark.parametrize(
    ("program", "option"),
    [
        *(("squeue", f"--{option.name}") for option in squeue.NEW_OPTIONS),
        *(("sacct", f"--{option.name}") for option in sacct.NEW_OPTIONS if option.name != "array"),
        *(("sinfo", f"--{option.name}") for option in sinfo.NEW_OPTIONS if option.name != "future"),
        *((program, "--yaml=v1") for program in ("squeue", "sacct", "sinfo", "scontrol")),
        ("sinfo", "--json"),
    ],
)
def test_refused(program: str, option: str) -> None:
    refusal = f"{program}: error: fakeslurm does not support {option.partition('=')[0]}\n"
    assert run(program, option) == Reply("", refusal, 1)


def test_refused_format_of_sinfo() -> None:
    assert run("sinfo", "-O", "all").stderr == "sinfo: error: fakeslurm does not support the field all\n"


def test_nodes_of_the_future() -> None:
    assert run("sinfo", "-F") == run("sinfo", "--future") == run("sinfo")


def test_every_field_has_its_getter() -> None:
    for name in squeuefields.CATALOGUES["24.11"].fields:
        assert run("squeue", "-h", "-t", "all", "-O", f"{name}:").stderr == ""
    for name in sinfofields.CATALOGUES["24.11"].fields:
        assert run("sinfo", "-h", "-O", f"{name}:").stderr == ""
