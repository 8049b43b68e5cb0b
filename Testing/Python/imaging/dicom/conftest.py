"""A small digital patient, and a writer of DICOM in the encodings of the vendors."""

import hashlib
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.imaging.study import Modality, like, split_volumes
from SynthCBVLib.phantom import COMPACT, DigitalPatient
from SynthCBVLib.phantom.protocol import Acquisition

pydicom = pytest.importorskip("pydicom")

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
EXPLICIT = "1.2.840.10008.1.2.1"
VENDORS = {"siemens": "SIEMENS", "ge": "GE MEDICAL SYSTEMS", "philips": "Philips", "standard": "Somebody"}


def uid(*parts):
    """UID that depends on nothing but its parts."""
    return "2.25." + str(int(hashlib.sha256(repr(parts).encode()).hexdigest()[:30], 16))


def ds_text(value):
    return pydicom.valuerep.format_number_as_ds(float(value))


@dataclass
class Series:
    """What is to be written: integer volumes on one oblique grid, and what the header says of each."""

    volumes: list
    description: str
    number: int = 1
    b_values: list | None = None
    directions: list | None = None
    contexts: list | None = None
    image_type: tuple = ("ORIGINAL", "PRIMARY", "M", "NONE")
    slope: float | None = None
    intercept: float = 0.0
    scale_slope: float | None = None
    tags: dict = field(default_factory=dict)

    @property
    def uid(self):
        return uid(self.description, self.number)


