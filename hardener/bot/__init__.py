"""One pull request per repository, kept current: what to say, what to do next, and the forge that it is done on."""
