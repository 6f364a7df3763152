"""``sinfo``. Texts and return codes were measured on Slurm 22.05.8."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from attrs import define, field

from fakeslurm.commands import answers, sinfofields
from fakeslurm.commands.answers import Stop, unsupported, words
from fakeslurm.commands.base import Given, Invocation, Option, Reply, UsageError, parse_options
from fakeslurm.commands.columns import Found, LongToken, Table, format_table, long_format_table
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.commands.nodetexts import ShownNode, shown_node
from fakeslurm.commands.sinfofields import Field, Group, GroupColumns
from fakeslurm.commands.sinfoorder import order_groups
from fakeslurm.commands.stamps import Stamps
from slurmkit.slurm.hostlist import HostlistError, expand

if TYPE_CHECKING:
    from fakeslurm.model import Partition, Settings
    from fakeslurm.slurmctld import Controller

__all__ = ["OPTIONS", "run"]

_PROGRAM = "sinfo"

OPTIONS = (
    Option("all", "a"),
    Option("dead", "d"),
    Option("exact", "e"),
    Option("federation"),
    Option("help"),
    Option("hide"),
    Option("iterate", "i", "required"),
    Option("local"),
    Option("long", "l"),
    Option("cluster", "", "required", key="clusters"),
    Option("clusters", "M", "required"),
    Option("nodes", "n", "required"),
    Option("noconvert"),
    Option("noheader", "h"),
    Option("Node", "N"),
    Option("format", "o", "required"),
    Option("Format", "O", "required"),
    Option("partition", "p", "required"),
    Option("responding", "r"),
    Option("list-reasons", "R"),
    Option("summarize", "s"),
    Option("sort", "S", "required"),
    Option("states", "t", "required"),
    Option("reservation", "T"),
    Option("usage"),
    Option("verbose", "v"),
    Option("version", "V"),
    Option("json"),
    Option("yaml"),
)

NEW_OPTIONS = (
    Option("future", "F"),
    Option("helpformat"),
    Option("helpFormat"),
    Option("helpstate"),
)
"""Of 24.11."""

USAGE = """\
Usage: sinfo [-abdelNRrsTv] [-i seconds] [-t states] [-p partition] [-n nodes]
             [-S fields] [-o format] [-O Format] [--federation] [--local]
"""

_REFUSED = frozenset({"iterate", "json", "verbose", "yaml", "helpformat", "helpFormat", "helpstate"})
_NO_CHANGE = frozenset({"federation", "future", "hide", "local", "noconvert", "responding"})
"""One cluster in no federation, no hidden partition, no future node, every node responds: nothing to do."""

_DEFAULT = "%{part}P %.5a %.10l %.6D %.6t %N"
_LONG = "%{part}P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %N"
_NEW_LONG = "%{part}P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %.11i %N"
_NODES = "%{node}N %.6D %.{part}P %6t"
_LONG_NODES = "%{node}N %.6D %.{part}P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E"
_SUMMARY = "%{part}P %.5a %.10l %.16F %N"
_REASONS = "%20E %9u %19H %N"
_LONG_REASONS = "%20E %12U %19H %6t %N"
_LEAST_WIDTH = 9
"""Of the columns of partitions and nodes, which are as wide as their longest name."""

_STATE_WORDS = {
    "22.05": [
        "unknown",
        "down",
        "idle",
        "allocated",
        "?",
        "mixed",
        "future",
        "drain",
        "drained",
        "draining",
        "no_respond",
        "reserved",
        "perfctrs",
        "cloud",
        "completing",
        "powering_down",
        "powered_down",
        "power_down",
        "powering_up",
        "fail",
        "maint",
        "reboot",
        "reboot^",
        "unknown",
    ],
    NEW: [
        "unknown",
        "down",
        "idle",
        "allocated",
        "?",
        "mixed",
        "future",
        "drain",
        "drained",
        "draining",
        "no_respond",
        "reserved",
        "planned",
        "blocked",
        "cloud",
        "completing",
        "powering_down",
        "powered_down",
        "power_down",
        "powering_up",
        "fail",
        "maint",
        "reboot",
        "reboot^",
    ],
}


@define
class _Request:
    """What the arguments and the environment ask for."""

    values: dict[str, str] = field(factory=dict)
    flags: set[str] = field(factory=set)
    long_format: bool = False
    """The format that counts is a ``-O`` one."""


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Print partitions and their nodes. Operands are passed over, as Slurm does."""
    try:
        given, _ = parse_options(_PROGRAM, argv, answers.option_table(OPTIONS, NEW_OPTIONS, controller.settings))
        request = _Request()
        _before(request, invocation.environ, controller)
        for option in given:
            _apply(request, option, invocation, controller)
        _choose_partitions(request, {option.key for option in given}, invocation.environ)
        return _print(request, invocation, controller)
    except UsageError as error:
        return error.reply(1)
    except Stop as stop:
        return stop.reply


