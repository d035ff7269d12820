"""How far a brain lies from what is usual at its age."""
