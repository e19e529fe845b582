"""The command line: its verbs, tables and charts."""
