"""How images are started: what they need at run time, and the options that give them that and no more."""
