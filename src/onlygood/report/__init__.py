"""Reports: one HTML page that opens anywhere, and a CSV file beside it.

A page stands alone: style, charts (SVG) and pictures (data URIs) are inside it, there is no script, and nothing is
loaded. It is written with Jinja2 and matplotlib, which the extra `report` brings.
"""

from onlygood.report.evaluation_report import write_evaluation_report
from onlygood.report.fit_report import write_fit_report
from onlygood.report.inspection_report import InspectedPicture, write_inspection_report
from onlygood.report.pages import report_paths

__all__ = [
    "InspectedPicture",
    "report_paths",
    "write_evaluation_report",
    "write_fit_report",
    "write_inspection_report",
]
