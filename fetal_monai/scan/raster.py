"""PNG, JPEG, BMP and TIFF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.picture import Grid, Picture, check_size

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ORIENTATION", "read_raster", "turn_back", "turn_upright"]

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
COMMON_FORMATS = FORMATS[:3]  # Pillow knows them without importing all its plugins
ORIENTATION = 0x0112  # EXIF tag


def read_raster(path: Path) -> Picture:
    """Read a picture by its content, upright as EXIF says; its DPI are no spacing.

    Gray, 1-bit and 16-bit stay gray, all others become RGB; what is transparent becomes black. Raises
    ScanError if it is no such image, has several pages, is too small or large, or is damaged.
    """
    from PIL import Image, UnidentifiedImageError

    is_tiff = path.suffix.lower() in (".tif", ".tiff")
    try:
        try:
            image: Image.Image = Image.open(path, formats=FORMATS if is_tiff else COMMON_FORMATS)
        except UnidentifiedImageError:
            image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise ScanError(f"is not a PNG, JPEG, BMP or TIFF image, although named {path.suffix}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ScanError("is over 100 megapixels; reduce it or cut out the scan") from None
    with image:
        check_size(image.height, image.width)
        if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            raise ScanError("holds several pages; save each as a file of its own")
        try:
            image.load()
            orientation = image.getexif().get(ORIENTATION, 1) if image.format in ("JPEG", "MPO") else 1
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise ScanError(f"is damaged or truncated ({error}); copy it again from its source") from error
        pixels = np.array(_flatten(image))
        if orientation not in _UPRIGHT:
            return Picture(pixels)
        grid = Grid(shape=pixels.shape[:2], orientation=orientation)
        return Picture(turn_upright(pixels, orientation), grid=grid)


def turn_upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels (H, W) or (H, W, C) as their EXIF orientation asks."""
    swap, flip_rows, flip_columns = _UPRIGHT[orientation]
    pixels = pixels.swapaxes(0, 1) if swap else pixels
    return np.ascontiguousarray(pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])


def turn_back(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo `turn_upright`."""
    swap, flip_rows, flip_columns = _UPRIGHT[orientation]
    pixels = pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if swap else pixels)


def _flatten(image: Image.Image) -> Image.Image:
    from PIL import Image

    mode = image.mode
    if mode in ("L", "RGB", "I", "F") or mode.startswith("I;16"):
        return image
    if mode in ("LA", "RGBA", "PA") or (mode == "P" and "transparency" in image.info):
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image.convert("RGBA")).convert("L" if mode == "LA" else "RGB")
    return image.convert("L" if mode == "1" else "RGB")


# EXIF orientation -> (swap rows and columns, then flip rows, flip columns) that set the stored pixels upright
_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
