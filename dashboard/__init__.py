"""The dashboard: `python -m dashboard` serves it, to this machine alone unless a setting says otherwise."""
