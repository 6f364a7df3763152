"""``sbatch``. Texts and return codes: docs/slurm-measurements.md, section 1."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from fakeslurm import messages
from fakeslurm.commands.arrayjobs import jobs_of
from fakeslurm.commands.base import (
    Continuation,
    Given,
    Invocation,
    Refused,
    Reply,
    UsageError,
    loud_enough,
    parse_options,
)
from fakeslurm.commands.description import check_lengths, describe, work_dir
from fakeslurm.commands.job_options import Wishes
from fakeslurm.commands.option_tables import environment_options, sbatch_options
from fakeslurm.messages import SlurmError
from fakeslurm.model import PROFILES, Job, JobDescription
from slurmkit.slurm.directives import DirectiveError, parse_components, separators
from slurmkit.slurm.durations import format_timestamp
from slurmkit.slurm.hostlist import compress
from slurmkit.slurm.states import ExitCode

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["candidates", "run", "test_only", "unknown_cluster"]

_PROGRAM = "sbatch"
_OWN = frozenset({"help", "usage", "version"})
_BAD_OPTION = 255
_SEVERITIES = ("error: ", "fatal: ")
"""What ``--quiet`` leaves; said twice and three times on the command line it takes these as well (measured)."""
_NO_ROOM = "Slurm temporarily unable to accept job, sleeping and retrying"
"""Slurm's sbatch asks again for 120 s before it says why it fails (measured); this one does not wait."""
_SEPARATOR = ":"
"""Between the components of a heterogeneous job."""
_PACKJOB = (
    'the "packjob" component separator is being deprecated. Please, use "hetjob" instead.',
    'The "packjob" component separator is deprecated. Please use "hetjob" instead.',
)
"""In 22.05, and in 24.11 (measured)."""

USAGE = """\
Usage: sbatch [OPTIONS...] SCRIPT [ARGS...]
       sbatch [OPTIONS...] --wrap=COMMAND

This is fakeslurm: an option of sbatch is carried out as Slurm does, or refused with
"fakeslurm does not support --OPTION". See sbatch(1) for what the options mean.
"""


@frozen
class _Line:
    """The command line, read but not yet understood."""

    given: list[list[tuple[str, str | None]]]
    """By component: what stands between two ``:``."""
    operands: list[str]
    wishes: Wishes
    """Of the whole command line, for what has to be known before the script is read."""

    @property
    def names(self) -> set[str]:
        return {name for given in self.given for name, _ in given}


def _read_line(argv: Sequence[str], invocation: Invocation) -> _Line:
    """Every value is looked at before the script is, one option after another. Raises `UsageError` and `Refused`."""
    wishes = Wishes(_PROGRAM, invocation.environ, invocation.now, invocation.version)
    parts: list[list[tuple[str, str | None]]] = []
    operands = [_SEPARATOR, *argv]
    while operands[:1] == [_SEPARATOR]:
        given, operands = _understood(operands[1:], wishes, invocation)
        parts.append(given)
    return _Line(parts, operands, wishes)


def _understood(
    words: Sequence[str], wishes: Wishes, invocation: Invocation
) -> tuple[list[tuple[str, str | None]], list[str]]:
    """The options and operands in `words`; the options are `wishes` then. Raises `UsageError` and `Refused`."""
    try:
        given, operands = parse_options(_PROGRAM, words, sbatch_options(invocation.version), permute=False)
    except UsageError as error:
        _apply(error.given, wishes)
        raise
    return _apply(given, wishes), operands


def _apply(given: Sequence[Given], wishes: Wishes) -> list[tuple[str, str | None]]:
    """The options of the command itself (--help, --version) end it at once."""
    found: list[tuple[str, str | None]] = []
    for key, value in given:
        found.append((key, value))
        if key in _OWN:
            break
        wishes.apply(key, value)
    return found


