"""One HTML page, complete in itself: table, charts, contact sheets, and the generated clips playing with sound."""

import base64
from pathlib import Path

from jinja2 import Environment

LABELS = {
    "psnr": "PSNR ↑",
    "ssim": "SSIM ↑",
    "lmd": "LMD ↓",
    "lmd_iod": "LMD / IOD ↓",
    "mouth_correlation": "mouth corr. ↑",
    "mouth_lag": "mouth lag",
    "no_face": "no face",
}

MOTION_LABELS = {
    "lmd": "LMD (px) ↓",
    "lmd_iod": "LMD / IOD ↓",
    "velocity_iod": "velocity error / IOD ↓",
    "mouth_correlation": "mouth corr. ↑",
    "blink_rate": "blinks per s",
    "blink_duration": "blink (s)",
    "blink_interval": "between blinks (s)",
}

TEMPLATE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Talking heads</title>
<style>
 body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222 }
 table { border-collapse: collapse } td, th { padding: .25em .8em; text-align: right; border-bottom: 1px solid #ddd }
 td:first-child, th:first-child { text-align: left } small { color: #777 } img { max-width: 100% }
 .clips { display: grid; grid-template-columns: repeat({{ systems|length }}, 1fr); gap: .6em } video { width: 100% }
 figure { margin: 0 } figcaption { font-size: 12px; color: #555 }
 button { font: inherit; margin: .4em 0 }
</style>
<h1>Talking heads</h1>
<p>{{ preprocessing.clips }} clips of {{ preprocessing.subjects }} subjects, {{ preprocessing.rejected }} rejected,
{{ preprocessing.frames }} frames. Metrics on the split <b>{{ split }}</b>, mean over {{ n_clips }} clips; in brackets the
95 % bootstrap interval. <b>static</b> repeats the first frame: what a system must beat in LMD and mouth correlation.</p>
<table><tr><th>system{% for metric in labels %}<th>{{ labels[metric] }}{% endfor %}</tr>
{% for system, row in means.items() %}<tr><td>{{ system }}{% for metric in labels %}<td>
{%- if row[metric] is none %}–{% else %}{{ "%.3f"|format(row[metric]) }}{% endif %}
{%- if intervals[system][metric] %} <small>[{{ "%.3f, %.3f"|format(*intervals[system][metric]) }}]</small>{% endif %}
{% endfor %}</tr>{% endfor %}</table>
<p><small>{{ signature }}</small></p>
{% for title, image in charts.items() %}<h2>{{ title }}</h2><img alt="{{ title }}" src="{{ image }}">{% endfor %}
<h2>Landmarks that speech predicts</h2>
<p>Against those of the real clips, before any texture; <b>static</b> keeps the first frame's. Velocity error: how far the
mouth's points are from moving as they should, per frame. Blinks by one definition for all.</p>
<table><tr><th>system{% for label in motion_labels.values() %}<th>{{ label }}{% endfor %}</tr>
{% for system, row in motion.items() %}<tr><td>{{ system }}{% for metric in motion_labels %}<td>
{%- if row[metric] is none %}–{% else %}{{ "%.4f"|format(row[metric]) }}{% endif %}{% endfor %}</tr>{% endfor %}</table>
<h2>What is drawn anew, and where</h2>
<p>Every fifth frame; below it the colour map, and the map of change: white where a frame takes the colour map, black where it
keeps the photo. (Sinha's attention map is its negative.)</p>
{% for system, image in maps.items() %}<h3>{{ system }}</h3><img alt="maps of {{ system }}" src="{{ image }}">{% endfor %}
<h2>Clips</h2>
<p>Every system speaks with the clip's own sound.</p>
{% for clip, videos in clips.items() %}
<h3>{{ clip }} <button onclick="play(this)">play all</button></h3><div class="clips">
{% for system in systems %}<figure><video controls preload="metadata" src="{{ videos[system] }}"></video>
<figcaption>{{ system }}</figcaption></figure>{% endfor %}</div>
<img alt="contact sheet of {{ clip }}" src="{{ sheets[clip] }}">
{% endfor %}
<script>
 // All at once, one of them heard.
 function play(button) {
   button.parentElement.nextElementSibling.querySelectorAll("video").forEach((video, k) => {
     video.muted = k > 0; video.currentTime = 0; video.play();
   });
 }
</script></html>
"""


def data_uri(path: Path, kind: str) -> str:
    """A file as a `data:` address, so that the page needs nothing beside it."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def render_page(**content: object) -> str:
    """Fill the page. See TEMPLATE for what it needs; text is escaped."""
    environment = Environment(autoescape=True, trim_blocks=True)
    return environment.from_string(TEMPLATE).render(labels=LABELS, motion_labels=MOTION_LABELS, **content)