class VendorWriter:
    """Writes `Series` as a vendor's scanner does, under file names that tell nothing of the order."""

    def __init__(self, folder, vendor="standard", enhanced=False, patient="P-01"):
        self.folder, self.vendor, self.enhanced, self.patient = folder, vendor, enhanced, patient
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, series, spoil=None):
        """Write a series; `spoil(dataset, volume, slice)` may change each file, or leave it out by False.

        Gives the paths by (volume, slice), by volume for enhanced files.
        """
        return (self._enhanced if self.enhanced else self._single)(series, spoil)

    # A file a slice ------------------------------------------------------------------------------------

    def _single(self, series, spoil):
        paths, n_slices = {}, series.volumes[0].GetSize()[2]
        for v, image in enumerate(series.volumes):
            array = sitk.GetArrayFromImage(image)
            for s in range(n_slices):
                ds = self._file(series, MR, (v, s), array[s : s + 1])
                ds.ImageOrientationPatient, ds.PixelSpacing = orientation(image), spacing(image)
                ds.ImagePositionPatient = position(image, s)
                ds.SpacingBetweenSlices = ds_text(image.GetSpacing()[2])
                # Siemens and GE count volume by volume, Philips slice by slice; GE from the top down.
                down = n_slices - 1 - s
                slow = {"philips": s * len(series.volumes) + v, "ge": v * n_slices + down}
                ds.InstanceNumber = 1 + slow.get(self.vendor, v * n_slices + s)
                if self.vendor == "siemens":
                    ds.AcquisitionNumber = v + 1
                self._describe(ds, series, v)
                if spoil is None or spoil(ds, v, s) is not False:
                    paths[v, s] = self._save(ds)
        return paths

    def _describe(self, ds, series, v):
        ds.ImageType = list(series.image_type)
        if series.slope is not None:
            ds.RescaleSlope, ds.RescaleIntercept = ds_text(series.slope), ds_text(series.intercept)
        if series.scale_slope is not None:
            block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            block.add_new(0x0E, "FL", series.scale_slope)
        if series.b_values is not None:
            direction = series.directions[v] if series.directions else None
            self._weight(ds, series.b_values[v], direction)
        if series.contexts is not None:
            word = {"control": "CONTROL", "label": "LABEL", "m0scan": "M0"}[series.contexts[v]]
            if self.vendor == "philips":
                block = ds.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
                block.add_new(0x29, "CS", "M_ZERO_SCAN" if word == "M0" else word)
            else:
                ds.ImageComments = f"{word} ({v})"

    def _weight(self, ds, b, direction):
        kind = "NONE" if b == 0 else "ISOTROPIC" if direction == "trace" else "DIRECTIONAL"
        vector = direction if isinstance(direction, tuple) and b else None
        if self.vendor == "siemens":
            block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
            block.add_new(0x0C, "IS", str(int(b)))
            block.add_new(0x0D, "CS", kind)
            if vector:
                block.add_new(0x0E, "FD", list(vector))
        elif self.vendor == "ge":
            block = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
            block.add_new(0x39, "IS", [str(int(b + 1e9)) if b else "0", "8", "0", "0"])
        elif self.vendor == "philips":
            block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
            block.add_new(0x03, "FL", float(b))
            block.add_new(0x04, "CS", {"NONE": "N", "ISOTROPIC": "I"}.get(kind, "O"))
            if vector:
                ds.DiffusionGradientOrientation = list(vector)
        else:
            ds.DiffusionBValue, ds.DiffusionDirectionality = float(b), kind
            if vector:
                ds.DiffusionGradientOrientation = list(vector)

    # A file a series, or a volume as Siemens has it ----------------------------------------------------

    def _enhanced(self, series, spoil):
        if self.vendor == "siemens":
            batches = [[v] for v in range(len(series.volumes))]
        else:
            batches = [list(range(len(series.volumes)))]
        return {batch[0]: path for batch in batches if (path := self._multi(series, batch, spoil))}

    def _multi(self, series, batch, spoil):
        image, Dataset = series.volumes[0], pydicom.Dataset
        n_slices = image.GetSize()[2]
        arrays = [sitk.GetArrayFromImage(series.volumes[v]) for v in batch]
        order = [(v, s) for s in range(n_slices) for v in range(len(batch))]
        if self.vendor != "philips":
            order = [(v, s) for v in range(len(batch)) for s in reversed(range(n_slices))]
        pixels = np.stack([arrays[v][s] for v, s in order])
        ds = self._file(series, ENHANCED_MR, batch, pixels)
        ds.NumberOfFrames, ds.InstanceNumber = len(order), batch[0] + 1
        ds.ImageType = list(series.image_type)
        shared = Dataset()
        shared.PixelMeasuresSequence = [Dataset()]
        shared.PixelMeasuresSequence[0].PixelSpacing = spacing(image)
        shared.PixelMeasuresSequence[0].SliceThickness = ds_text(image.GetSpacing()[2] - 1)
        shared.PlaneOrientationSequence = [Dataset()]
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = orientation(image)
        ds.SharedFunctionalGroupsSequence = [shared]
        ds.PerFrameFunctionalGroupsSequence = [self._frame(series, batch[v], s) for v, s in order]
        if spoil is not None and spoil(ds, batch[0], None) is False:
            return None
        return self._save(ds)

    def _frame(self, series, v, s):
        Dataset, group = pydicom.Dataset, pydicom.Dataset()
        for name in ("FrameContentSequence", "PlanePositionSequence", "MRImageFrameTypeSequence"):
            setattr(group, name, [Dataset()])
        group.FrameContentSequence[0].InStackPositionNumber = s + 1
        group.FrameContentSequence[0].TemporalPositionIndex = v + 1
        group.PlanePositionSequence[0].ImagePositionPatient = position(series.volumes[0], s)
        group.MRImageFrameTypeSequence[0].FrameType = list(series.image_type)
        if series.slope is not None:
            item = Dataset()
            item.RescaleSlope, item.RescaleIntercept = ds_text(series.slope), ds_text(series.intercept)
            group.PixelValueTransformationSequence = [item]
        if series.b_values is not None:
            item, b = Dataset(), series.b_values[v]
            direction = series.directions[v] if series.directions else None
            item.DiffusionDirectionality = (
                "NONE" if b == 0 else "ISOTROPIC" if direction == "trace" else "DIRECTIONAL"
            )
            if b or self.vendor != "siemens":  # newer Siemens leaves the b-value of b = 0 out
                item.DiffusionBValue = float(b)
            if isinstance(direction, tuple) and b:
                inner = Dataset()
                inner.DiffusionGradientOrientation = list(direction)
                item.DiffusionGradientDirectionSequence = [inner]
            group.MRDiffusionSequence = [item]
        if series.contexts is not None:
            item = Dataset()
            word = {"control": "CONTROL", "label": "LABEL", "m0scan": "M_ZERO_SCAN"}[series.contexts[v]]
            item.ASLContext, item.ASLPulseTrainDuration = word, 1800
            group.MRArterialSpinLabelingSequence = [item]
            modifier = Dataset()
            modifier.InversionTimes = [1500.0 + 20 * s]
            group.MRModifierSequence = [modifier]
        return group

    # Both ----------------------------------------------------------------------------------------------

    def _file(self, series, sop_class, name, pixels):
        ds = pydicom.Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid(series.uid, name)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(self.patient, "study"), series.uid
        ds.FrameOfReferenceUID = uid(self.patient, "frame")
        ds.PatientID, ds.PatientName, ds.Modality = self.patient, "Digital^Patient", "MR"
        ds.Manufacturer = VENDORS[self.vendor]
        ds.SeriesNumber, ds.SeriesDescription = series.number, series.description
        ds.Rows, ds.Columns, ds.SamplesPerPixel = *pixels.shape[1:], 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.PixelRepresentation = 16, int(pixels.dtype.kind == "i")
        ds.BitsStored = 16 if ds.PixelRepresentation else 12
        ds.HighBit = ds.BitsStored - 1
        ds.PixelData = pixels.astype("<i2" if ds.PixelRepresentation else "<u2").tobytes()
        for keyword, value in series.tags.items():
            setattr(ds, keyword, value)
        return ds

    def _save(self, ds):
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = getattr(ds, "_syntax", EXPLICIT)
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        ds.file_meta, ds.preamble = meta, b"\0" * 128
        name = hashlib.sha256(repr((ds.SOPInstanceUID, self.vendor)).encode()).hexdigest()[:12]
        path = self.folder / name[:1] / name  # in several folders, as archives export them
        path.parent.mkdir(exist_ok=True)
        while path.exists():
            path = path.with_name(path.name + "0")
        ds.save_as(path, enforce_file_format=True)
        return path


