"""The tools that Loadloom is measured against, each used as its own documentation uses it."""
