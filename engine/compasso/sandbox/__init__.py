"""A simulated Connectif account, for tests, demos and rehearsals."""

from compasso.sandbox.app import create_app
from compasso.sandbox.server import RunningSandbox, serve
from compasso.sandbox.settings import Behaviour, SandboxSettings

__all__ = ["Behaviour", "RunningSandbox", "SandboxSettings", "create_app", "serve"]