def orientation(image):
    axes = np.array(image.GetDirection()).reshape(3, 3)
    return [ds_text(x) for x in (*axes[:, 0], *axes[:, 1])]


def spacing(image):
    return [ds_text(image.GetSpacing()[1]), ds_text(image.GetSpacing()[0])]


def position(image, s):
    return [ds_text(x) for x in image.TransformIndexToPhysicalPoint((0, 0, s))]


def stored(image, kind=np.uint16, top=3000.0):
    """The integers that a scanner stores for an image, at most 12 bits."""
    array = sitk.GetArrayViewFromImage(image)
    return like(np.clip(np.round(array * (top / float(np.abs(array).max()))), -top, 4095).astype(kind), image)


@pytest.fixture(scope="session")
def patient():
    """Oblique images of a digital patient, as a scanner stores them."""
    grid = Acquisition(24, 9.3, 6, 5.0, 6.0)
    protocol = replace(
        COMPACT, anatomy_spacing=4.0, t2w=grid, dwi=grid, t1w=replace(grid, slices=8, distance=4.5), t1c=grid,
        flair=grid, asl=grid, dsc=grid, b_values=(0.0, 0.0, 50.0, 200.0, 800.0, 800.0, 1000.0),
    )  # fmt: skip
    digital = DigitalPatient(3100, "wildtype", protocol)
    study = digital.study([m for m in Modality if m is not Modality.CBF])
    dwi = study.images[Modality.DWI]
    top = float(sitk.GetArrayViewFromImage(dwi.image).max())
    volumes = [
        stored(v, top=3000 * float(sitk.GetArrayViewFromImage(v).max()) / top)
        for v in split_volumes(dwi.image)
    ]
    asl = digital.asl()
    return SimpleNamespace(
        b_values=list(dwi.b_values),
        dwi=volumes,
        t1w=stored(study.images[Modality.T1W], np.int16),
        t2w=stored(study.images[Modality.T2W]),
        flair=stored(study.images[Modality.FLAIR]),
        t1c=stored(study.images[Modality.T1C]),
        adc=stored(study.images[Modality.ADC]),
        rcbv=stored(study.images[Modality.RCBV]),
        asl={"control": stored(asl.control), "label": stored(asl.label, top=2980), "m0scan": stored(asl.m0)},
    )


@pytest.fixture(scope="session")
def make_series():
    return Series


@pytest.fixture(scope="session")
def make_writer():
    return VendorWriter


@pytest.fixture(scope="session")
def same_image():
    """Assert equal voxels and geometry within 1e-4 mm at every corner."""

    def check(image, expected):
        assert image.GetSize() == expected.GetSize()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.GetSize()])).reshape(3, -1).T
        for corner in corners.tolist():
            here, there = (i.TransformIndexToPhysicalPoint(corner) for i in (image, expected))
            np.testing.assert_allclose(here, there, atol=1e-4)

    return check
