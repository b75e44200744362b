"""How long an iteration takes, on one backend or on all of them, and which backend to take for a run."""
