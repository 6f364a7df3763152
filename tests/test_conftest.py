"""What the tests' own conftest.py does. A test that only asks the real Slurm is run again when it fails, and the run says so: tried in a run of
its own."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PATH = Path(__file__).parent.parent / "conftest.py"
CONFTEST = PATH.read_text()
spread = runpy.run_path(str(PATH))["spread"]


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    pytester.makeconftest(CONFTEST)
    return pytester.runpytest_subprocess("-p", "no:fakeslurm", "-p", "no:cacheprovider", *options)


ONCE = """
    import pytest

    tried = []

    @pytest.fixture
    def slurm_cluster(): ...

    def fail_once(name):
        tried.append(name)
        assert tried.count(name) > 1, "the first time"

    @pytest.mark.parametrize("slurm_kind", ["fake", "fake-cli", "real"])
    def test_of_slurm(slurm_kind): fail_once(slurm_kind)

    @pytest.mark.parametrize("slurm_kind", ["real"])
    def test_of_slurmkit(slurm_kind, slurm_cluster): fail_once("slurmkit")

    @pytest.mark.parametrize("client_slurm", ["fake", "real"])
    def test_of_clients(client_slurm): fail_once(f"client on {client_slurm}")

    def test_of_nothing_else(): fail_once("nothing else")
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_who_gets_another_chance(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(test_one=ONCE)
    result = run(pytester, *options)
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"], outcomes["rerun"]) == (2, 5, 2)
    result.stdout.fnmatch_lines(
        [
            "*failed, and was run again: test_one.py::test_of_slurm[[]real]*",
            "E*AssertionError: the first time",
            "2 tests were run again on the real Slurm; 5 may be",
        ]
    )


@pytest.mark.parametrize(("tests", "code"), [(5, 0), (6, 1)])
def test_chance_has_a_limit(pytester: pytest.Pytester, tests: int, code: int) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        tried = []

        @pytest.mark.parametrize("number", range({tests}))
        @pytest.mark.parametrize("slurm_kind", ["real"])
        def test_of_slurm(slurm_kind, number):
            tried.append(number)
            assert tried.count(number) > 1
        """
    )
    result = run(pytester)
    assert (result.ret, result.parseoutcomes()["passed"]) == (code, tests)


@pytest.mark.parametrize(("options", "seeds"), [((), 4), (("-n", "2"), 1)])
def test_a_sample_of_the_tests_goes_through_the_commands(
    pytester: pytest.Pytester, options: tuple[str, ...], seeds: int
) -> None:
    tests, cases = 9, 4
    for number in range(tests):
        pytester.makepyfile(
            **{
                f"test_{number}": f"""
                import pytest

                @pytest.mark.parametrize("case", range({cases}))
                @pytest.mark.parametrize("slurm_kind", ["fake", "fake-cli", "real"])
                def test_of_slurm(slurm_kind, case): ...
                """
            }
        )
    samples = []
    for seed in range(seeds):
        result = run(pytester, "-v", "--sample-of-commands", f"--hypothesis-seed={seed}", *options)
        passed = {words[-1 if options else 0] for words in map(str.split, result.outlines) if "PASSED" in words}
        by_commands = {one for one in passed if "fake-cli" in one}
        assert len(passed - by_commands) == tests * cases * 2
        assert len({one.partition("[")[0] for one in by_commands}) == len(by_commands)
        left_out = tests * cases - len(by_commands)
        result.stdout.fnmatch_lines(
            [f"not in the sample of what is tried through the fake's commands: {left_out} tests"]
        )
        samples.append(by_commands)
    assert tests // 4 < sum(map(len, samples)) / len(samples) < tests // 2
    assert seeds == 1 or len(set.union(*samples)) > max(map(len, samples))


@pytest.mark.parametrize(("slow", "workers"), [(0, 3), (4, 1), (5, 3), (20, 8)])
def test_what_takes_minutes_comes_in_time_everywhere(slow: int, workers: int) -> None:
    order = spread(range(slow), range(100, 340), workers)
    assert sorted(order) == [*range(slow), *range(100, 340)]
    size = len(order) // workers
    for begin in range(0, len(order) - size + 1, size):
        places = [place for place, item in enumerate(order[begin : begin + size]) if item < slow]
        assert abs(len(places) - slow / workers) <= 1
        assert all(place <= size * 0.7 for place in places)
        assert len(places) < 2 or min(b - a for a, b in itertools.pairwise(places)) > 1
