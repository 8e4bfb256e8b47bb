"""What the specialists can do, one module for each; every rule is held here, in code."""
