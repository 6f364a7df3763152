"""``squeue``. Texts, orders and return codes were measured on Slurm 22.05.8 (docs/slurm-measurements.md, section 2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, field

from fakeslurm.commands import answers, jobjson, jsonshape, queuefilter, squeuefields, stepfields
from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.arrayjobs import asked_for, jobs_of, text_length
from fakeslurm.commands.base import Given, Invocation, Option, Reply, UsageError, parse_options
from fakeslurm.commands.columns import Found, Table, format_table, long_format_table
from fakeslurm.commands.jobcolumns import Field, JobColumns
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.commands.queuearrays import combine, one_by_one
from fakeslurm.commands.queueorder import order_jobs, order_steps
from fakeslurm.commands.stamps import Stamps
from fakeslurm.commands.stepfields import StepColumns
from fakeslurm.commands.unreachable import Unanswered
from fakeslurm.jobarray import TEXT_LENGTH

if TYPE_CHECKING:
    from fakeslurm.model import Job
    from fakeslurm.slurmctld import Controller

__all__ = ["OPTIONS", "run"]

_PROGRAM = "squeue"

OPTIONS = (
    Option("accounts", "A", "required"),
    Option("all", "a"),
    Option("array", "r"),
    Option("Format", "O", "required"),
    Option("format", "o", "required"),
    Option("federation"),
    Option("help"),
    Option("hide"),
    Option("iterate", "i", "required"),
    Option("jobs", "j", "optional"),
    Option("local"),
    Option("long", "l"),
    Option("licenses", "L", "required"),
    Option("cluster", "", "required", key="clusters"),
    Option("clusters", "M", "required"),
    Option("me"),
    Option("name", "n", "required"),
    Option("noconvert"),
    Option("node", "", "required", key="nodelist"),
    Option("nodes", "", "required", key="nodelist"),
    Option("nodelist", "w", "required"),
    Option("noheader", "h"),
    Option("partitions", "p", "required"),
    Option("priority", "P"),
    Option("qos", "q", "required"),
    Option("reservation", "R", "required"),
    Option("sib", key="sibling"),
    Option("sibling"),
    Option("sort", "S", "required"),
    Option("start"),
    Option("steps", "s", "optional"),
    Option("states", "t", "required"),
    Option("usage"),
    Option("user", "", "required", key="users"),
    Option("users", "u", "required"),
    Option("verbose", "v"),
    Option("version", "V"),
    Option("json"),
    Option("yaml"),
    Option("", "U", "required", key="accounts"),
)

OLD_OPTIONS = (Option("array-unique"),)
"""Of 22.05."""
NEW_OPTIONS = (
    Option("expand-patterns"),
    Option("helpformat"),
    Option("helpFormat"),
    Option("helpstate"),
    Option("notme"),
    Option("only-job-state"),
)
"""Of 24.11."""

USAGE = """\
Usage: squeue [-A account] [--clusters names] [-i seconds] [--job jobid]
              [-n name] [-o format] [-p partitions] [--qos qos]
              [--reservation reservation] [--sort fields] [--start]
              [--step step_id] [-t states] [-u user_name] [--usage]
              [-L licenses] [-w nodes] [--federation] [--local] [--sibling]
\t      [-ahjlrsv]
"""

NEW_USAGE = """\
Usage: squeue [-A account] [--clusters names] [-i seconds] [--job jobid]
              [-n name] [-o format] [--only-job-state] [-p partitions]
              [--qos qos] [--reservation reservation] [--sort fields] [--start]
              [--step step_id] [-t states] [-u user_name] [--usage]
              [-L licenses] [-w nodes] [--federation] [--local] [--sibling]
              [--expand-patterns] [--json=data_parser] [--yaml=data_parser]
              [-ahjlrsv]