def candidates(argv: Sequence[str], invocation: Invocation) -> list[str | None]:
    """Where the script may be: paths to be read in this order until one is there, None for the standard input.

    Empty when no script is needed, or the command line is wrong.
    """
    try:
        line = _read_line(argv, invocation)
    except (UsageError, Refused):
        return []
    if line.wishes.wrap is not None or line.names & _OWN:
        return []
    return [*_script_paths(line, invocation)] if line.operands else [None]


def _script_paths(line: _Line, invocation: Invocation) -> Mapping[str, str]:
    """Where the script may be, and the path that is shown for it: nothing in it is resolved (measured).

    A name is looked for in the job's directory, then on PATH (what begins with a dot there is below the job's directory), then
    where sbatch is called, which alone counts when it begins with a dot or a slash: there it is shown as it was given. It need
    not be executable.
    """
    name, cwd = line.operands[0], invocation.cwd
    if not name:
        return {}
    shown = []
    if name[0] not in "./":
        on_path = invocation.environ.get("PATH", "").split(":")
        here = work_dir(cwd, line.wishes.chdir)
        directories = [here, *(f"{here}/{one}" if one[0] == "." else one for one in on_path if one)]
        shown = [f"{one}/{name}" for one in directories]
    found: dict[str, str] = {}
    for one in [*shown, name]:
        found.setdefault(posixpath.join(cwd, one), one)
    return found


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    silent: Sequence[str] = ()
    try:
        line = _read_line(argv, invocation)
        silent = _SEVERITIES[: max(line.wishes.quiet - line.wishes.verbose - 1, 0)]
        reply = _run(argv, line, invocation, controller)
    except UsageError as error:
        reply = error.reply(_BAD_OPTION)
    except Refused as refusal:
        reply = Reply(stderr=refusal.stderr, returncode=refusal.returncode)
    return evolve(reply, stderr=loud_enough(reply.stderr, _PROGRAM, silent))


def _run(argv: Sequence[str], line: _Line, invocation: Invocation, controller: Controller) -> Reply:
    for name in (name for given in line.given for name, _ in given):
        if name == "version":
            return Reply(f"slurm-wlm {PROFILES[invocation.version].version}\n")
        if name in ("help", "usage"):
            return Reply(USAGE)
    path, script = _script(line, invocation)
    directives, warnings = _directives(script, line, invocation)
    if len(line.given) == len(directives) == 1:
        wishes = Wishes(_PROGRAM, invocation.environ, invocation.now, invocation.version)
        components = [_apply_all(wishes, directives[0], line.given[0], line, invocation)]
    else:
        components = _components(directives, line, invocation)
    try:
        for one in components:
            warnings.append(one.warning)
            one.check_nodelist()
        reply = _submit(path, script, line, components, argv, invocation, controller)
    except Refused as refusal:
        reply = Reply(stderr=refusal.stderr, returncode=refusal.returncode)
    return evolve(reply, stderr="".join(warnings) + reply.stderr)


def _components(directives: Sequence[Sequence[str]], line: _Line, invocation: Invocation) -> list[Wishes]:
    """The components of a heterogeneous job: what the script says of each, then variables, then the command line.

    Where one of script and command line has fewer, the script says nothing more, and the command line's last part is for all
    others. Some options are never taken back: they go on to the next component, and begin with what the whole command line says
    (measured).
    """
    wishes = line.wishes
    found = []
    for place in range(max(len(directives), len(line.given))):
        words = directives[place] if place < len(directives) else []
        given = line.given[min(place, len(line.given) - 1)]
        wishes = _apply_all(wishes.next_component(), words, given, line, invocation)
        if wishes.test_only:
            raise wishes.unsupported("test-only", "of a heterogeneous job")
        found.append(wishes)
    return found


def _apply_all(
    wishes: Wishes, words: Sequence[str], given: Sequence[tuple[str, str | None]], line: _Line, invocation: Invocation
) -> Wishes:
    """The options of a job or component, complete and checked."""
    _read_directives(words, line, wishes, invocation)
    for name, value in environment_options(invocation.environ):
        wishes.apply_variable(name, value)
    for name, value in given:
        wishes.apply(name, value)
    wishes.check()
    return wishes