def _before(request: _Request, environ: Mapping[str, str], controller: Controller) -> None:
    for variable, key in (("SINFO_PARTITION", "partition"), ("SINFO_FORMAT", "environment"), ("SINFO_SORT", "sort")):
        if variable in environ:
            request.values[key] = environ[variable]
    if "SLURM_CLUSTERS" in environ:
        answers.check_clusters(_PROGRAM, environ["SLURM_CLUSTERS"], "SLURM_CLUSTERS", controller)
        request.flags.add("clusters")


def _apply(request: _Request, option: Given, invocation: Invocation, controller: Controller) -> None:
    key, value = option.key, option.value or ""
    if key in _NO_CHANGE:
        return
    if key in _REFUSED:
        raise unsupported(_PROGRAM, f"--{key}")
    match key:
        case "help" | "usage":
            raise Stop(stdout=USAGE, returncode=0)
        case "version":
            raise answers.version(invocation)
        case "clusters":
            answers.check_clusters(_PROGRAM, value, "--cluster", controller)
            request.flags.add(key)
        case "format" | "Format":
            request.values["format"] = value
            request.long_format = key == "Format"
        case "states":
            _states(value, controller.settings)
            request.values[key] = value
        case _ if option.value is None:
            request.flags.add(key)
        case _:
            request.values[key] = value


def _choose_partitions(request: _Request, given: Set[str], environ: Mapping[str, str]) -> None:
    """Of all partitions and named ones only one may be asked for; an option counts more than the variables (measured)."""
    both = "-a and -p" if {"all", "partition"} <= given else ""
    if not both and {"SINFO_ALL", "SINFO_PARTITION"} <= environ.keys():
        both = "SINFO_ALL and SINFO_PARTITION"
    if both:
        complaint = f"Conflicting options, {both}, specified. Please choose one or the other."
        raise Stop(f"{_PROGRAM}: error: {complaint}\n")
    if "all" in given:
        request.values.pop("partition", None)


def _states(text: str, settings: Settings) -> frozenset[str] | None:
    """The states of ``--states``, as words of `_STATE_WORDS`; None for all. A state may be cut short."""
    if text.lower() == "all":
        return None
    found = set()
    for word in words(text):
        known = _STATE_WORDS[settings.profile.release]
        state = next((one for one in known if one.startswith(word.lower())), None)
        if state is None:
            raise Stop(
                f'{_PROGRAM}: error: Bad state string: "{word}"\n{_PROGRAM}: error: valid states: {",".join(known)}\n'
            )
        found.add(state)
    return frozenset(found)


def _is_in(shown: ShownNode, states: frozenset[str], release: str) -> bool:
    """Whether the node is shown for these states: for its flags and for what is below them; mixed also as allocated.

    In 22.05 a node that is draining is never mixed here, other than in scontrol (measured).
    """
    flags = {
        "completing": shown.completing,
        "drain": shown.record.drain,
        "drained": shown.record.drain and not shown.draining,
        "draining": shown.draining,
        "fail": shown.record.fail,
    }
    base = shown.base.lower()
    if base == "mixed":
        flags |= {"allocated": True, "mixed": release == NEW or not shown.record.drain}
        return any(flags.get(state, False) for state in states)
    return base in states or any(flags.get(state, False) for state in states)


def _print(request: _Request, invocation: Invocation, controller: Controller) -> Reply:
    faults: list[str] = []
    used: list[Field] = []
    stamps = Stamps(_PROGRAM, invocation.environ, invocation.now)
    columns = GroupColumns(controller.settings, stamps)

    def found(one: Field | None) -> Found:
        if one is None:
            return None
        used.append(one)
        return one.header, columns.getter(one), one.overflow

    names = [columns.partition(Group(one, [])) for one in controller.settings.partitions]
    widths = {
        "part": max(_LEAST_WIDTH, *map(len, names)),
        "node": max(_LEAST_WIDTH, *map(len, controller.nodes)),
    }
    table = _table(request, found, faults, widths, controller.settings.profile.release)
    if "reservation" in request.flags:
        raise Stop("".join(faults), 0, "No reservations in the system\n")
    groups = _groups(request, used, controller)
    order = request.values.get("sort", "N" if "Node" in request.flags else "#P,-t")
    groups = order_groups(groups, order, controller.settings, columns)
    head = ""
    if "noheader" not in request.flags:
        head += f"{stamps.ctime()}\n" if "long" in request.flags else ""
        head += f"CLUSTER: {controller.settings.cluster_name}\n" if "clusters" in request.flags else ""
        head += table.header()
    return Reply(head + table.rows(groups), "".join(faults) + stamps.complaint)