"""
"""Of 24.11."""

_DEFAULT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
_LONG = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
_START = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R"
_STEPS = "%.15i %.8j %.9P %.8u %.9M %N"

_REFUSED = frozenset({"yaml", "verbose", "priority"} | {option.identity for option in NEW_OPTIONS})
_NO_CHANGE = frozenset({"all", "federation", "hide", "local", "sibling"})
"""One cluster in no federation, no hidden partition: nothing to do."""

_STAND_INS = {
    "SQUEUE_ACCOUNT": "accounts",
    "SQUEUE_NAMES": "name",
    "SQUEUE_LICENSES": "licenses",
    "SQUEUE_PARTITION": "partitions",
    "SQUEUE_QOS": "qos",
    "SQUEUE_STATES": "states",
    "SQUEUE_USERS": "users",
}
"""Variables that stand in for an option that was not given."""


@define
class _Request:
    """What the arguments and the environment ask for."""

    values: dict[str, str] = field(factory=dict)
    """Of options with an argument: the last one."""
    jobs: queuefilter.JobChoices | None = None
    steps: queuefilter.StepChoices | None = None
    of_jobs: bool = False
    """``--jobs`` was given, with or without a list."""
    of_steps: bool = False
    header: bool = True
    long: bool = False
    start: bool = False
    convert: bool = True
    json: bool = False
    one_by_one: bool = False
    """``--array``: every element of an array on a line of its own."""
    combined: bool = True
    """Not so with ``--array-unique``: elements that wait for different reasons share a line."""
    index_length: int = TEXT_LENGTH
    """How much is shown of the indices of an array."""
    complaints: str = ""
    """About options whose value does not end the command."""


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Print jobs, or with ``--steps`` the steps that run."""
    request = _Request()
    try:
        new = controller.settings.profile.release == NEW
        table = answers.option_table(OPTIONS if new else (*OPTIONS, *OLD_OPTIONS), NEW_OPTIONS, controller.settings)
        wrong: UsageError | None = None
        try:
            given, operands = parse_options(_PROGRAM, argv, table)
        except UsageError as error:
            given, operands, wrong = list(error.given), [], error
        _before(request, invocation.environ, controller)
        for option in given:
            _apply(request, option, invocation, controller)
        if wrong is not None:
            raise Stop(wrong.stderr)
        _after(request, operands, invocation.environ, controller)
        if request.json:
            return Reply(_json(request, invocation, controller, [_PROGRAM, *argv]), request.complaints)
        return _steps(request, invocation, controller) if request.of_steps else _jobs(request, invocation, controller)
    except Unanswered as error:
        error.said = request.complaints
        if request.json and not new:
            error.reply = Reply(_no_json(invocation, controller, [_PROGRAM, *argv]))
        raise
    except Stop as stop:
        return Reply(stop.reply.stdout, request.complaints + stop.reply.stderr, stop.reply.returncode)


def _usage(controller: Controller) -> str:
    return NEW_USAGE if controller.settings.profile.release == NEW else USAGE


def _before(request: _Request, environ: Mapping[str, str], controller: Controller) -> None:
    if "SQUEUE_SORT" in environ:
        request.values["sort"] = environ["SQUEUE_SORT"]
    if "SQUEUE_PRIORITY" in environ:
        raise unsupported(_PROGRAM, "SQUEUE_PRIORITY")
    request.one_by_one = "SQUEUE_ARRAY" in environ
    request.combined = "SQUEUE_ARRAY_UNIQUE" not in environ or controller.settings.profile.release == NEW
    request.index_length = text_length(environ)
    if "SLURM_CLUSTERS" in environ:
        answers.check_clusters(_PROGRAM, environ["SLURM_CLUSTERS"], "SLURM_CLUSTERS", controller)
        request.values["clusters"] = environ["SLURM_CLUSTERS"]


def _apply(request: _Request, option: Given, invocation: Invocation, controller: Controller) -> None:
    """Note one option. Raises `Stop` for what ends the command where it stands."""
    key, value = option.key, option.value or ""
    if key in _NO_CHANGE:
        return
    if key in _REFUSED:
        raise unsupported(_PROGRAM, f"--{key}")
    match key:
        case "help" | "usage":
            raise Stop(stdout=_usage(controller), returncode=0)
        case "version":
            raise answers.version(invocation)
        case "iterate":
            if not re.match(r"\s*0*[1-9]", value):
                raise Stop(f"{_PROGRAM}: error: --iterate={value}\n\n")
            raise unsupported(_PROGRAM, "--iterate")
        case "jobs":
            request.of_jobs = True
            if option.value is not None:
                request.jobs = queuefilter.job_choices(value)
        case "steps":
            request.of_steps = True
            if option.value is not None:
                request.steps = queuefilter.step_choices(value)
        case "long":
            request.long = True
        case "start":
            request.start = True
        case "noheader":
            request.header = False
        case "noconvert":
            request.convert = False
        case "json":
            jsonshape.check_parser(_PROGRAM, option.value, controller.settings)
            request.json = True
        case "array":
            request.one_by_one = True
        case "array-unique":
            request.combined = False
        case "me":
            request.values["users"] = f"{invocation.uid}"
        case _:
            _check(request, key, value, controller)
            request.values[key] = value


