"""The mmsent dashboard: Streamlit pages over the database."""
