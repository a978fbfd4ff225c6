"""What the scripts share: flags, errors, diagnosis of the machine."""
