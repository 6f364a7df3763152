"""What every command shares: how it is called, what it answers, and how it reads its options.

A command is a module of this package with a function ``run(argv, invocation, controller) -> Reply``; `argv` are the
arguments after the command's own name. It asks and changes the controller and prints; it starts nothing and waits for
nothing. srun and salloc are conversations and have a way in of their own.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from attrs import field, frozen

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = [
    "COMMANDS",
    "CONVERSATIONS",
    "Command",
    "Given",
    "Invocation",
    "Option",
    "Refused",
    "Reply",
    "UsageError",
    "Written",
    "command",
    "loud_enough",
    "parse_options",
]

CONVERSATIONS = ("srun", "salloc")
"""Those that stay and hear what happens, each with a way in of its own: ``run(caller, engine, invocation) -> int``."""
REFUSED = ("sshare", "sdiag", "sreport", "sattach", "sbcast", "strigger", "scrontab")
"""Those that only say that the fake has not got them: the machine's own would be found otherwise."""
COMMANDS: tuple[str, ...] = (
    *("sbatch", "squeue", "sacct", "scancel", "scontrol", "srun", "sinfo", "salloc", "sacctmgr", "sstat", "sprio"),
    *REFUSED,
)
"""Every command there is: the shims on PATH and the argv[0] that `FakeSlurm.execute` takes."""


@frozen(kw_only=True)
class Invocation:
    """The circumstances of one call: everything that a command knows apart from its arguments and the controller."""

    now: float
    """Epoch seconds."""
    cwd: str
    """Absolute."""
    environ: Mapping[str, str] = field(factory=dict)
    user: str = "root"
    uid: int = 0
    group: str = "root"
    gid: int = 0
    umask: int = 0o022
    niceness: int = 0
    """The nice value of the command's process."""
    host: str = "localhost"
    """Short name of the host that the command runs on."""
    version: str = "22.05"
    """The Slurm whose behaviour is asked for, ``YY.MM``."""
    stdin: bytes = b""
    """What a command that reads its standard input finds there."""
    files: Mapping[str, bytes | OSError] = field(factory=dict)
    """Content of the files that the command asked for beforehand, or why they cannot be read, by the name it used."""


Continuation = Callable[["Controller", float], "Reply | None"]


@frozen
class Written:
    """A file that a command writes where it was called."""

    path: str
    """As the caller named it."""
    content: bytes
    done: str
    """What is printed then."""
    failed: str
    """What is printed on stderr when it cannot be opened; ``{error}`` is why."""


@frozen
class Reply:
    """What a command prints and returns.

    With `then`, the command goes on after this text: it is called with the controller and the time after every change
    until it answers a Reply, whose text follows and whose return code counts (``sbatch --wait``).
    """

    stdout: str = ""
    stderr: str = ""
    returncode: int = 0
    then: Continuation | None = None
    write: Written | None = None


Command = Callable[[Sequence[str], Invocation, "Controller"], Reply]


def command(name: str) -> Command:
    """The function of one of `COMMANDS` but a conversation; imported at its first use."""
    if name not in COMMANDS or name in CONVERSATIONS:
        raise LookupError(f"no command {name!r}; there are {', '.join(COMMANDS)}")
    if name in REFUSED:
        return functools.partial(importlib.import_module("fakeslurm.commands.refused").run, name)
    run: Command = importlib.import_module(f"fakeslurm.commands.{name}").run
    return run


def loud_enough(text: str, program: str, severities: Sequence[str]) -> str:
    """What is left of a client's messages where those that begin so are not said; that the fake has something not always is."""
    beginnings = tuple(f"{program}: {severity}" for severity in severities)
    kept = (one for one in text.splitlines(keepends=True) if "fakeslurm" in one or not one.startswith(beginnings))
    return "".join(kept)


class UsageError(Exception):
    """The arguments cannot be read. `stderr` is the complete text that the command prints; the rc is the command's own.

    rc of an unknown option, measured on 22.05.8: 255 for sbatch and srun, 1 for all others.
    """

    def __init__(self, stderr: str) -> None:
        super().__init__(stderr)
        self.stderr = stderr
        self.given: Sequence[Given] = ()
        """The options before the one that is wrong; what is wrong with their values is said first."""

    def reply(self, returncode: int) -> Reply:
        return Reply(stderr=self.stderr, returncode=returncode)


