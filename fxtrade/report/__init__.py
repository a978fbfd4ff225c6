"""Reports: Markdown, plots and tables from typed results."""
