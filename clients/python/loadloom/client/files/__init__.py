"""Site files and series files, read with every fault told by file, line and column."""
