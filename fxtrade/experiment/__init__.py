"""The top floor: a whole run, from a config to a report, and the record of every run."""
