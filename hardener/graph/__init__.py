"""Pictures: the stages of a Dockerfile and what starts them, with users, owners and ports before and after."""
