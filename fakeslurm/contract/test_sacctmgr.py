"""``sacctmgr show`` of a new accounting database: what clients ask for before they submit."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest

NO_ENTITY = """\
No valid entity in list command
Input line must include "Account", "Association", "Cluster", "Configuration",
"Event", "Federation", "Problem", "QOS", "Resource", "Reservation",
"RunAwayJobs", "Stats", "Transaction", "TRES", "User", or "WCKey"
"""


@pytest.mark.parametrize(
    ("words", "stdout"),
    [
        ("-nP show account", "root|default root account|root\n"),
        ("-p show account format=account,descr", "Account|Descr|\nroot|default root account|\n"),
        ("show account nope -nP", ""),
        ("show user -nP", "root|root|Administrator\n"),
        ("list users -nP name=root", "root|root|Administrator\n"),
        ("show user where name=nosuch -nP", ""),
        ("-nP show user root withassoc format=user,account", "root|root\n"),
        ("-n -s list user root format=account%20", "                root \n"),
        ("-nP list user root format=user,account -s", "root|root\n"),
        ("-nPs list user nosuch format=account", ""),
        ("-nPs show qos format=name", "normal\n"),
        ("list user", "      User   Def Acct     Admin \n---------- ---------- --------- \n      root       root Administ+ \n"),
        (
            "list account",
            "   Account                Descr                  Org \n---------- -------------------- -------------------- \n"
            "      root default root account                 root \n",
        ),
        ("show assoc user=root -nP format=account", "root\n"),
        ("show assoc where account=root user=root format=user -nP", "root\n"),
        ("show assoc user=nosuch -nP format=account", ""),
        ("-P show qos format=name,priority,maxwall", "Name|Priority|MaxWall\nnormal|0|\n"),
        ("show qos Format=Name", "      Name \n---------- \n    normal \n"),
        ("SHOW QOS -nP format=Name%-20 format=priority", "normal|0\n"),
        ("-n show qos format=Name%-9", "normal    \n"),
        ("-nP list tres", "cpu||1\nmem||2\nenergy||3\nnode||4\nbilling||5\nfs|disk|6\nvmem||7\npages||8\n"),
        ("show cluster name=nope -nP", ""),
        (
            "show cluster format=qos,share",
            "                 QOS     Share \n-------------------- --------- \n              normal         1 \n",
        ),
    ],
)  # fmt: skip
def test_show(slurm: SlurmUnderTest, words: str, stdout: str) -> None:
    done = slurm.run("sacctmgr", *words.split())
    assert (done.returncode, done.stdout, done.stderr) == (0, stdout, "")


def test_cluster(slurm: SlurmUnderTest) -> None:
    name = slurm.run("sacctmgr", "-nP", "show", "cluster", "format=cluster").stdout.strip()
    host, port, *rest = slurm.run("sacctmgr", "-nP", "list", "clusters", name).stdout.strip().split("|")[1:]
    assert (host, port.isdecimal()) == ("127.0.0.1", True)
    assert rest == ["10752" if slurm.at_least("24.11") else "9728", "1", *[""] * 7, "normal", ""]
    row = f"{name:>10} {host:>15} {port:>12} {rest[0]:>5} {1:>9} {'':>7} {'':>13} {'':>9} {'':>7} {'':>13} {'':>9} {'':>11}"
    assert slurm.run("sacctmgr", "-n", "show", "cluster").stdout == f"{row} {'normal':>20} {'':>9} \n"


def test_associations(slurm: SlurmUnderTest) -> None:
    cluster = slurm.run("sacctmgr", "-nP", "show", "cluster", "format=cluster").stdout.strip()
    rows = slurm.run("sacctmgr", "-nP", "show", "associations").stdout.splitlines()
    of_user = f"{cluster}|root|root||1|0||||||0|||0|00:00:00||||"
    of_account = f"{cluster}|root|||1|||||||||||||normal||"
    assert rows == ([of_account, of_user] if slurm.at_least("24.11") else [of_user, of_account])


def test_qos_columns(slurm: SlurmUnderTest) -> None:
    header, row = slurm.run("sacctmgr", "-P", "show", "qos").stdout.splitlines()
    assert header.startswith(
        "Name|Priority|GraceTime|Preempt|PreemptExemptTime|PreemptMode|Flags|UsageThres|UsageFactor|"
    )
    assert ("|MaxTRESPA|MaxTRESRunMinsPA|MaxTRESRunMinsPU|MaxJobsPA|" in header) == slurm.at_least("24.11")
    assert row == "normal|0|00:00:00|||cluster|||1.000000" + "|" * (19 if slurm.at_least("24.11") else 17)


@pytest.mark.parametrize(
    ("words", "stderr"),
    [
        ("bogus", "invalid keyword: bogus\n"),
        ("show bogus", NO_ENTITY),
        ("show", NO_ENTITY),
        ("show a", NO_ENTITY),
        ("show qos format=bogus", "Unknown field 'bogus'\n"),
        ("show user bogus=x", " Unknown condition: bogus=x\n Use keyword 'set' to modify value\n"),
        ("--bogus", "sacctmgr: unrecognized option '--bogus'\nTry \"sacctmgr --help\" for more information\n"),
    ],
)
def test_refusals(slurm: SlurmUnderTest, words: str, stderr: str) -> None:
    done = slurm.run("sacctmgr", *words.split())
    assert (done.returncode, done.stdout, done.stderr) == (1, "", stderr)


def test_version(slurm: SlurmUnderTest) -> None:
    for words in (["--version"], ["-V"], ["version"]):
        assert slurm.run("sacctmgr", *words).stdout == slurm.run("sacct", "--version").stdout