def _check(request: _Request, key: str, value: str, controller: Controller) -> None:
    """What Slurm checks as soon as it reads the option."""
    if key == "states":
        queuefilter.states(value, controller.settings)
    elif key == "users":
        request.complaints += queuefilter.users(value, controller)[1]
    elif key == "clusters":
        answers.check_clusters(_PROGRAM, value, "--cluster", controller)
    elif key == "Format" and "format" in request.values:
        raise Stop(f"{_PROGRAM}: error: -O (--Format) is incompatible with -o (--format)\n")
    elif key == "format" and "Format" in request.values:
        raise Stop(f"{_PROGRAM}: error: -o (--format) is incompatible with -O (--Format)\n")


def _after(request: _Request, operands: list[str], environ: Mapping[str, str], controller: Controller) -> None:
    """What can be decided once every option has been read."""
    values = request.values
    if request.long and "format" in values:
        raise Stop(
            f"{_PROGRAM}: fatal: Options -o(--format) and -l(--long) are mutually exclusive. "
            "Please remove one and retry.\n"
        )
    if not (request.long or request.start or request.of_steps or {"format", "Format"} & values.keys()):
        for variable, key in (("SQUEUE_FORMAT", "format"), ("SQUEUE_FORMAT2", "Format")):
            if variable in environ:
                values[key] = environ[variable]
                break
    if operands and request.of_jobs:
        request.jobs = queuefilter.job_choices(operands.pop(0))
    elif operands and request.of_steps:
        request.steps = queuefilter.step_choices(operands.pop(0))
    if operands:
        raise Stop(f"{_PROGRAM}: error: Unrecognized option: {operands[0]}\n", 1, _usage(controller))
    if request.of_jobs and request.of_steps and request.jobs is None:
        raise Stop(f"{_PROGRAM}: error: Incompatible options --jobs and --steps\n")
    for variable, key in _STAND_INS.items():
        if variable in environ and key not in values:
            _check(request, key, environ[variable], controller)
            values[key] = environ[variable]
    if request.start and not request.of_steps:
        if "format" not in values:
            values["format"] = _START
            values.pop("Format", None)  # which is passed over (measured)
        values.setdefault("sort", "S")
        values.setdefault("states", "PD")


def _json(request: _Request, invocation: Invocation, controller: Controller, words: list[str]) -> str:
    """22.05 prints every job, whatever is asked for, also with ``--steps``; 24.11 those that are asked for, in the order of slurmctld."""
    settings = controller.settings
    jobs = _in_order(controller)
    if settings.profile.release == NEW:
        if request.of_steps:
            raise unsupported(_PROGRAM, "--json with --steps")
        tests = queuefilter.predicates(request.values, controller, steps=False)
        jobs = queuefilter.select(_asked_for(request, controller), tests)
    return jobjson.report(jobs, settings, invocation, words)


def _no_json(invocation: Invocation, controller: Controller, words: list[str]) -> str:
    """What 22.05 says when the controller does not answer, with the return code 0 (measured)."""
    problem = {
        "description": "Failed while looking for jobs",
        "error_number": -1,
        "error": "Unspecified error",
        "source": "slurm_load_jobs",
    }
    values = {"jobs": [], "errors": [problem]}
    return jsonshape.document(_PROGRAM, controller.settings, invocation, words, values)


def _in_order(controller: Controller) -> list[Job]:
    """Every job, in the order of slurmctld."""
    return sorted(controller.jobs.values(), key=lambda job: job.place)


def _asked_for(request: _Request, controller: Controller) -> list[Job]:
    """The jobs of ``--jobs``, or all, in the order of slurmctld."""
    only = None if request.jobs is None else request.jobs.only
    if only is None:
        jobs = _in_order(controller)
    else:
        jobs = jobs_of(controller, only)
        if not jobs:
            raise Stop("slurm_load_jobs error: Invalid job id specified\n")
    asked_for(jobs)
    return jobs if request.jobs is None else [one for one in map(request.jobs.shown, jobs) if one is not None]


