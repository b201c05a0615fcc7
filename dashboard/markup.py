"""HTML of our own. Only numbers and names of ours go into it; a stranger's words never do."""

from base64 import b64encode
from html import escape

from dashboard.freshness import Trouble
from dashboard.palette import ALERT, COLORS, RULE, TRACK
from mmsent.posts import Alert, Opinion

PICTURE_PX = 96
# While a refresh takes long, Streamlit pales what it is about to replace; a page that is watched keeps still.
STILL = '<style>[data-stale="true"] {opacity: 1 !important; transition: none !important}</style>'
WARNING = "background:light-dark(#fdf0d5,#3a2c10);border:1px solid light-dark(#e5b84b,#7a5c1a)"


def heading() -> str:
    """The name of the page."""
    light = "font-weight:400;opacity:.6"
    return f'<h1 style="font-size:1.7rem;margin:0;padding:0">mmsent <span style="{light}">live</span></h1>'


def strip(parts: list[str], trouble: Trouble | None) -> str:
    """One line, its first part the one that counts; with trouble a banner that says what to run."""
    first, *rest = (escape(part) for part in parts)
    spans = "".join(f'<span style="opacity:.72">{part}</span>' for part in rest)
    shape = "width:.55rem;height:.55rem;border-radius:50%"
    dot = f'<span style="{shape};background:{COLORS["negative" if trouble else "positive"]}"></span>'
    head = f'<span style="display:flex;gap:.5rem;align-items:center;font-weight:600">{dot}{first}</span>'
    style = "display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;align-items:center;font-size:.9rem"
    return f'<div style="{style};font-variant-numeric:tabular-nums">{head}{spans}</div>{_banner(trouble)}'


def _banner(trouble: Trouble | None) -> str:
    if trouble is None:
        return ""
    style = f"{WARNING};border-radius:.5rem;padding:.55rem .8rem;margin-top:.6rem;font-size:.9rem"
    code = "font-family:ui-monospace,monospace;font-weight:600"
    return (
        f'<div role="status" style="{style}"><span aria-hidden="true">▲ </span>{escape(trouble.text)} '
        f'Run <span style="{code}">{escape(trouble.command)}</span> in a terminal.</div>'
    )


def alert_facts(alert: Alert, age: str) -> str:
    """What kind of alert it is, how much it weighs, since when."""
    over = " · over" if alert.state == "recovered" else ""
    return f"{alert.kind} · severity {alert.severity} of 10 · {age}{over}"


def alert_title(alert: Alert) -> str:
    """What an alert says, with the mark that it has on the charts."""
    mark = f'<span aria-hidden="true" style="color:{ALERT}">◆ </span>'
    return f'<div style="font-weight:500;line-height:1.35">{mark}{escape(alert.title)}</div>'


def note(text: str) -> str:
    """Something said by the way."""
    return f'<div style="font-size:.82rem;line-height:1.4;opacity:.7">{escape(text)}</div>'


def picture(thumbnail: bytes | None, missing: str) -> str:
    """Our own JPEG, cropped to a square, or a box that says why there is none."""
    shape = f"width:{PICTURE_PX}px;height:{PICTURE_PX}px;border-radius:8px"
    if thumbnail is None:
        return (
            f'<div style="{shape};display:grid;place-items:center;text-align:center;padding:8px;'
            f'font-size:.75rem;line-height:1.3;background:{TRACK}">{escape(missing)}</div>'
        )
    data = b64encode(thumbnail).decode()
    style = f"{shape};object-fit:cover;display:block"
    return f'<img alt="Picture of the post" style="{style}" src="data:image/jpeg;base64,{data}">'


def opinion_bars(text: Opinion, image: Opinion) -> str:
    """Two bars that grow from one middle: negative to the left, positive to the right."""
    rows = "".join(_opinion_row(name, opinion) for name, opinion in (("Words", text), ("Picture", image)))
    return f'<div style="display:grid;gap:6px;font-size:.8rem;line-height:1.2">{rows}</div>'


def _opinion_row(name: str, opinion: Opinion) -> str:
    columns = "grid-template-columns:3.2rem minmax(0,1fr) 6.2rem"
    shares = ", ".join(f"{label} {getattr(opinion, label):.0%}" for label in COLORS)
    track = f"display:flex;height:10px;border-radius:5px;overflow:hidden;background:{TRACK}"
    return (
        f'<div style="display:grid;{columns};gap:8px;align-items:center">'
        f'<span style="opacity:.7">{name}</span>'
        f'<span role="img" aria-label="{name}: {shares}" style="{track}">'
        f"{_half(opinion.negative, COLORS['negative'], 'flex-end')}"
        f'<span style="width:2px;background:{RULE}"></span>'
        f"{_half(opinion.positive, COLORS['positive'], 'flex-start')}</span>"
        f'<span style="white-space:nowrap">{opinion.label} {getattr(opinion, opinion.label):.0%}</span></div>'
    )


def _half(share: float, color: str, side: str) -> str:
    bar = f'<span style="width:{share:.1%};background:{color}"></span>'
    return f'<span style="display:flex;flex:1;justify-content:{side}">{bar}</span>'
