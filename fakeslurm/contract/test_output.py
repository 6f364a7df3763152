"""Output files: where the text of a batch script and of its steps goes, and what the patterns in file names become."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest


def test_default_file_holds_both_streams_in_order(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("echo one; echo two >&2; echo three")
    slurm.wait(job_id)
    assert slurm.output(f"slurm-{job_id}.out") == "one\ntwo\nthree\n"


def test_streams_apart(slurm: SlurmUnderTest) -> None:
    slurm.wait(slurm.sbatch("echo out; echo err >&2", "-o", "o.txt", "-e", "e.txt"))
    assert (slurm.output("o.txt"), slurm.output("e.txt")) == ("out\n", "err\n")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("a-%j.out", "a-{job}.out"),
        ("b-%A.out", "b-{job}.out"),
        ("c-%a.out", "c-4294967294.out"),
        ("d-%x.out", "d-named.out"),
        ("e-%t.out", "e-0.out"),
        ("f-%J.out", "f-{job}.out"),
        ("g-%10j.out", "g-{job:0>10}.out"),
        ("h-%%.out", "h-%.out"),
        ("i-%n.out", "i-0.out"),
        ("j-%s.out", "j-batch.out"),
        ("k-%x-%j-%x.out", "k-named-{job}-named.out"),
    ],
)
def test_patterns(slurm: SlurmUnderTest, pattern: str, name: str) -> None:
    job_id = slurm.sbatch("echo here", "-o", pattern, "-J", "named")
    fields = slurm.wait(job_id)
    assert fields["JobState"] == "COMPLETED"
    assert [path.name for path in slurm.workdir.glob("*.out")] == [name.format(job=job_id)]
    assert slurm.output(name.format(job=job_id)) == "here\n"


def test_relative_names_begin_at_chdir(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "sub").mkdir()
    slurm.wait(slurm.sbatch("pwd", "-D", str(slurm.workdir / "sub"), "-o", "here.out"))
    assert slurm.output("sub/here.out") == f"{slurm.workdir / 'sub'}\n"


def test_scontrol_names_the_files(slurm: SlurmUnderTest) -> None:
    fields = slurm.wait(slurm.sbatch("true", "-o", "x-%j.out", "-e", "x-%j.err", "-i", "/dev/null"))
    job_id = fields["JobId"]
    assert fields["StdOut"] == f"{slurm.workdir}/x-{job_id}.out"
    assert fields["StdErr"] == f"{slurm.workdir}/x-{job_id}.err"
    assert (fields["StdIn"], fields["WorkDir"]) == ("/dev/null", str(slurm.workdir))


def test_nowhere(slurm: SlurmUnderTest) -> None:
    """``none`` in any case, but not behind a directory."""
    fields = slurm.wait(slurm.sbatch("echo out", "-o", "NONE", "-e", "./none", "-i", "none"))
    assert (fields["StdIn"], fields["StdOut"], fields["StdErr"]) == (*["/dev/null"] * 2, f"{slurm.workdir}/./none")
    assert [path.name for path in slurm.workdir.iterdir() if path.name.lower() == "none"] == ["none"]


def test_open_mode(slurm: SlurmUnderTest) -> None:
    for mode in ("truncate", "append"):
        (slurm.workdir / f"{mode}.out").write_text("before\n")
        slurm.wait(slurm.sbatch("echo after", "-o", f"{mode}.out", f"--open-mode={mode}"))
    assert slurm.output("truncate.out") == "after\n"
    assert slurm.output("append.out") == "before\nafter\n"


def test_input_file(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "in.txt").write_text("read me\n")
    slurm.wait(slurm.sbatch("cat", "-i", "in.txt", "-o", "out.txt"))
    assert slurm.output("out.txt") == "read me\n"


def test_output_of_steps_goes_to_the_file_of_the_script(slurm: SlurmUnderTest) -> None:
    slurm.wait(slurm.sbatch("echo before; srun echo step; srun sh -c 'echo err >&2'; echo after", "-o", "o.txt"))
    assert slurm.output_of_steps("o.txt") == "before\nstep\nerr\nafter\n"


def test_step_files_per_task(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun -o 's-%j-%s-%t-%N.txt' sh -c 'echo $SLURM_PROCID'", "-N2", "-n3", "-o", "o.txt")
    fields = slurm.wait(job_id)
    found = {path.name: path.read_text() for path in slurm.workdir.glob("s-*")}
    assert sorted(found.values()) == ["0\n", "1\n", "2\n"]
    assert {name.rpartition("-")[0]: text for name, text in found.items()} == {
        f"s-{fields['JobId']}-0-{rank}": f"{rank}\n" for rank in range(3)
    }


def test_label(slurm: SlurmUnderTest) -> None:
    slurm.wait(slurm.sbatch("srun -l sh -c 'echo rank $SLURM_PROCID; echo'", "-N3", "-n3", "-o", "o.txt"))
    assert sorted(slurm.output("o.txt").splitlines()) == ["0: ", "0: rank 0", "1: ", "1: rank 1", "2: ", "2: rank 2"]


@pytest.mark.parametrize(
    "options", ["-o missing/deep/x", "-e missing/deep/x", "-l -o missing/deep/x", "-o missing/deep/x%t"]
)
def test_directories_of_the_output_of_steps(slurm: SlurmUnderTest, options: str) -> None:
    """Newer sruns make them, too."""
    slurm.wait(slurm.sbatch(f"srun {options} true; echo $?", "-o", "o", "-e", "e"))
    made = slurm.workdir / "missing"
    if slurm.at_least("24.11"):
        assert (slurm.output("o"), slurm.output("e")) == ("0\n", "")
        assert [file.name for file in (made / "deep").iterdir()] in (["x"], ["x0"])
        return
    assert not made.exists()
    if "%t" in options:
        assert slurm.output("e") == "srun: error: task 0 launch failed: Slurmd could not connect IO\n"
    else:
        stream = "stderr" if options.startswith("-e") else "stdout"
        assert slurm.output("o") == "1\n"
        assert slurm.output("e") == f"srun: error: Could not open {stream} file: No such file or directory\n"
