"""A plan played against a simulated account, in virtual time: nothing is sent, nothing changed."""

from compasso.rehearsing.rehearsal import Rehearsal, rehearse

__all__ = ["Rehearsal", "rehearse"]
