"""A page in the browser on which a photo speaks: `make app`, or `python -m pipeline.app`.

`inputs` receives what people give, `making` makes the videos, one at a time; neither knows of the page. `page` is that, with
its look in `page.css`, and its camera and microphone in `page.js`.
"""
