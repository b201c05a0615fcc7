"""Colours: blue and vermilion stay apart for every kind of colour vision.

The hues are Okabe and Ito's (Color Universal Design, 2008), in a lightness that keeps 3:1 (WCAG 2.2, 1.4.11)
against the light and the dark page. Colour never stands alone: order, side, shape or words say the same.
"""

COLORS = {"negative": "#d4681c", "neutral": "#8a93a0", "positive": "#2f83c5"}  # also the order in stacks
ALERT = "#b5609a"
RULE = "#8a93a0"
TRACK = "rgba(138,147,160,.18)"
