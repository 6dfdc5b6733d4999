"""The command line: its verbs, what they print, and how a mistake is told."""