def _jobs(request: _Request, invocation: Invocation, controller: Controller) -> Reply:
    tests = queuefilter.predicates(request.values, controller, steps=False)
    stamps = Stamps(_PROGRAM, invocation.environ, invocation.now)
    try:
        jobs = _asked_for(request, controller)
    except Stop as stop:  # what stands above the table has been printed already (measured)
        raise Stop(stop.reply.stderr, stop.reply.returncode, _above(request, controller, stamps)) from None
    jobs = queuefilter.select(jobs, tests)
    texts: dict[int, str] = {}
    if request.combined and not request.one_by_one:
        jobs, texts = combine(jobs, request.index_length)
    columns = JobColumns(controller.settings, invocation.now, stamps, request.convert, request.index_length, texts)
    catalogue = squeuefields.CATALOGUES[controller.settings.profile.release]
    fields = (catalogue.letters.get, catalogue.find, columns.getter)
    table, faults = _table(request, "job", _LONG if request.long else _DEFAULT, catalogue.everything, *fields)
    sort = request.values.get("sort", "P,t,-p")
    try:
        rows, notes = order_jobs(jobs, sort, invocation.now)
    except Stop as stop:
        header = _reply(request, controller, stamps, table, [], "").stdout
        raise Stop(faults + stop.reply.stderr, stop.reply.returncode, header) from None
    if request.one_by_one:
        rows = one_by_one(rows)
    return _reply(request, controller, stamps, table, rows, request.complaints + faults + notes)


def _steps(request: _Request, invocation: Invocation, controller: Controller) -> Reply:
    tests = queuefilter.predicates(request.values, controller, steps=True)
    jobs = queuefilter.select(_in_order(controller), tests)
    shown = [step for job in jobs for step in stepfields.running_steps(job)]
    if "nodelist" in request.values:
        nodes = queuefilter.node_names(request.values["nodelist"], controller)
        shown = [step for step in shown if not nodes.isdisjoint(step.step.nodes)]
    if request.jobs is not None:
        shown = [step for step in shown if request.jobs.names(step.job)]
    if request.steps is not None:
        shown = [step for step in shown if request.steps.names(step)]
    stamps = Stamps(_PROGRAM, invocation.environ, invocation.now)
    columns = StepColumns(controller.settings, invocation.now, stamps)
    release = controller.settings.profile.release
    fields = (stepfields.LETTERS.get, lambda name: stepfields.find(name, release), columns.getter)
    table, faults = _table(request, "job step", _STEPS, stepfields.ALL_FORMAT, *fields)
    rows, notes = order_steps(shown, request.values.get("sort", "P,i"), invocation.now)
    return _reply(request, controller, stamps, table, rows, request.complaints + faults + notes)


def _table(
    request: _Request,
    kind: str,
    default: str,
    everything: str,
    find_letter: Callable[[str], Field | None],
    find_name: Callable[[str], Field | None],
    getter: Callable[[Field], Callable[[Any], str]],
) -> tuple[Table, str]:
    """The table that is asked for, and what squeue says about fields that it does not know."""
    faults: list[str] = []

    def complain(name: str) -> None:
        faults.append(f"{_PROGRAM}: error: Invalid {kind} format specification: {name}\n")

    def found(field: Field | None) -> Found:
        return None if field is None else (field.header, getter(field), field.overflow)

    def by_name(name: str) -> Found:
        try:
            return found(find_name(name))
        except LookupError:
            raise unsupported(_PROGRAM, f"the field {name}") from None

    if "Format" in request.values:
        table = long_format_table(request.values["Format"], by_name, complain, "{} ".format, lambda text, _: f"{text} ")
    else:
        text = request.values.get("format", default)
        table = format_table(everything if text == "%all" else text, lambda name: found(find_letter(name)), complain)
    return table, "".join(faults)


def _reply(
    request: _Request, controller: Controller, stamps: Stamps, table: Table, rows: Sequence[object], complaints: str
) -> Reply:
    header = table.header() if request.header else ""
    text = f"{_above(request, controller, stamps)}{header}{table.rows(rows)}"
    return Reply(text, complaints + stamps.complaint)


def _above(request: _Request, controller: Controller, stamps: Stamps) -> str:
    """The lines above the table's own header."""
    if not request.header:
        return ""
    time = f"{stamps.ctime()}\n" if request.long else ""
    return f"{time}CLUSTER: {controller.settings.cluster_name}\n" if "clusters" in request.values else time
