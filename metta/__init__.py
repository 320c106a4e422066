"""Train teams of agents to cooperate in CoGsGuard."""

import os

# How long an idle OpenMP thread spins before it sleeps, unless the user says; torch reads it when it is loaded. The
# default is milliseconds: two processes that share cores then wait for each other's spinning at every layer, and
# train twenty times slower.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
