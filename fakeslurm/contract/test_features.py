"""Features that --constraint asks for, and licenses."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

pytestmark = pytest.mark.slurm_conf(
    "Licenses=foo:3,bar",
    "NodeName=n1 Feature=a,big",
    "NodeName=n2 Feature=b",
    "NodeName=n3 Feature=a,b",
)


@pytest.mark.parametrize(
    ("constraint", "options", "nodes"),
    [
        ("a", [], "n1"),
        ("b", [], "n2"),
        ("a", ["-N2"], "n[1,3]"),
        ("a&b", [], "n3"),
        ("a,b", [], "n3"),
        ("a|b", ["-N3"], "n[1-3]"),
        ("a&", [], "n1"),
    ],
)
def test_constraint(slurm: SlurmUnderTest, constraint: str, options: list[str], nodes: str) -> None:
    fields = slurm.wait(slurm.sbatch("squeue -h -o %f", "-C", constraint, "-o", "o.txt", *options))
    shown = constraint.replace(",", "&")
    assert (fields["NodeList"], fields["Features"]) == (nodes, shown)
    assert slurm.output("o.txt") == f"{shown}\n"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["-C", "a|b", "-N4"], "Requested node configuration is not available"),
        (["-C", "big", "-N2"], "Requested node configuration is not available"),
        (["-C", "a", "-w", "n2"], "Requested node configuration is not available"),
        *(
            (["-C", one], "Invalid feature specification")
            for one in ("nope", "a&nope", "a|nope", "!a", "&a", " a", "A")
        ),
        *(
            (["-L", one], "Invalid license specification")
            for one in ("foo:4", "nope:1", "foo*2", "foo:x", "foo:-1", "foo|bar")
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused(slurm: SlurmUnderTest, options: list[str], problem: str) -> None:
    done = slurm.run("sbatch", *options, "--wrap", "true")
    text = f"sbatch: error: Batch job submission failed: {problem}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", text)


def test_nodes(slurm: SlurmUnderTest) -> None:
    assert slurm.run("sinfo", "-h", "-o", "%N|%f|%b").stdout == (
        "n1|a,big|a,big\nn2|b|b\nn3|a,b|a,b\nn4|(null)|(null)\n"
    )
    shown = slurm.run("scontrol", "show", "node", "n1").stdout
    assert "\n   AvailableFeatures=a,big\n   ActiveFeatures=a,big\n" in shown


@pytest.mark.parametrize(
    ("text", "foo", "bar"),
    [
        ("foo:2", 2, 0),
        ("foo", 1, 0),
        ("foo:0", 0, 0),
        ("foo:2,bar:1", 2, 1),
        ("foo:1;bar:1", 1, 1),
        ("foo:2,foo:1", 3, 0),
    ],
)
def test_licenses(slurm: SlurmUnderTest, text: str, foo: int, bar: int) -> None:
    body = "scontrol -o show licenses; squeue -h -o %W"
    fields = slurm.wait(slurm.sbatch(body, "-L", text, "-o", "o.txt"))
    assert fields["Licenses"] == text
    assert slurm.output("o.txt") == (
        f"LicenseName=bar Total=1 Used={bar} Free={1 - bar} Reserved=0 Remote=no\n"
        f"LicenseName=foo Total=3 Used={foo} Free={3 - foo} Reserved=0 Remote=no\n{text}\n"
    )


@pytest.mark.parametrize(
    ("wanted", "found"), [("foo", 2), ("bar", 1), ("bar,foo", 2), ("fo", 0), ("foo:2", 0), ("FOO", 0)]
)
def test_squeue_by_license(slurm: SlurmUnderTest, wanted: str, found: int) -> None:
    jobs = [slurm.sbatch("true", "-H", *options) for options in (["-L", "foo:2"], ["-L", "foo,bar"], [])]
    assert len(slurm.run("squeue", "-h", "-o", "%A", "-L", wanted).stdout.split()) == found
    slurm.run("scancel", *jobs)


def test_who_waits_for_licenses_holds_up_nobody(slurm: SlurmUnderTest) -> None:
    go = slurm.workdir / "go"
    hold = f"until [ -e {go} ]; do sleep 0.05; done"
    jobs = [slurm.sbatch(hold, "-L", text) for text in ("foo:2", "foo:2", "foo:1")] + [slurm.sbatch(hold)]
    for job_id in (jobs[0], jobs[2], jobs[3]):
        slurm.wait(job_id, ["RUNNING"])
    until(lambda: slurm.wait(jobs[1], ["PENDING"])["Reason"] == "Licenses", what="the reason Licenses")
    assert slurm.run("scontrol", "show", "lic", "foo").stdout == (
        "LicenseName=foo\n    Total=3 Used=3 Free=0 Reserved=0 Remote=no\n"
    )
    go.touch()
    for job_id in jobs:
        slurm.wait(job_id)
    slurm.wait_idle()
    shown = slurm.run("scontrol", "show", "lic", "foo")
    assert shown.stdout == "LicenseName=foo\n    Total=3 Used=0 Free=3 Reserved=0 Remote=no\n"


def test_license_in_the_environment(slurm: SlurmUnderTest) -> None:
    there = slurm.at_least("24.11")
    slurm.wait(slurm.sbatch("env | grep LICEN; srun sh -c 'env | grep LICEN; true'", "-L", "foo:2", "-o", "o.txt"))
    assert slurm.output("o.txt") == ("SLURM_JOB_LICENSES=foo:2\n" * 2 if there else "")
    done = slurm.run("srun", "-L", "foo", "sh", "-c", "env | grep LICEN; true")
    assert done.stdout == ("SLURM_JOB_LICENSES=foo\n" if there else "")


@pytest.mark.parametrize(
    ("options", "problem"),
    [(["-C", "nope"], "Invalid feature specification"), (["-L", "nope"], "Invalid license specification")],
    ids=["feature", "license"],
)
def test_refused_without_a_script(slurm: SlurmUnderTest, options: list[str], problem: str) -> None:
    done = slurm.run("srun", *options, "true")
    assert (done.returncode, done.stderr) == (1, f"srun: error: Unable to allocate resources: {problem}\n")
    done = slurm.run("salloc", *options, "true")
    assert (done.returncode, done.stderr) == (1, f"salloc: error: Job submit/allocate failed: {problem}\n")
    done = slurm.run("sbatch", "--test-only", *options, "--wrap", "true")
    assert (done.returncode, done.stderr) == (1, f"allocation failure: {problem}\n")


@pytest.mark.slurm_conf("MaxJobCount=500")
def test_no_licenses(slurm: SlurmUnderTest) -> None:
    done = slurm.run("scontrol", "show", "licenses")
    assert (done.returncode, done.stdout, done.stderr) == (0, "No licenses configured in Slurm.\n", "")