def _warn(invocation: Invocation) -> str:
    return "warning" if invocation.version >= "24.11" else "Warning"


def _submit(
    path: str | None,
    script: bytes,
    line: _Line,
    components: Sequence[Wishes],
    argv: Sequence[str],
    invocation: Invocation,
    controller: Controller,
) -> Reply:
    wishes = components[-1]
    cluster = controller.settings.cluster_name
    if wishes.clusters is not None and wishes.clusters != cluster:
        return unknown_cluster(_PROGRAM, wishes.clusters)
    named = bool(line.operands) or line.wishes.wrap is not None
    descriptions = [
        describe(
            wishes,
            invocation,
            name=_job_name(path, line),
            script=script,
            argv=(path, *line.operands[1:]) if path is not None else (),
            submit_line=" ".join([_PROGRAM, *argv]),
            name_in_environment=named or wishes.job_name is not None,
        )
        for wishes in components
    ]
    try:
        if wishes.test_only:
            return test_only(_PROGRAM, controller, descriptions[0], invocation.now)
        for description in descriptions:
            check_lengths(description)
        if len(descriptions) == 1:
            job_id = controller.submit(descriptions[0], invocation.now)
        else:
            job_id = controller.submit_het(descriptions, invocation.now)
    except SlurmError as error:
        return refusal(error)
    text = _answer(wishes, job_id, controller.settings.cluster_name)
    return Reply(text, then=_waiter(job_id) if wishes.wait else None)


def _script(line: _Line, invocation: Invocation) -> tuple[str | None, bytes]:
    """The path of the script (None: --wrap or standard input) and its content, checked."""
    wrapped = line.wishes.wrap
    if wrapped is not None:
        if line.operands:
            raise line.wishes.wrong("Script arguments not permitted with --wrap option", 1)
        text = f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{wrapped}\n"
        return None, text.encode("utf-8", "surrogateescape")
    path: str | None = None
    content = invocation.stdin
    if line.operands:
        for place, path in _script_paths(line, invocation).items():  # noqa: B007 (the path that was found)
            found = invocation.files.get(place)
            if isinstance(found, bytes):
                content = found
                break
        else:
            place = posixpath.join(invocation.cwd, line.operands[0])
            if not isinstance(invocation.files.get(place), IsADirectoryError):
                raise line.wishes.wrong(f"Unable to open file {line.operands[0]}", 1)
            content = b""
    _check_script(content, line.wishes)
    return path, content


def _check_script(content: bytes, wishes: Wishes) -> None:
    problem = ""
    if not content:
        problem = "Batch script is empty!"
    elif not content.strip():
        problem = "Batch script contains only whitespace!"
    elif not content.startswith(b"#!"):
        problem = (
            "This does not look like a batch script.  The first\n"
            "line must start with #! followed by the path to an interpreter.\n"
            "For instance: #!/bin/sh"
        )
    elif b"\0" in content:
        problem = "The Slurm controller does not allow scripts that\ncontain a NULL character '\\0'."
    elif b"\r\n" in content:
        problem = "Batch script contains DOS line breaks (\\r\\n)\ninstead of expected UNIX line breaks (\\n)."
    if problem:
        raise Refused("".join(f"sbatch: error: {text}\n" for text in problem.split("\n")), 1)


def _directives(script: bytes, line: _Line, invocation: Invocation) -> tuple[list[list[str]], list[str]]:
    """The words of the script's ``#SBATCH`` lines, by component, and what sbatch has to say about them."""
    if line.wishes.wrap is not None:
        return [[]], []
    try:
        words = parse_components(script, escaped_space=invocation.version >= "24.11")
    except DirectiveError as error:
        name = line.operands[0] if line.operands else "stdin"
        raise Refused(f"sbatch: fatal: {name}: {error}\n", 1) from None
    warnings = []
    for separator in separators(script):
        if separator not in ("hetjob", "packjob"):
            raise line.wishes.wrong(f"fakeslurm does not support options behind {separator.split()[0]}", 1)
        if separator == "packjob":
            warnings.append(f"sbatch: {_warn(invocation)}: {_PACKJOB[invocation.version >= '24.11']}\n")
    return words, warnings


