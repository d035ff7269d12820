"""The MONAI Label app that serves every bundle; it needs an environment of its own (`make label-env`)."""
