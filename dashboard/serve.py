"""Streamlit, which answers only once what takes long is loaded: else the first visitor would wait for it."""

from streamlit.web.cli import main

import dashboard.charts  # noqa: F401  # altair, pandas and SQLAlchemy

if __name__ == "__main__":
    main(prog_name="streamlit")
