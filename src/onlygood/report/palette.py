"""The colours of pages and charts. Text and lines reach a contrast of 4.5 to 1 on both backgrounds, marks 3 to 1."""

PAGE = "#ffffff"
PANEL = "#f5f6f8"
INK = "#1b2430"
MUTED = "#556070"
RULE = "#d5dae1"
GOOD = "#1f5f99"
ANOMALOUS = "#a8400c"
CONFIRMED = "#1d6a3c"
CONTRADICTED = "#a01c1c"
# Of kinds of images, told apart also by their lightness; the second of those for other things beside them.
KINDS = (GOOD, "#d9600f", "#23804d", "#a8327e", "#0b8b99", "#8c3a2b", "#7359c4", "#747a12", "#d64b70", "#3b4a5a")
REFERENCES = ("#868f9b", "#998c74", "#7f9485", "#968799", "#6f7986", "#7f725b")
