"""Entry point of the dashboard: the look of all pages, and the way between them."""

from pathlib import Path

import streamlit as st

from dashboard import markup
from dashboard.pages import live

st.set_page_config(
    page_title="mmsent",
    page_icon=str(Path(__file__).with_name("icon.svg")),  # a file: emoji and named icons come from afar
    layout="wide",
)
st.html(markup.STILL)
st.navigation([st.Page(live.page, title="Live · mmsent", default=True)], position="hidden").run()
