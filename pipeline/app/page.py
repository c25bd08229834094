"""The page: each visit has a folder of its own, which goes when the visit ends, and waits in line with the others."""

import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path

from nicegui import app, events, run, ui
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from pipeline.app import inputs
from pipeline.app.inputs import LONGEST_S, MEGABYTES, Choice, Photo, Speech, plain
from pipeline.app.making import Made, Stopped, Task, Wish, before, enqueue, stop_all
from pipeline.demo import example
from pipeline.errors import OUT_OF_SPACE, UserError
from pipeline.refusal import People

HERE = Path(__file__).parent
EMOTIONS = {"NEU": "neutral", "HAP": "happy", "SAD": "sad", "ANG": "angry", "DIS": "disgusted", "FEA": "afraid"}
LINGERS_S = 30  # how long a visit waits for its browser to come back
MINUTES = LONGEST_S // 60


class Visit:
    """One open page: what was given, what is being made, and the elements that change."""

    def __init__(self, folder: Path, refused: People | None):
        self.folder, self.refused = folder, refused
        self.photo: Photo | None = None
        self.speech: Speech | None = None
        self.driver: Path | None = None
        self.task: Task | None = None
        self.work: Path | None = None  # where the last video was made, or is
        self.choices: dict[str, Choice] = {choice.name: choice for choice in inputs.choices()}

    def build(self) -> None:
        with ui.element("main"):
            with ui.element("header"):
                ui.html("<h1>A photo that speaks</h1>", sanitize=False)
                quiet(
                    "Give one photo of a face, and somebody's speech: the face says it. Everything happens on this computer. "
                    "What you give is deleted when you close the page."
                )
            with ui.element("div").classes("pair"):
                self.build_photo()
                self.build_speech()
                self.driver_sheet = self.build_driver()
            self.build_choices()
            self.error = ui.label().classes("unhappy").props("role=alert")
            self.error.visible = False
            self.build_progress()
            self.result = ui.element("section").classes("sheet").props('aria-label="The video"')
            self.result.visible = False
            quiet(
                "Make talking heads only of people who agreed to it. Every video says, in its corner and in the file, that it "
                "is synthetic."
            )
        ui.on("unhappy", lambda event: self.unhappy(f"The camera or microphone cannot be used: {event.args}"))
        self.timer = ui.timer(0.2, self.tick, active=False)
        self.choose()

    def build_photo(self) -> None:
        with sheet("Photo", f"A frontal face, 80 pixels wide or more. Up to {MEGABYTES['photo']} MB.") as area:
            self.picture = ui.element("div").style("display: contents")
            upload = self.uploader("photo", "image/*,.heic,.heif", area, self.take_photo)
            with ui.element("div").classes("buttons"):
                js_button("Choose a photo", f"() => talkingHead.pick({upload.id})")
                js_button("Camera", f"() => talkingHead.camera({upload.id})")
                self.example_button("photo", "portrait.png", self.take_photo)
            with ui.element("div") as self.which:
                quiet("Several faces were found. Which one speaks?")
                self.face = ui.radio({1: "1"}, value=1).props("inline")
            self.which.visible = False

    def build_speech(self) -> None:
        with sheet("Speech", f"Any file with sound. Up to {MINUTES} minutes and {MEGABYTES['speech']} MB.") as area:
            self.player = ui.element("div").style("display: contents")
            upload = self.uploader("speech", "audio/*,video/*", area, self.take_speech)
            with ui.element("div").classes("buttons"):
                js_button("Choose a file", f"() => talkingHead.pick({upload.id})")
                record = f"(event) => talkingHead.record({upload.id}, event.currentTarget, {LONGEST_S})"
                js_button("Microphone", record)
                self.example_button("speech", "speech.wav", self.take_speech)

    def build_driver(self) -> ui.element:
        said = (
            f"Somebody whose facial motion is followed. Up to {MINUTES} minutes and {MEGABYTES['driver']} MB. Its own sound is "
            "heard where you give no speech."
        )
        with sheet("Driving video", said) as area:
            self.driver_name = quiet("")
            upload = self.uploader("driver", "video/*", area, self.take_driver)
            with ui.element("div").classes("buttons"):
                js_button("Choose a video", f"() => talkingHead.pick({upload.id})")
        return area

    def build_choices(self) -> None:
        with ui.element("section").classes("sheet").props('aria-label="How"'):
            labels = {name: choice.label for name, choice in self.choices.items()}
            with ui.element("div").classes("pair items-center"):
                self.system = ui.select(labels, label="System", value=next(iter(labels)), on_change=self.choose)
                self.emotion = ui.select(EMOTIONS, label="Emotion", value="NEU")
                self.crop = ui.radio({False: "The whole photo", True: "The face alone"}, value=False).props("inline")
            self.about = quiet("")
            with ui.element("div").classes("buttons"):
                self.speak = ui.button("Let it speak", on_click=self.start).props("no-caps unelevated size=lg")
                self.missing = quiet("")

    def build_progress(self) -> None:
        with ui.element("section").classes("sheet").props('aria-label="Progress"') as self.progress:
            self.bar = ui.linear_progress(value=0, show_value=False).props('rounded size=10px aria-label="Progress"')
            with ui.element("div").classes("buttons"):
                self.state = quiet("").props("aria-live=polite").classes("grow")
                ui.button("Stop", on_click=self.stop).props("flat no-caps dense")
        self.progress.visible = False

    def uploader(self, kind: str, accept: str, area: ui.element, take: Callable[[Path], Awaitable]) -> ui.upload:
        """An uploader that is not seen; files also come by being dropped on `area`."""

        async def received(event: events.UploadEventArguments) -> None:
            upload.reset()
            with self.in_one_line():
                inputs.check_size(kind, event.file.name, event.file.size())
                path = inputs.place_for(self.folder, kind, event.file.name)
                await event.file.save(path)
                await take(path)

        def rejected() -> None:
            self.unhappy(f"That file is not taken: at most {MEGABYTES[kind]} MB, and of the kind {accept}")

        upload = ui.upload(
            auto_upload=True, max_file_size=MEGABYTES[kind] * 10**6, on_upload=received, on_rejected=rejected
        )
        upload.props(f'accept="{accept}" aria-hidden=true').classes("upload")
        over = "event.preventDefault(); event.currentTarget.classList"
        area.on("dragover", js_handler=f"(event) => {{ {over}.add('over') }}")
        area.on("dragleave", js_handler=f"(event) => {{ {over}.remove('over') }}")
        give = f"talkingHead.give({upload.id}, event.dataTransfer.files)"
        area.on("drop", js_handler=f"(event) => {{ {over}.remove('over'); {give} }}")
        return upload

    def example_button(self, kind: str, name: str, take: Callable[[Path], Awaitable]) -> None:
        async def received() -> None:
            with self.in_one_line():
                path = inputs.place_for(self.folder, kind, name)
                shutil.copy(example.OUT / name, path)
                await take(path)

        ui.button("Example", on_click=received).props("flat no-caps")

    async def take_photo(self, path: Path) -> None:
        self.photo = None
        self.picture.clear()
        self.which.visible = False
        self.choose()
        self.photo = await run.io_bound(inputs.receive_photo, path)
        with self.picture:
            ui.element("img").props(f'src="{self.address(self.photo.preview)}" alt="Your photo"')
        self.which.visible = self.photo.n_faces > 1
        self.face.set_options({n: str(n) for n in range(1, self.photo.n_faces + 1)}, value=self.photo.largest)
        self.choose()

    async def take_speech(self, path: Path) -> None:
        self.speech = None
        self.player.clear()
        self.choose()
        self.speech = await run.io_bound(inputs.receive_speech, path)
        with self.player:
            ui.audio(self.address(self.speech.path)).props('aria-label="Your speech"')
            quiet(f"{self.speech.path.stem}, {self.speech.seconds:.1f} seconds")
        self.choose()

    async def take_driver(self, path: Path) -> None:
        self.driver = None
        self.choose()
        self.driver = await run.io_bound(inputs.receive_driver, path)
        self.driver_name.text = path.name
        self.choose()

    def choose(self) -> None:
        """Show what the chosen system needs, and what is missing still."""
        choice = self.choices[self.system.value]
        self.about.text = choice.about
        self.emotion.visible = "emotion" in choice.needs
        follows = "landmarks" in choice.needs
        self.driver_sheet.visible = follows
        heard = self.speech or (follows and self.driver)
        lacks = {
            "a photo": not self.photo,
            "speech": not heard,
            "a driving video": follows and not self.driver,
            "a system that is trained": not choice.trained,
        }
        missing = [what for what, true in lacks.items() if true]
        self.missing.text = f"Needs {' and '.join(missing)}." if missing else ""
        self.speak.set_enabled(not missing and not self.task)

    def start(self) -> None:
        choice = self.choices[self.system.value]
        self.error.visible = self.result.visible = False
        if self.work:
            shutil.rmtree(self.work, ignore_errors=True)
        self.work = Path(tempfile.mkdtemp(dir=self.folder))
        follows = "landmarks" in choice.needs
        wish = Wish(
            choice.name,
            self.kept("photo", self.photo.path),
            self.kept("speech", self.speech.path) if self.speech else None,
            self.kept("driver", self.driver) if follows else None,
            self.face.value,
            self.emotion.value if "emotion" in choice.needs else None,
            self.crop.value,
            self.refused,
        )
        self.task = enqueue(wish, self.work)
        self.bar.value, self.progress.visible = 0, True
        self.timer.activate()
        self.tick()
        self.choose()

    def kept(self, kind: str, path: Path) -> Path:
        """A file that stays while the video is made, whatever is uploaded meanwhile."""
        place = inputs.place_for(self.work, kind, path.name)
        os.link(path, place)
        return place

    def tick(self) -> None:
        """Show how far it is; and in the end, the video or why there is none."""
        task = self.task
        if task is None:
            return
        if not task.future.done():
            self.state.text = said_of(task)
            self.bar.value = task.done / task.total if task.total else 0
            return
        self.task = None
        self.timer.deactivate()
        self.progress.visible = False
        self.choose()
        with self.in_one_line(), suppress(Stopped, CancelledError):
            self.show(task.future.result())

    def show(self, made: Made) -> None:
        self.result.clear()
        with self.result:
            video = self.address(made.video)
            ui.video(video).props('aria-label="The video" playsinline')
            with ui.element("div").classes("buttons"):
                ui.link("Download", video).classes("download").props("download=talk.mp4")
            for note in made.notes:
                quiet(plain(note, self.folder))
            with ui.expansion("What the network sees").props('dense header-class="q-px-none"').classes("w-full"):
                quiet(
                    "The face as the network has it, in the first seconds: the landmarks that it goes by; its colours, which "
                    "count only where it draws anew; where that is, the whiter the more; and what comes of it."
                    if made.composed
                    else "The face as the network has it, in the first seconds: what it goes by, and what it draws."
                )
                ui.video(self.address(made.seen)).props('loop muted playsinline aria-label="What the network sees"')
        self.result.visible = True
        into_view(self.result)

    def stop(self) -> None:
        if self.task:
            self.task.stop()

    @contextmanager
    def in_one_line(self) -> Iterator[None]:
        """Show what goes wrong as one line on the page."""
        self.error.visible = False
        try:
            yield
        except UserError as error:
            self.unhappy(str(error))
        except OSError as error:
            self.unhappy(OUT_OF_SPACE.get(error.errno, str(error)))
        except Exception:
            logging.exception("the page")
            self.unhappy("This program failed at that; its terminal says more.")

    def unhappy(self, message: str) -> None:
        self.error.text = plain(message, self.folder)
        self.error.visible = True
        into_view(self.error)

    def address(self, path: Path) -> str:
        """Where the browser finds a file of this visit. Nobody else knows the folder's name."""
        return f"/files/{path.relative_to(self.folder.parent)}?{path.stat().st_mtime_ns}"

    def leave(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def said_of(task: Task) -> str:
    """How far a task is, in words."""
    if ahead := before(task):
        return f"Waiting: {ahead} before you."
    if not task.total:
        return "Listening, and looking at the face …"
    left = task.seconds_left
    if task.done == task.total:
        return "Nearly there …"
    about = "" if left is None else f", about {left:.0f} s left" if left < 90 else f", about {left / 60:.0f} min left"
    return f"Frame {task.done} of {task.total}{about}"


def into_view(element: ui.element) -> None:
    ui.run_javascript(f"getHtmlElement({element.id}).scrollIntoView({{block: 'nearest', behavior: 'smooth'}})")


def quiet(text: str) -> ui.label:
    return ui.label(text).classes("quiet")


def sheet(title: str, said: str) -> ui.element:
    area = ui.element("section").classes("sheet").props(f'aria-label="{title}"')
    with area:
        ui.html(f"<h2>{title}</h2>", sanitize=False)
        quiet(said)
    return area


def js_button(text: str, handler: str) -> ui.button:
    """A button whose work the browser does: it opens files, cameras and microphones only at once on a click."""
    return ui.button(text).props("outline no-caps").on("click", js_handler=handler)


async def limited(request: Request, answer: Callable):
    """Refuse what is larger than any file that is taken before it is read."""
    if int(request.headers.get("content-length") or 0) > (max(MEGABYTES.values()) + 1) * 10**6:
        return PlainTextResponse("too large", status_code=413)
    return await answer(request)


def serve(host: str, port: int, opened: bool, refused: People | None) -> None:
    """Serve the page until Ctrl-C; every file of every visit is gone then. refused: who must not be animated."""
    visits = Path(tempfile.mkdtemp(prefix="talking-head-"))

    @ui.page("/")
    def index() -> None:
        # Files have addresses: those of one visit must not be guessed by another.
        folder = visits / secrets.token_urlsafe(24)
        folder.mkdir()
        visit = Visit(folder, refused)
        ui.context.client.on_delete(visit.leave)
        ui.colors(primary="#0d5c63")
        ui.add_css(HERE / "page.css")
        ui.add_head_html(f"<script>{(HERE / 'page.js').read_text()}</script>")
        visit.build()

    app.add_media_files("/files", visits)
    # No other site may reach the page through a name of its own that leads to this machine.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[host, "localhost"])
    app.middleware("http")(limited)
    app.on_startup(lambda: threading.Thread(target=inputs.warm, daemon=True).start())
    app.on_shutdown(stop_all)
    app.on_shutdown(lambda: shutil.rmtree(visits, ignore_errors=True))
    app.on_startup(lambda: print(f"http://{host}:{port}   (Ctrl-C ends it)", flush=True))
    with suppress(KeyboardInterrupt):
        ui.run(
            host=host,
            port=port,
            show=opened,
            title="A photo that speaks",
            favicon="💬",
            reload=False,
            dark=False,
            reconnect_timeout=LINGERS_S,
            show_welcome_message=False,
            uvicorn_logging_level="warning",
        )
