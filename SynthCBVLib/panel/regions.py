"""The Regions section: drawn regions and maps in, a table of T/WM ratios out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

if TYPE_CHECKING:
    import slicer


class RegionsSection:
    """Shows the ratio table and says what is missing.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.ui.ratioTable.setVisible(False)
        self.ui.regionsStatusLabel.setText("")

    def update(self, parameters: Any) -> None:
        """Bring the section up to date with the parameter node."""
        self.ui.ratioButton.setEnabled(parameters.regions is not None and bool(self.maps(parameters)))
        table = parameters.ratioTable
        self.ui.ratioTable.setMRMLTableNode(table)
        self.ui.ratioTable.setVisible(table is not None)

    @staticmethod
    def maps(parameters: Any) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """Give the chosen maps by the names that their rows get."""
        rows = {
            _("Synthetic rCBV"): parameters.syntheticMap,
            _("Real rCBV"): parameters.realMap,
            _("Other map"): parameters.otherMap,
        }
        return {name: node for name, node in rows.items() if node is not None}

    def finished(self, table: slicer.vtkMRMLTableNode) -> None:
        """Say that the table is there."""
        self.ui.regionsStatusLabel.setText(
            _('The table "{name}" is in the scene.').format(name=table.GetName())
        )

    def failed(self, error: Exception) -> None:
        """Say why there is no table."""
        logging.error("SynthCBV: %s", error)
        self.ui.regionsStatusLabel.setText(str(error))
