"""slurmctld without I/O: what a controller decides, as a function of events and the time."""

from fakeslurm.slurmctld.controller import Controller

__all__ = ["Controller"]
