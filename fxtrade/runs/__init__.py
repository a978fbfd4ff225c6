"""The records of runs: their folders, the ledger of all trials, and where a result comes from."""
