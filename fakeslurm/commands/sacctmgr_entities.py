"""What ``sacctmgr show`` can show: entities, their fields, widths and values in a new accounting database (measured)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from fakeslurm.model import Settings

__all__ = ["ENTITIES", "Entity", "Field"]

Row = Mapping[str, str]

_RPC = {"22.05": "9728", "24.11": "10752"}
"""SLURM_PROTOCOL_VERSION."""
_ADDRESS = "127.0.0.1"


@frozen
class Field:
    """`name` and `aliases` in small letters; `width` in letters."""

    name: str
    header: str
    width: int
    aliases: tuple[str, ...] = ()


@frozen(kw_only=True)
class Entity:
    """`conditions`: the field that ``CONDITION=`` is about; `others`: Slurm's fields that are missing here."""

    name: str
    shortest: int
    plurals: tuple[str, ...]
    fields: Sequence[Field]
    conditions: Mapping[str, str]
    named: bool = True
    """Whether a bare word is a name."""
    associated: bool = False
    """Whether there is a ``withassoc``."""
    defaults: int
    """So many of the fields are shown by default."""
    others: tuple[str, ...] = ()
    later: Mapping[int, Field] = field(factory=dict)
    """Fields that 24.11 has more, by their place."""

    def default(self, settings: Settings) -> Sequence[Field]:
        fields = list(self.fields[: self.defaults])
        if settings.version >= "24.11":
            for place, one in self.later.items():
                fields.insert(place, one)
        return fields

    def rows(self, settings: Settings, *, with_associations: bool) -> list[Row]:
        """Every field's value; empty where nothing is set."""
        names = [one.name for one in (*self.fields, *self.later.values())]
        known = _VALUES[self.name](settings)
        if with_associations:
            known = [{**row, **_USER_ASSOCIATION, "cluster": settings.cluster_name} for row in known]
        return [dict.fromkeys(names, "") | row for row in known]


_USER_ASSOCIATION = {"account": "root", "user": "root", "share": "1", "priority": "0", "maxjobs": "0", "maxsubmit": "0"}
_USER_ASSOCIATION |= {"maxwall": "00:00:00"}


def _clusters(settings: Settings) -> list[dict[str, str]]:
    port, rpc = str(settings.control_port), _RPC[settings.version]
    known = {"cluster": settings.cluster_name, "controlhost": _ADDRESS, "controlport": port, "rpc": rpc, "share": "1"}
    return [known | {"qos": "normal"}]


def _accounts(settings: Settings) -> list[dict[str, str]]:
    return [{"account": "root", "description": "default root account", "organization": "root"}]


def _users(settings: Settings) -> list[dict[str, str]]:
    return [{"user": "root", "defaultaccount": "root", "adminlevel": "Administrator"}]


def _associations(settings: Settings) -> list[dict[str, str]]:
    """Which comes first is different in 24.11."""
    of_cluster = {"cluster": settings.cluster_name, "account": "root", "share": "1", "qos": "normal", "id": "1"}
    of_user = {**_USER_ASSOCIATION, "cluster": settings.cluster_name, "id": "2"}
    return [of_cluster, of_user] if settings.version >= "24.11" else [of_user, of_cluster]


def _qos(settings: Settings) -> list[dict[str, str]]:
    known = {"name": "normal", "priority": "0", "gracetime": "00:00:00", "preemptmode": "cluster"}
    return [known | {"usagefactor": "1.000000", "id": "1", "description": "Normal QOS default"}]


def _tres(settings: Settings) -> list[dict[str, str]]:
    names = ("cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages")
    parts = [name.partition("/") for name in names]
    return [{"type": kind, "name": name, "id": str(number)} for number, (kind, _, name) in enumerate(parts, 1)]


_VALUES = {
    "account": _accounts,
    "association": _associations,
    "cluster": _clusters,
    "qos": _qos,
    "tres": _tres,
    "user": _users,
}


def _fields(text: str) -> list[Field]:
    """``Header:width``, or ``name/alias=Header:width`` where the name is not the header."""
    found = []
    for line in text.strip().splitlines():
        names, _, shown = line.strip().rpartition("=")
        header, _, width = shown.rpartition(":")
        name, *aliases = (names or header).lower().split("/")
        found.append(Field(name, header, int(width), tuple(aliases)))
    return found


