"""A measured cascade made to fit: exported for faster engines, tuned to a machine, its operating point chosen."""
