"""Command line: flags, error messages, and the diagnosis of the machine."""