def _table(
    request: _Request,
    found: Callable[[Field | None], Found],
    faults: list[str],
    widths: Mapping[str, int],
    release: str,
) -> Table:
    values, flags = request.values, request.flags
    catalogue = sinfofields.CATALOGUES[release]
    if "format" in values and "long" in flags:
        raise Stop(
            f"{_PROGRAM}: fatal: Options -o(--format) and -l(--long) are mutually exclusive. "
            "Please remove one and retry.\n"
        )
    if "format" in values and request.long_format:

        def by_name(name: str) -> Found:
            try:
                return found(catalogue.find(name))
            except LookupError:
                raise unsupported(_PROGRAM, f"the field {name}") from None

        complain = f"{_PROGRAM}: error: Invalid job format specification: "
        return long_format_table(
            values["format"],
            by_name,
            lambda name: faults.append(f"{complain}{name}\n"),
            negative=lambda _text: "",
            negative_header=lambda _text, token: _header_below_0(token),
        )
    if "format" in values:
        text = values["format"]
    elif "environment" in values and not {"summarize", "list-reasons", "Node", "long"} & flags:
        text = values["environment"]
    else:
        text = _own_format(flags, release).format(**widths)
    return format_table(
        catalogue.everything if text == "%all" else text,
        lambda letter: found(catalogue.letters.get(letter)),
        lambda letter: faults.append(f"Invalid node format specification: {letter}\n"),
    )


def _header_below_0(token: LongToken) -> str:
    """The header of a field whose width is below 0: nothing, but the headers of nodes show their bad printf format (measured)."""
    of_nodes = token.field.lower() in ("nodelist", "nodehost", "nodeaddr")
    if token.right and of_nodes:
        raise unsupported(_PROGRAM, f"a width of .{token.width}")
    return f"%.0{token.width}s" if of_nodes else ""


def _own_format(flags: set[str], release: str) -> str:
    long = "long" in flags
    if "summarize" in flags:
        return _SUMMARY
    if "Node" in flags:
        return _LONG_NODES if long else _NODES
    if "list-reasons" in flags:
        return _LONG_REASONS if long else _REASONS
    if long:
        return _NEW_LONG if release == NEW else _LONG
    return _DEFAULT


def _groups(request: _Request, used: Sequence[Field], controller: Controller) -> list[Group]:
    """The nodes to be shown, those together that are alike in the fields that are used."""
    settings = controller.settings
    names = words(request.values["partition"]) if "partition" in request.values else None
    partitions = [one for one in settings.partitions if names is None or one.name in names]
    shown = {name: shown_node(record, controller.jobs, settings) for name, record in controller.nodes.items()}
    shown = {name: node for name, node in shown.items() if _chosen(request, node, settings)}
    exactly = {one.exactly for one in used} if "exact" in request.flags else set()
    attributes = sorted(({one.splits for one in used} | exactly) - {"", "partition"})
    by_partition = any(one.splits == "partition" for one in used)
    if "Node" in request.flags:
        return [Group(one, [node]) for name, node in shown.items() for one in partitions if _has(one, name)]
    if not by_partition:
        merged = [node for name, node in shown.items() if any(_has(one, name) for one in partitions)]
        return [Group(partitions[0], nodes) for nodes in _alike(merged, attributes)]
    # A partition without such nodes is a row of its own only where its name is shown (measured).
    names_shown = any(one.header == "PARTITION" for one in used)
    if "list-reasons" in request.flags:
        return _each_once(partitions, shown, attributes, empty=names_shown)
    groups = []
    empty: list[list[ShownNode]] = [[]] if names_shown else []
    for partition in partitions:
        alike = _alike([node for name, node in shown.items() if _has(partition, name)], attributes)
        groups += [Group(partition, nodes) for nodes in alike or empty]
    return groups


def _each_once(
    partitions: Sequence[Partition], shown: Mapping[str, ShownNode], attributes: Sequence[str], *, empty: bool
) -> list[Group]:
    """With ``--list-reasons`` any row that is empty, or has nodes that are alike, takes a node, of whatever partition it is (measured)."""
    rows: list[tuple[Partition, list[ShownNode]]] = [(partition, []) for partition in partitions if empty]
    for partition in partitions:
        for node in (node for name, node in shown.items() if _has(partition, name)):
            nodes = next(
                (nodes for _, nodes in rows if not nodes or len(_alike([nodes[0], node], attributes)) == 1), None
            )
            if nodes is None:
                rows.append((partition, [node]))
            elif node not in nodes:
                nodes.append(node)
    return [Group(partition, nodes) for partition, nodes in rows]


def _chosen(request: _Request, node: ShownNode, settings: Settings) -> bool:
    if "nodes" in request.values:
        try:
            names = expand(request.values["nodes"])
        except HostlistError:
            names = []
        if node.name not in names:
            return False
    if "dead" in request.flags:  # every node of the fake responds
        return False
    if "states" not in request.values:
        return not node.record.available if "list-reasons" in request.flags else True
    states = _states(request.values["states"], settings)
    return states is None or _is_in(node, states, settings.profile.release)


def _has(partition: Partition, name: str) -> bool:
    return partition.nodes is None or name in partition.nodes


def _alike(nodes: Sequence[ShownNode], attributes: Sequence[str]) -> list[list[ShownNode]]:
    """Groups of nodes that have the same values of these attributes."""
    groups: dict[tuple[object, ...], list[ShownNode]] = {}
    for node in nodes:
        groups.setdefault(tuple(getattr(node, name) for name in attributes), []).append(node)
    return list(groups.values())
