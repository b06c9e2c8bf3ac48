"""Fuzzing: what must hold of every input, however broken (``targets``), and the run that looks for one (``run``)."""
