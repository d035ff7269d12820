"""The app folder that MONAI Label starts from: in the user's data, as the server writes its log into it."""

from __future__ import annotations

import os
from pathlib import Path

from fetal_monai.files import atomic_write

__all__ = ["app_folder"]

MAIN = """\
# Written by fetal_monai; MONAI Label takes the app from here.
from fetal_monai.label.app import FetalMonaiLabel

__all__ = ["FetalMonaiLabel"]
"""


def app_folder() -> Path:
    """The folder, made or brought up to date: ``FETAL_MONAI_LABEL_APP``, else ``fetal_monai/label`` of user data."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    folder = Path(os.environ.get("FETAL_MONAI_LABEL_APP") or Path(data, "fetal_monai", "label"))
    main = folder / "main.py"
    if not main.is_file() or main.read_text(encoding="utf-8") != MAIN:
        atomic_write(main, MAIN)
    return folder
