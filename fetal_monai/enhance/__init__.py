"""Ultrasound pictures as a sonographer would set them: sector, burned-in marks, speckle, gain, contrast, depth ruler.

Arrays in, arrays out: gray values 0 to 255, (H, W), of a log-compressed B-mode picture.
"""

from fetal_monai.enhance.picture import STEPS, Enhanced, enhance
from fetal_monai.enhance.ruler import Ruler, read_ruler
from fetal_monai.enhance.sector import Sector, find_sector

__all__ = ["STEPS", "Enhanced", "Ruler", "Sector", "enhance", "find_sector", "read_ruler"]