def _read_directives(words: Sequence[str], line: _Line, wishes: Wishes, invocation: Invocation) -> None:
    """The options of the script's ``#SBATCH`` lines; --wrap, --quiet and --verbose among them are ignored (measured)."""
    if line.wishes.wrap is not None:
        return
    loudness = (None, 0, 0) if len(line.given) == 1 else (line.wishes.wrap, line.wishes.quiet, line.wishes.verbose)
    _, positional = _understood(words, wishes, invocation)
    wishes.wrap, wishes.quiet, wishes.verbose = loudness
    if positional:
        raise Refused(f"sbatch: error: Invalid directive found in batch script: {positional[0]}\n", _BAD_OPTION)


def _job_name(path: str | None, line: _Line) -> str:
    if line.wishes.wrap is not None:
        return "wrap"
    return posixpath.basename(path) if path is not None else "sbatch"


def refusal(error: SlurmError) -> Reply:
    """What sbatch prints when the controller refuses."""
    lines = [*error.details]
    if error.message == messages.MAX_JOB_COUNT:
        lines.append(_NO_ROOM)
    if error.message in messages.FOUND_BY_CLIENT or error.message.startswith("fakeslurm "):
        lines.append(error.message)
    else:
        lines.append(f"Batch job submission failed: {error.message}")
    return Reply(stderr="".join(f"sbatch: error: {line}\n" for line in lines), returncode=1)


def unknown_cluster(program: str, name: str) -> Reply:
    """What sbatch and srun answer to the name of another cluster."""
    return Reply(
        stderr=f"{program}: error: No cluster '{name}' known by database.\n"
        f"{program}: error: '{name}' can't be reached now, or it is an invalid entry for --cluster.  "
        "Use 'sacctmgr list clusters' to see available clusters.\n",
        returncode=1,
    )


def _answer(wishes: Wishes, job_id: int, cluster: str) -> str:
    """--quiet prints nothing, not even with --parsable (measured)."""
    if wishes.quiet:
        return ""
    if wishes.parsable:
        return f"{job_id}\n" if wishes.clusters is None else f"{job_id};{cluster}\n"
    return f"Submitted batch job {job_id}{'' if wishes.clusters is None else f' on cluster {cluster}'}\n"


def test_only(program: str, controller: Controller, description: JobDescription, now: float) -> Reply:
    """What --test-only of sbatch and srun answers, all of it on stderr."""
    try:
        forecast = controller.test_only(description, now)
    except SlurmError as error:
        return Reply(stderr=f"allocation failure: {error.message}\n", returncode=1)
    text = (
        f"{program}: Job {forecast.job_id} to start at {format_timestamp(forecast.start)} using "
        f"{forecast.num_cpus} processors on nodes {compress(forecast.nodes)} in partition {forecast.partition}\n"
    )
    if forecast.preempts:
        text += f"{program}:   Preempts: {','.join(map(str, forecast.preempts))}\n"
    return Reply(stderr=text)


def _waiter(job_id: int) -> Continuation:
    def look(controller: Controller, _now: float) -> Reply | None:
        jobs = jobs_of(controller, job_id)
        if not jobs:
            return Reply(stderr=f"sbatch: error: Job {job_id} no longer found and exit code not found\n", returncode=1)
        if not all(job.finished for job in jobs):
            return None
        return Reply(returncode=max(map(_exit_code, jobs)))

    return look


def _exit_code(job: Job) -> int:
    code = ExitCode.from_wait_status(job.wait_status)
    return 1 if code.signal else code.code
