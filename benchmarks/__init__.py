"""How fast and how right Loadloom is, beside the tools its users would otherwise run."""
