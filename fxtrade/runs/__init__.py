"""The records of runs: their folders, the ledger of all trials, and the provenance of results."""