class Refused(Exception):  # noqa: N818 (an answer, not an error of this program)
    """The command ends here: the complete text on its stderr, and its return code."""

    def __init__(self, stderr: str, returncode: int) -> None:
        super().__init__(stderr)
        self.stderr = stderr
        self.returncode = returncode


@frozen
class Option:
    """One line of a command's ``struct option`` table. The order of a table is the order in the 'ambiguous' message.

    Lines with the same `key` are spellings of one option (``--cluster``, ``--clusters``). `name` is empty for an option
    without a long form, `short` for one without a short form.
    """

    name: str
    short: str = ""
    argument: Literal["none", "required", "optional"] = "none"
    key: str = field(default="")

    @property
    def identity(self) -> str:
        return self.key or self.name or self.short


class Given(NamedTuple):
    """An option as it was given: its key, and its argument (None without one)."""

    key: str
    value: str | None


def parse_options(
    program: str,
    argv: Sequence[str],
    options: Sequence[Option],
    *,
    permute: bool = True,
    suggest_help: bool = True,
) -> tuple[list[Given], list[str]]:
    """Read `argv` as glibc's getopt_long does: the options in the order given, and the operands.

    With `permute` operands may stand between options (all commands); without, the first operand ends the options
    (sbatch, srun: what follows belongs to the script). `suggest_help` adds Slurm's line ``Try "PROGRAM --help" ...``
    (sacct alone has none). Raises `UsageError`.
    """
    given: list[Given] = []
    operands: list[str] = []
    rest = list(argv)
    tail = f'Try "{program} --help" for more information\n' if suggest_help else ""

    def fail(message: str) -> UsageError:
        return UsageError(f"{program}: {message}\n{tail}")

    try:
        _read(rest, given, operands, options, fail, permute)
    except UsageError as error:
        error.given = tuple(given)
        raise
    return given, operands


def _read(
    rest: list[str],
    given: list[Given],
    operands: list[str],
    options: Sequence[Option],
    fail: Callable[[str], UsageError],
    permute: bool,
) -> None:
    while rest:
        word = rest.pop(0)
        if word == "--":
            operands.extend(rest)
            break
        if not word.startswith("-") or word == "-":
            operands.append(word)
            if permute:
                continue
            operands.extend(rest)
            break
        if word.startswith("--"):
            given.append(_long(word, rest, options, fail))
        else:
            _short(word, rest, given, options, fail)


def _long(word: str, rest: list[str], options: Sequence[Option], fail: Callable[[str], UsageError]) -> Given:
    name, equals, value = word[2:].partition("=")
    option = _find(name, options, word, fail)
    if equals and option.argument == "none":
        raise fail(f"option '--{option.name}' doesn't allow an argument")
    if equals or option.argument != "required":
        return Given(option.identity, value if equals else None)
    if not rest:
        raise fail(f"option '--{option.name}' requires an argument")
    return Given(option.identity, rest.pop(0))


def _find(name: str, options: Sequence[Option], word: str, fail: Callable[[str], UsageError]) -> Option:
    """The option of this name, or the only one that starts with it."""
    for option in options:
        if option.name and option.name == name:
            return option
    matching = [option for option in options if option.name and option.name.startswith(name)]
    if not matching:
        raise fail(f"unrecognized option '{word}'")
    first = matching[0]
    others = [o for o in matching[1:] if (o.argument, o.identity) != (first.argument, first.identity)]
    if others:
        names = " ".join(f"'--{option.name}'" for option in [first, *others])
        raise fail(f"option '{word}' is ambiguous; possibilities: {names}")
    return first


def _short(
    word: str, rest: list[str], given: list[Given], options: Sequence[Option], fail: Callable[[str], UsageError]
) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        option = next((o for o in options if o.short == letter), None)
        if option is None:
            raise fail(f"invalid option -- '{letter}'")
        if option.argument == "none":
            given.append(Given(option.identity, None))
            continue
        value: str | None = letters or None
        if value is None and option.argument == "required":
            if not rest:
                raise fail(f"option requires an argument -- '{letter}'")
            value = rest.pop(0)
        given.append(Given(option.identity, value))
        break
