"""The Basic Application Level Confidentiality Profile (PS3.15 E.2) on headers, nested items included."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fetal_monai.scan.dicom import nested_datasets

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

__all__ = ["KEY_VARIABLE", "Deidentifier"]

KEY_VARIABLE = "FETAL_MONAI_DEIDENTIFY_KEY"
TABLE = "dicomfields_2026c"  # of dicom-anonymizer: PS3.15 table E.1-1 in its edition 2026c
STANDARD_UIDS = "1.2.840.10008."  # name no patient
DUMMY = {"DA": "19000101", "TM": "000000", "DT": "19000101000000"}  # where a date must not be empty
PROFILE = ("113100", "Basic Application Confidentiality Profile")
NOT_REVIEWED = "Words on the picture: found by a program, not reviewed"
CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")


class Deidentifier:
    """Takes the patient out of headers, the same patient and UIDs becoming the same pseudonyms.

    Args:
        key: what pseudonyms follow from. Who has it can link them to the patients, so keep it as you keep those; runs
            with one key agree with each other. A new one each time by default.

    Raises ValueError if dicom-anonymizer is missing.
    """

    def __init__(self, key: str | None = None) -> None:
        self._key = (key or secrets.token_hex(32)).encode()
        self._actions, self._ranges = _table()

    @classmethod
    def from_environment(cls) -> Deidentifier:
        """With the key in the environment variable `KEY_VARIABLE`, so that no command line or `run.json` shows it."""
        return cls(os.environ.get(KEY_VARIABLE) or None)

    def __call__(self, header: Dataset) -> Dataset:
        """A copy of a header, or of a whole dataset, without the patient."""
        import copy

        cleaned = copy.deepcopy(header)
        patient = self.patient(header)
        self._clean(cleaned)
        cleaned.PatientName, cleaned.PatientID = f"{patient}^", patient  # a name of one part ends so
        meta = getattr(cleaned, "file_meta", None)
        if meta:
            self._clean(meta)
            for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle"):
                if keyword in meta:
                    del meta[keyword]
        if getattr(cleaned, "preamble", None):
            cleaned.preamble = b"\0" * 128
        self._mark(cleaned)
        return cleaned

    def finish(self, made: Dataset) -> Dataset:
        """Take the dates out of an object that was made from a cleaned header, in place, and say so in it."""
        for dataset in nested_datasets(made):
            for element in list(dataset):
                if element.VR in DUMMY:
                    self._apply(dataset, element)
        self._mark(made)
        return made

    def uid(self, uid: str) -> str:
        """The pseudonym of a UID; those that DICOM itself defines stay."""
        if not uid or uid.startswith(STANDARD_UIDS):
            return uid
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', uid)[:16], version=4).int}"

    def patient(self, header: Dataset) -> str:
        """The pseudonym of a patient: that of the ID, else of name and birth date, else of the study."""
        known = str(header.get("PatientID") or "").strip()
        if not known:
            name, born = (str(header.get(word) or "") for word in ("PatientName", "PatientBirthDate"))
            known = f"{name}|{born}" if name else str(header.get("StudyInstanceUID"))
        return f"ANON-{self._digest('patient', known).hex()[:12].upper()}"

    def cleaned_pixels(self, dataset: Dataset) -> None:
        """Say in a dataset that its pixels were cleaned too, and that nobody has looked at them."""
        dataset.BurnedInAnnotation = "NO"
        dataset.DeidentificationMethod = [dataset.DeidentificationMethod, NOT_REVIEWED]
        dataset.DeidentificationMethodCodeSequence.append(_code(CLEAN_PIXELS))

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self._key, f"{kind}:{text}".encode(), hashlib.sha256).digest()

    def _clean(self, dataset: Dataset) -> None:
        for element in list(dataset):
            if element.tag.is_private:
                del dataset[element.tag]
            else:
                self._apply(dataset, element)

    def _apply(self, dataset: Dataset, element: DataElement) -> None:
        """What the table says of one element; what it does not name stays, and items are looked into."""
        action = self._action(element)
        if action == "delete" or (element.VR == "SQ" and action in ("empty", "delete_or_empty")):
            del dataset[element.tag]
        elif (
            element.VR == "SQ"
        ):  # replaced sequences too: their items are cleaned, and their UIDs stay linked
            for item in element.value:
                self._clean(item)
        elif element.VR == "UI" and action:
            several = not isinstance(element.value, str)
            element.value = list(map(self.uid, element.value)) if several else self.uid(element.value)
        elif action in ("empty", "delete_or_empty"):
            element.value = None
        elif action and element.VR in DUMMY:
            element.value = DUMMY[element.VR]
        elif action:
            from dicomanonymizer.simpledicomanonymizer import replace_element

            replace_element(element)

    def _action(self, element: DataElement) -> str:
        tag = element.tag
        if (tag.group, tag.element) in self._actions:
            return self._actions[tag.group, tag.element]
        for group, number, group_mask, number_mask in self._ranges:
            if (
                tag.group & group_mask == group & group_mask
                and tag.element & number_mask == number & number_mask
            ):
                return self._ranges[group, number, group_mask, number_mask]
        return ""

    def _mark(self, dataset: Dataset) -> None:
        from importlib.metadata import version

        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = (
            f"PS3.15 E.1-1 of dicom-anonymizer {version('dicom-anonymizer')}, fetal_monai"
        )
        dataset.DeidentificationMethodCodeSequence = [_code(PROFILE)]
        dataset.LongitudinalTemporalInformationModified = "REMOVED"


def _table() -> tuple[dict[tuple[int, int], str], dict[tuple[int, int, int, int], str]]:
    """The name of the action for each tag, and for each range of tags."""
    try:
        from dicomanonymizer.simpledicomanonymizer import initialize_actions
    except ImportError as error:
        raise ValueError('needs dicom-anonymizer: pip install "fetal_monai[dicom]"') from error
    rules: dict[Any, Callable[..., None]] = initialize_actions(TABLE)
    named = {tuple(tag): action.__name__ for tag, action in rules.items()}
    return (
        {(tag[0], tag[1]): name for tag, name in named.items() if len(tag) == 2},
        {(tag[0], tag[1], tag[2], tag[3]): name for tag, name in named.items() if len(tag) == 4},
    )


def _code(code: tuple[str, str]) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code[0], "DCM", code[1]
    return item
