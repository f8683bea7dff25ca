"""The programs: one `tapehub` command with a module for each of its verbs, and the demonstration."""
