"""Images and artefacts made from shapes, with known truth."""
