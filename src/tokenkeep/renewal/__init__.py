"""
One renewal: the protocol that elects one caller among all hosts to ask the provider.

Checked exhaustively as a model; don't change a rule in this package
without the model. *Pair* is (access token, refresh token). *Base*
is the pair in the record when it was claimed. Every write compares and writes
on a record just read and changes only its own fields. No lock is held over
the network.
"""

from tokenkeep.renewal.attempt import Ask
from tokenkeep.renewal.client import Renewer

__all__ = ["Ask", "Renewer"]
