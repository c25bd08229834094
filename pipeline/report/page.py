"""One HTML page, complete in itself: table, charts, contact sheets, and the generated clips playing with sound."""

import base64
from pathlib import Path

from jinja2 import Environment

LABELS = {
    "psnr": "PSNR ↑",
    "ssim": "SSIM ↑",
    "lmd": "LMD ↓",
    "lmd_iod": "LMD / IOD ↓",
    "nlmd": "NLMD ↓",
    "mouth_correlation": "mouth corr. ↑",
    "mouth_lag": "mouth lag",
    "identity": "identity ↑",
    "no_face": "no face",
    "au_f1": "AU F1 ↑",
    "au_accuracy": "AU accuracy ↑",
    "blink_rate": "blinks per s",
    "blink_duration": "blink (s)",
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

SILENCE_LABELS = {
    "silence_motion": "opening's deviation in silence (IOD) ↓",
    "silence_lmd": "LMD to the photo in silence (px) ↓",
    "speech_motion": "deviation in speech",
    "speech_lmd": "LMD to the photo in speech",
}

EMOTION_LABELS = {
    "accuracy": "accuracy ↑",
    "accuracy_own_emotion": "in the photo's own emotion",
    "accuracy_other_emotion": "in another",
}

TEMPLATE = """{% macro number(value, digits=3) -%}
{% if value is none %}–{% else %}{{ "%.*f"|format(digits, value) }}{% endif %}
{%- endmacro %}
{% macro metrics_table(means, intervals) -%}
<table><tr><th>system{% for metric in labels %}<th>{{ labels[metric] }}{% endfor %}</tr>
{% for system, row in means.items() %}<tr><td>{{ system }}{% for metric in labels %}<td>{{ number(row[metric]) }}
{%- if intervals[system][metric] %} <small>[{{ "%.3f, %.3f"|format(*intervals[system][metric]) }}]</small>{% endif %}
{% endfor %}</tr>{% endfor %}</table>
{%- endmacro -%}
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Talking heads</title>
<style>
 body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222 }
 table { border-collapse: collapse; display: block; overflow-x: auto }
 td, th { padding: .25em .8em; text-align: right; border-bottom: 1px solid #ddd }
 td:first-child, th:first-child { text-align: left } small { color: #777 } img { max-width: 100% }
 .clips { display: grid; grid-template-columns: repeat({{ systems|length }}, 1fr); gap: .6em } video { width: 100% }
 figure { margin: 0 } figcaption { font-size: 12px; color: #555 }
 button { font: inherit; margin: .4em 0 }
</style>
<h1>Talking heads</h1>
<p>{{ preprocessing.clips }} clips of {{ preprocessing.subjects }} subjects, {{ preprocessing.rejected }} rejected,
{{ preprocessing.frames }} frames. Metrics on the split <b>{{ split }}</b>, mean over {{ n_clips }} clips; in brackets the
95 % bootstrap interval. Each system is compared with the truth of the faces that it sees, at its own size. <b>static</b>
repeats the first frame: what a system must beat in LMD and mouth correlation.</p>
{{ metrics_table(means, intervals) }}
<p><small>{{ signature }}{% for system, origin in perceptual.items() if origin %} · perceptual loss of {{ system }}:
{{ origin.weights }} weights of VGG-19 ({{ origin.detail }}){% endfor %}</small></p>
<h2>All at one size</h2>
{% if common.means == means %}<p>All frames are of {{ common.size }} px, the common size: there the figures are the same.</p>
{% else %}<p>The frames of every system, and the truth that it is compared with, brought to {{ common.size }} px with their
landmarks: PSNR, SSIM and LMD are of images of one size. How much of a crop a face fills, its transform still decides.</p>
{{ metrics_table(common.means, common.intervals) }}
{% endif %}
{% for title, image in charts.items() %}<h2>{{ title }}</h2><img alt="{{ title }}" src="{{ image }}">{% endfor %}
<h2>Landmarks that speech predicts</h2>
<p>Against those of the real clips, before any texture; <b>static</b> keeps the first frame's. Velocity error: how far the
mouth's points are from moving as they should, per frame. Blinks by one definition for all.</p>
<table><tr><th>system{% for label in motion_labels.values() %}<th>{{ label }}{% endfor %}</tr>
{% for system, row in motion.items() %}<tr><td>{{ system }}
{% for metric in motion_labels %}<td>{{ number(row[metric], 4) }}{% endfor %}</tr>{% endfor %}</table>
<h2>Action units</h2>
<p>F1 of each and, in brackets, accuracy, by the built-in estimator on both sides; a dash where the real clips never show
it.</p>
<table><tr><th>system{% for au in (action_units.values()|first).f1 %}<th>{{ au }}{% endfor %}</tr>
{% for system, row in action_units.items() %}<tr><td>{{ system }}
{% for au, value in row.f1.items() %}<td>{{ number(value) }}
{%- if value is not none %} <small>({{ number(row.accuracy[au]) }})</small>{% endif %}{% endfor %}</tr>{% endfor %}</table>
<p>How well the two networks that Chen S. trains beforehand recognise them in real clips (Table 4): F1 and, in brackets,
accuracy. A dash where one never occurs.</p>
<table><tr><th>network<th>clips{% for au in recognised_units %}<th>{{ au }}{% endfor %}<th>mean</tr>
{% for network, splits in recognition.items() %}{% for split, row in splits.items() %}<tr><td>{{ network }}<td>{{ split }}
{% for au in recognised_units %}<td>
{%- if au in row %}{{ number(row[au].f1) }} <small>({{ number(row[au].accuracy) }})</small>{% else %}–{% endif %}
{% endfor %}<td>{{ number(row.mean_f1) }} <small>({{ number(row.mean_accuracy) }})</small></tr>
{% endfor %}{% endfor %}</table>
{% if silence %}<h2>Silence</h2>
<p>Two photos of each subject, the mouth the most closed and the most open, while nobody speaks: it should keep still, as it is
in the photo. Beside it what the same photos do in speech.</p>
<table><tr><th>system{% for label in silence_labels.values() %}<th>{{ label }}{% endfor %}</tr>
{% for system, row in silence.items() %}<tr><td>{{ system }}
{% for metric in silence_labels %}<td>{{ number(row[metric], 4) }}{% endfor %}</tr>{% endfor %}</table>
{% for clip, image in silence_sheets.items() %}<h3>{{ clip }}</h3>
<img alt="{{ clip }} in silence" src="{{ image }}">{% endfor %}
{% endif %}
{% if emotions %}<h2>Emotions</h2>
<p>As a classifier sees them that was trained on real clips only. <b>ground_truth</b> is its ceiling; chance is 0.167. Systems
that no emotion conditions are judged by the photo's.</p>
<table><tr><th>system{% for label in emotion_labels.values() %}<th>{{ label }}{% endfor %}
{% for emotion in (emotions.values()|first).recall %}<th>{{ emotion }}{% endfor %}</tr>
{% for system, row in emotions.items() %}<tr><td>{{ system }}
{% for metric in emotion_labels %}<td>{{ number(row[metric]) }}{% endfor %}
{% for value in row.recall.values() %}<td>{{ number(value) }}{% endfor %}</tr>{% endfor %}</table>
{% for title, image in emotion_pictures.items() %}<h3>{{ title }}</h3><img alt="{{ title }}" src="{{ image }}">{% endfor %}
{% endif %}
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
    labels = {
        "labels": LABELS,
        "motion_labels": MOTION_LABELS,
        "silence_labels": SILENCE_LABELS,
        "emotion_labels": EMOTION_LABELS,
    }
    return environment.from_string(TEMPLATE).render(**labels, **content)
