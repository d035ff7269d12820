"""A tumour on one slice: areas instead of volumes, and nothing in mm where nobody knows how large a pixel is."""

from __future__ import annotations

import numpy as np
import pytest

from fetal_monai.measure.tumour import measure_tumour
from fetal_monai.measure.tumour_slice import AREA_MEASURES, on_slice

AFFINE = np.diag([-0.5, -2.0, 4.0, 1.0])


def labels() -> np.ndarray:
    """12 x 10 voxels of oedema, of which 6 x 4 are enhancing and 2 x 2 of these necrosis."""
    out = np.zeros((40, 30, 1), np.uint8)
    out[10:22, 10:20] = 2
    out[12:18, 12:16] = 4
    out[14:16, 13:15] = 1
    return out


def test_areas_and_diameters_but_no_volume():
    found = on_slice(measure_tumour(labels(), AFFINE), labels(), AFFINE)
    measures = found.measures
    assert [measures[name] for name in AREA_MEASURES] == [120.0, 24.0, 20.0]  # of 1 mm2
    assert all(np.isnan(value) for name, value in measures.items() if name.endswith("_ml"))
    assert measures["oedema_ratio"] == 96 / 120 and measures["necrosis_ratio"] == 4 / 24
    assert (
        measures["rano_diameter_mm"] == pytest.approx(np.hypot(8.0, 2.5)) and "rano_diameter" in found.lines
    )
    assert np.isnan(measures["longest_diameter_3d_mm"]) and np.isnan(found.lesions[0]["volume_ml"])


def test_nothing_in_mm_without_spacing():
    found = on_slice(measure_tumour(labels(), AFFINE), labels(), AFFINE, has_mm=False)
    told = {name for name, value in found.measures.items() if not np.isnan(value)}
    assert told == {"oedema_ratio", "necrosis_ratio", "n_lesions"}
    assert found.lines == {}
    known = {
        name for name, value in found.lesions[0].items() if isinstance(value, str) or not np.isnan(value)
    }
    assert known == {"lesion", "side"}


def test_lesions_have_places_but_no_volumes():
    lesion = on_slice(measure_tumour(labels(), AFFINE), labels(), AFFINE).lesions[0]
    unknown = {name for name, value in lesion.items() if not isinstance(value, str) and np.isnan(value)}
    assert {"volume_ml", "tumour_core_ml", "enhancing_ml"} <= unknown
    assert not unknown & {"centre_ras_x_mm", "centre_ras_y_mm", "centre_ras_z_mm"}


def test_labels_of_2023():
    shown = np.where(labels() == 4, 3, labels())
    found = on_slice(
        measure_tumour(shown, AFFINE, convention="brats2023"), shown, AFFINE, convention="brats2023"
    )
    assert found.measures["enhancing_mm2"] == 20.0


def test_no_tumour_has_no_area():
    nothing = np.zeros((40, 30, 1), np.uint8)
    found = on_slice(measure_tumour(nothing, AFFINE), nothing, AFFINE)
    assert found.flags == ["no_tumour"] and found.measures["whole_tumour_mm2"] == 0
    assert np.isnan(found.measures["whole_tumour_ml"])


def test_a_volume_is_refused():
    with pytest.raises(ValueError, match="one voxel along one axis"):
        on_slice(measure_tumour(np.zeros((4, 4, 4)), AFFINE), np.zeros((4, 4, 4)), AFFINE)
