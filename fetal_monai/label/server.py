"""Starts MONAI Label's server with the app of this package."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from fetal_monai.bundles import UsageError
from fetal_monai.label import workarounds
from fetal_monai.label.folder import app_folder

__all__ = ["label", "serve"]

HOW_TO_GET = (
    "MONAI Label needs an environment of its own: make label-env, then .venv-label/bin/fetal-monai label"
)


def label(args: argparse.Namespace) -> int:
    """The command `fetal-monai label`: serve the bundles, or say where the app is."""
    if args.path:
        sys.stdout.write(f"{app_folder()}\n")
    else:
        serve(args.studies, args.models, args.host, args.port, verbose=args.debug)
    return 0


def serve(
    studies: str, models: str = "all", host: str = "127.0.0.1", port: int = 8000, verbose: bool = False
) -> None:
    """Serve the images of the folder ``studies``, made if missing, until interrupted.

    ``models`` are names of bundles, separated by commas, or ``all``. Raises UsageError where MONAI Label is not
    installed, or for a model that there is not.
    """
    from fetal_monai.label.served import served_models

    if importlib.util.find_spec("monailabel") is None:
        raise UsageError(HOW_TO_GET)
    if not workarounds.is_installed():
        raise UsageError(
            f"this Python lacks what MONAI Label needs; {sys.executable} -m {workarounds.__name__}"
        )
    served_models(models)
    Path(studies).mkdir(parents=True, exist_ok=True)
    from monailabel.main import Main

    level = "INFO" if verbose else "WARNING"
    sys.argv = [
        *("monailabel", "start_server", "--app", str(app_folder()), "--studies", str(studies)),
        *("--conf", "models", models, "--host", host, "--port", str(port)),
        *("--verbose", level, "--log_level", level.lower()),
    ]
    Main(loglevel=level).run()