_QOS_LATER = _fields("MaxTRESRunMinsPA:22\nMaxTRESRunMinsPU:22")

ENTITIES: Mapping[str, Entity] = {
    "account": Entity(
        name="account",
        shortest=3,
        plurals=("accounts",),
        fields=_fields("Account:10\ndescription=Descr:20\norganization=Org:20\n"),
        conditions={"name": "account", "account": "account"},
        defaults=3,
        others=("coordinators", "flags"),
    ),
    "association": Entity(
        name="association",
        shortest=3,
        plurals=("associations",),
        fields=_fields("""
            Cluster:10
            Account:10
            User:10
            Partition:10
            share/fairshare=Share:9
            Priority:10
            GrpJobs:7
            GrpTRES:13
            grpsubmit/grpsubmitjobs=GrpSubmit:9
            GrpWall:11
            GrpTRESMins:13
            MaxJobs:7
            MaxTRES:13
            MaxTRESPerNode:14
            maxsubmit/maxsubmitjobs=MaxSubmit:9
            MaxWall:11
            MaxTRESMins:13
            qos/qoslevel=QOS:20
            defaultqos=Def QOS:9
            GrpTRESRunMin:13
        """),
        conditions={"account": "account", "cluster": "cluster", "user": "user"},
        named=False,
        defaults=20,
        others=("id", "lft", "rgt", "parentid", "parentname", "comment", "flags", "withrawqos", "maxnodes"),
    ),
    "cluster": Entity(
        name="cluster",
        shortest=2,
        plurals=("clusters",),
        fields=_fields("""
            Cluster:10
            ControlHost:15
            ControlPort:12
            RPC:5
            share/fairshare=Share:9
            GrpJobs:7
            GrpTRES:13
            grpsubmit/grpsubmitjobs=GrpSubmit:9
            MaxJobs:7
            MaxTRES:13
            maxsubmit/maxsubmitjobs=MaxSubmit:9
            MaxWall:11
            qos/qoslevel=QOS:20
            defaultqos=Def QOS:9
        """),
        conditions={"name": "cluster", "cluster": "cluster"},
        defaults=14,
        others=("classification", "clusternodes", "flags", "nodecount", "tres", "features", "federation", "id"),
    ),
    "qos": Entity(
        name="qos",
        shortest=1,
        plurals=(),
        fields=_fields("""
            Name:10
            Priority:10
            GraceTime:10
            Preempt:10
            PreemptExemptTime:19
            PreemptMode:11
            Flags:40
            usagethreshold=UsageThres:10
            UsageFactor:11
            GrpTRES:13
            GrpTRESMins:13
            GrpTRESRunMin:13
            GrpJobs:7
            grpsubmit/grpsubmitjobs=GrpSubmit:9
            GrpWall:11
            MaxTRES:13
            MaxTRESPerNode:14
            MaxTRESMins:13
            MaxWall:11
            maxtrespu/maxtresperuser=MaxTRESPU:13
            maxjobspu/maxjobsperuser=MaxJobsPU:9
            maxsubmitpu/maxsubmitjobsperuser=MaxSubmitPU:11
            MaxTRESPA:13
            MaxJobsPA:9
            MaxSubmitPA:11
            MinTRES:13
        """),
        conditions={"name": "name"},
        defaults=26,
        others=("id", "description"),
        later={23: _QOS_LATER[0], 24: _QOS_LATER[1]},
    ),
    "tres": Entity(
        name="tres",
        shortest=2,
        plurals=(),
        fields=_fields("Type:8\nName:15\nID:6\n"),
        conditions={},
        named=False,
        defaults=3,
    ),
    "user": Entity(
        name="user",
        shortest=1,
        plurals=("users",),
        fields=_fields("""
            User:10
            defaultaccount=Def Acct:10
            adminlevel=Admin:9
            Account:10
            Cluster:10
            Partition:10
        """),
        conditions={"name": "user", "user": "user"},
        associated=True,
        defaults=3,
        others=("coordinators", "defaultwckey", "share", "fairshare", "qos", "defaultqos", "maxjobs", "maxwall"),
    ),
}
