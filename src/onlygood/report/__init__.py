"""Reports: one HTML page that opens anywhere, and a CSV file beside it.

A page stands alone: style, charts (SVG) and images (data URIs) are inside it, and nothing is loaded. It is written
with Jinja2 and matplotlib, which the extra `report` brings. There is no script, but for the page of an exploration and
the one to draw a region of interest on, which have one of their own inside them, and no CSV file.
"""

from onlygood.report.audit_report import write_audit_report
from onlygood.report.comparison_report import write_comparison_report
from onlygood.report.diff_report import write_diff_report
from onlygood.report.evaluation_report import write_evaluation_report
from onlygood.report.exploration_page import exploration_path, write_exploration
from onlygood.report.fit_report import write_fit_report
from onlygood.report.inspection_report import InspectedImage, write_inspection_report
from onlygood.report.pages import report_paths
from onlygood.report.roi_page import roi_page_path, write_roi_page

__all__ = [
    "InspectedImage",
    "exploration_path",
    "report_paths",
    "roi_page_path",
    "write_audit_report",
    "write_comparison_report",
    "write_diff_report",
    "write_evaluation_report",
    "write_exploration",
    "write_fit_report",
    "write_inspection_report",
    "write_roi_page",
]
