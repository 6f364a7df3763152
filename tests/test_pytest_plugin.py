"""The pytest plugin: what a user's test run gets, tried in a run of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fakeslurm import FakeSlurm
from fakeslurm.throwaway import unavailable_reason

pytest_plugins = ["pytester"]


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_fake_slurm_is_fresh_for_each_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import subprocess

        def submit(fake_slurm, tmp_path):
            (tmp_path / "job.sh").write_text("#!/bin/sh\\ntrue\\n")
            done = subprocess.run(["sbatch", "--parsable", "job.sh"], env=fake_slurm.environ(), cwd=tmp_path,
                                  capture_output=True, text=True)
            assert done.stdout == "1\\n", done
            assert fake_slurm.calls.count("sbatch") == 1

        def test_one(fake_slurm, tmp_path): submit(fake_slurm, tmp_path)
        def test_two(fake_slurm, tmp_path): submit(fake_slurm, tmp_path)
        """
    )
    run(pytester).assert_outcomes(passed=2)


def test_marker_says_which_cluster(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest, subprocess

        @pytest.mark.fake_slurm(nodes=7, cpus_per_node=3, version="24.11")
        def test_marked(fake_slurm):
            done = subprocess.run(["sinfo", "-h", "-o", "%D %c"], env=fake_slurm.environ(), capture_output=True, text=True)
            assert done.stdout.split() == ["7", "3"]
            assert fake_slurm.version == "24.11.5"
        """
    )
    run(pytester, "--strict-markers").assert_outcomes(passed=1)


CONFIGURED = """
import pytest

def partitions(slurm): return slurm.run("sinfo", "-h", "-o", "%P").stdout.split()

@pytest.mark.slurm_conf("PartitionName=high Nodes=n[1-2]")
def test_one(slurm): assert partitions(slurm) == ["debug*", "high"]

@pytest.mark.slurm_conf("PartitionName=high Nodes=n[1-2]")
def test_two(slurm): assert partitions(slurm) == ["debug*", "high"]

@pytest.mark.slurm_conf("PartitionName=low Nodes=n1")
def test_three(slurm): assert partitions(slurm) == ["debug*", "low"]

def test_plain(slurm): assert partitions(slurm) == ["debug*"]
"""


def test_slurm_conf_says_how_the_fake_is_configured(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CONFIGURED)
    run(pytester, "--slurm=fake", "--strict-markers").assert_outcomes(passed=4)


@pytest.mark.skipif(unavailable_reason() is not None, reason=f"a real Slurm: {unavailable_reason()}")
def test_slurm_conf_starts_a_real_slurm_for_each_configuration(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from fakeslurm.throwaway import ThrowawaySlurm

        start = ThrowawaySlurm.start

        def counted(self):
            print("a Slurm is started")
            return start(self)

        ThrowawaySlurm.start = counted
        """
    )
    pytester.makepyfile(CONFIGURED)
    result = run(pytester, "--slurm=real", "-s")
    result.assert_outcomes(passed=4)
    assert str(result.stdout).count("a Slurm is started") == 3


def test_slurm_conf_of_a_site_is_skipped_and_counted(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.slurm_conf("MinJobAge=5")
        def test_one(slurm): raise AssertionError
        """
    )
    with FakeSlurm() as slurm, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", slurm.environ()["PATH"])
        result = run(pytester, "--slurm=site", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*slurm_conf: a site has the configuration that it has"])


def test_slurm_conf_without_lines_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.slurm_conf(nodes=3)
        def test_one(slurm): pass
        """
    )
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the slurm_conf marker takes lines of slurm.conf*not () {'nodes': 3}*"])


def test_session_fixture_is_one_fake(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        seen = []
        def test_one(fake_slurm_session): seen.append(fake_slurm_session)
        def test_two(fake_slurm_session): assert seen == [fake_slurm_session]
        """
    )
    run(pytester).assert_outcomes(passed=2)


CLUSTER_TEST = """
from slurmkit import task

@task
def add(a, b):
    return a + b

def test_add(slurm_cluster, slurm):
    assert slurm_cluster.submit(add, 1, 2).result(timeout=60) == 3
    print("ran on", slurm.kind)
"""


@pytest.mark.parametrize("kind", ["fake", "fake-cli"])
def test_slurm_cluster_is_what_the_option_says(pytester: pytest.Pytester, kind: str) -> None:
    pytester.makepyfile(CLUSTER_TEST)
    result = run(pytester, f"--slurm={kind}", "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*ran on {kind}*", f"Slurm 22.05.8 ({kind}): 1 tests"])


def test_the_default_is_the_fake(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CLUSTER_TEST)
    result = run(pytester, "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*ran on fake*"])


WITHOUT_DAEMONS = """
import fakeslurm.throwaway

fakeslurm.throwaway.unavailable_reason = lambda: "slurmctld is not installed: apt-get install slurmctld"
"""


def test_real_that_was_asked_for_and_is_missing_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CLUSTER_TEST)
    pytester.makepyfile(without_daemons=WITHOUT_DAEMONS)
    result = run(pytester, "-p", "without_daemons", "--slurm=real")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--slurm=real: slurmctld is not installed: apt-get install slurmctld*"])


def test_real_that_nobody_asked_for_and_is_missing_is_skipped_and_counted(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CLUSTER_TEST)
    pytester.makepyfile(without_daemons=WITHOUT_DAEMONS)
    pytester.makeini("[pytest]\nslurm_kinds = fake real\n")
    result = run(pytester, "-p", "without_daemons", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*--slurm=real was not asked for, and: slurmctld is not installed*"])


@pytest.mark.skipif(unavailable_reason() is not None, reason=f"a real Slurm: {unavailable_reason()}")
def test_markers_choose_by_kind_and_version(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.slurm_real_only
        def test_real(slurm): assert slurm.is_real

        @pytest.mark.slurm_version(min="23.02")
        def test_new(slurm): assert not slurm.version.startswith("22")

        @pytest.mark.slurm_version(max="22.05")
        def test_old(slurm): assert slurm.version.startswith("22")
        """
    )
    run(pytester, "--slurm=fake", "--slurm-version=24.11").assert_outcomes(passed=1, skipped=2)
    run(pytester, "--slurm=fake", "--slurm-version=22.05").assert_outcomes(passed=1, skipped=2)
    run(pytester, "--slurm=real").assert_outcomes(passed=2, skipped=1)


def test_the_count_holds_for_parallel_runs_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\n@pytest.mark.parametrize('n', range(4))\ndef test_it(slurm, n): assert slurm.version"
    )
    result = run(pytester, "-n2", "--slurm=fake")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["Slurm 22.05.8 (fake): 4 tests"])


def test_an_unknown_kind_in_the_ini_file_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nslurm_kinds = fake docker\n")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*slurm_kinds: 'docker' is not one of fake, fake-cli, real, site*"])


def test_the_plugin_loads_nothing_heavy() -> None:
    code = (
        "import sys, pytest, fakeslurm.pytest_plugin\n"
        "heavy = {'fakeslurm.fake', 'slurmkit.cluster', 'hypothesis', 'rich', 'freezegun', 'cloudpickle', 'typer'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
