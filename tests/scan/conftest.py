"""Small scans that the tests write themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scan_files import CENTIMETRE_REGION, speckle

from fetal_monai.scan import Scan, find_scans, read_scan


@pytest.fixture
def gray() -> NDArray[np.uint8]:
    """Speckle of 120x160 in a sector-like disc, with values up to 200."""
    return speckle(120, 160)


@pytest.fixture
def region() -> Callable[..., dict[str, Any]]:
    """A 2D region, 0.3 mm by 0.2 mm, with changes."""
    return lambda **changes: {**CENTIMETRE_REGION, **changes}


@pytest.fixture
def read() -> Callable[..., Scan]:
    """Read the one scan of a file."""

    def read_one(path: Path, **options: Any) -> Scan:
        (source,) = find_scans(path)[0]
        return read_scan(source, **options)

    return read_one
