"""The quality of a health record file: rules on completeness, plausibility, timeliness, coding; a score with reasons.

Pure: a file goes in, an assessment comes out. Sections and intervals: 国家基本公共卫生服务规范（第三版）, WS/T 483.
"""

from profiles.quality.file import TYPES, File, Finding, Number
from profiles.quality.measure import MEASURE, measure
from profiles.quality.report import measure_report
from profiles.quality.rules import BY_ID, DIMENSIONS, RULES, Rule
from profiles.quality.score import BANDS, Assessment, Tally, assess, band_of

__all__ = [
    "BANDS",
    "BY_ID",
    "DIMENSIONS",
    "MEASURE",
    "RULES",
    "TYPES",
    "Assessment",
    "File",
    "Finding",
    "Number",
    "Rule",
    "Tally",
    "assess",
    "band_of",
    "measure",
    "measure_report",
]
