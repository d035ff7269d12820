"""MONAI Label's local store of images and labels, that keeps to its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.datastore.local import LocalDatastore

from fetal_monai.label.served import PICTURES, VOLUMES

__all__ = ["StudiesDatastore"]

IMAGES = (*VOLUMES, *PICTURES)  # longest first, so that .nii.gz is one ending
LABELS = (*IMAGES, ".json")


class StudiesDatastore(LocalDatastore):
    """A ``LocalDatastore`` of all files that bundles read, in which names are names and no paths.

    Args:
        studies: the folder; labels go to ``labels/<tag>/`` in it.
        auto_reload: watch the folder for files that are put there by hand.
        read_only: as for ``LocalDatastore``.
    """

    def __init__(self, studies: str, auto_reload: bool = True, read_only: bool = False) -> None:
        endings = [f"*{ending}" for ending in LABELS]
        super().__init__(studies, extensions=endings, auto_reload=auto_reload, read_only=read_only)

    def _list_files(self, path: str, patterns: Any) -> dict[str, str]:
        """Labels may be JSON, images not: the store's own table is one. Hidden files are left alone."""
        is_images = Path(path).resolve() == Path(self._datastore.image_path()).resolve()
        endings = IMAGES if is_images else LABELS
        found = super()._list_files(path, patterns)
        return {k: v for k, v in found.items() if v.lower().endswith(endings) and not v.startswith(".")}

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        _check_name(image_id, "image")
        _check_ending(image_filename, IMAGES)
        return str(super().add_image(image_id, image_filename, image_info))

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        _check_name(image_id, "image")
        _check_name(label_tag, "tag")
        _check_ending(label_filename, LABELS)
        if not self._datastore.objects.get(image_id):
            raise HTTPException(status_code=404, detail=f"there is no image {image_id!r}")
        return str(super().save_label(image_id, label_filename, label_tag, label_info))


def _check_name(name: str, what: str) -> None:
    if name and (Path(name).name != name or name.startswith(".") or "\\" in name or "\0" in name):
        raise HTTPException(status_code=400, detail=f"{what} is {name!r}; give a name, not a path")


def _check_ending(filename: str, endings: tuple[str, ...]) -> None:
    if not filename.lower().endswith(endings):
        raise HTTPException(
            status_code=400,
            detail=f"{''.join(Path(filename).suffixes) or 'no ending'}: give {', '.join(endings)}",
        )
