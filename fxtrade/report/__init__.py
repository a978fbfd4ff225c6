"""Tables, plots and plain words for people."""
