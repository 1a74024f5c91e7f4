"""The app: a page where anyone uploads a clip and sees what comes next; only on this machine by default."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nextframe.checkpoint import resolve_model
from nextframe.core.errors import NextframeError, UserError
from nextframe.web import page
from nextframe.web.board import leaderboard
from nextframe.web.examples import GREY
from nextframe.web.guard.checks import Form, Names
from nextframe.web.guard.gate import Gate
from nextframe.web.guard.store import Store
from nextframe.web.guide import help_text
from nextframe.web.limits import MIB, WebLimits
from nextframe.web.work.job import run_job
from nextframe.web.work.plan import Job
from nextframe.web.work.worker import Workers

LOG = logging.getLogger(__name__)
EVERY, SLIDING = "all, each from the predictions before it", "one sliding frame, each from the true frames before it"
FRAMES, SIDE = 10, 256  # to predict, and their longest side, unless a visitor wants others
NONE = "none"  # in place of a second model
EMPTY = '<div class="nf-empty">Choose a clip, press <b>Predict</b>, and the result appears here.</div>'
Answer = tuple[str, str]


@dataclass
class Backend:
    """What the page's functions work with."""

    models: dict[str, str]  # name that the visitor sees: what a worker loads
    besides: dict[str, str]  # the same of what may be the second model
    examples: dict[str, Path]
    limits: WebLimits
    store: Store
    workers: Workers
    rows: Sequence[Path] = field(default_factory=list)
    opening: Answer | None = None  # what the page shows before anyone has asked

    async def predict(
        self, files: list[str] | None, example: str | None, model: str, beside: str, frames: float, split: float,
        how: str, samples: float, side: float,
    ) -> AsyncGenerator[Answer, None]:  # fmt: skip
        """Yield (progress, results) as HTML until the prediction is done; an error is a line on the page."""
        yield page.progress("waiting"), EMPTY
        try:
            folder = self.store.new_result()
            clip, name = self._clip(files, example, folder)
            job = self._job(clip, name, folder, model, beside).model_copy(
                update={
                    "frames": _within(frames, self.limits.horizon),
                    "split": min(1.0, max(0.0, float(split))),
                    "one_step": how == SLIDING,
                    "samples": _within(samples, self.limits.samples),
                    "side": max(16, _within(side, self.limits.side)),
                }
            )
            async with self.workers.borrow() as worker:
                async for message in worker.run(job):
                    if "done" in message:
                        yield page.said("Done."), page.results(folder.name, message["done"])
                    else:
                        yield page.progress(message["stage"]), EMPTY
        except NextframeError as error:
            yield page.said(str(error), "error"), EMPTY

    def open_with_example(self) -> None:
        """Predict an example by the first model, in this process: the page opens on it."""
        model, example = next(iter(self.models)), self.usual_example
        folder, clip = self.store.new_result(keep=True), self.examples[example]
        job = self._job(clip, clip.name, folder, model, self.usual_beside)
        try:
            nets = {name: resolve_model(spec) for name, spec in job.models.items()}
            found = run_job(job, nets, lambda stage: None)
        except UserError as error:
            LOG.info("the page opens without an example: %s", error)
        else:
            said = f"An example: {example}. Choose a clip of yours and press Predict."
            self.opening = page.said(said), page.results(folder.name, found)

    @property
    def usual_example(self) -> str:
        """The example that the page opens on: the first, or a grey one if the first model takes no other frames."""
        grey = resolve_model(next(iter(self.models.values()))).capabilities.channels == 1
        return GREY if grey and GREY in self.examples else next(iter(self.examples))

    @property
    def usual_beside(self) -> str:
        """The second model unless a visitor wants another: the strongest that needs no training."""
        first = next(iter(self.models))
        return next((name for name in reversed(self.besides) if name != first), NONE)

    def _job(self, clip: Path, name: str, folder: Path, model: str, beside: str) -> Job:
        """Return a job with the usual numbers; two models that are one are asked once."""
        second = "" if beside in (NONE, model) else beside
        return Job(
            clip=str(clip),
            name=name,
            model=_known(self.models, model),
            model_name=model,
            beside=_known(self.besides, second) if second else "",
            beside_name=second,
            frames=min(FRAMES, self.limits.horizon),
            side=min(SIDE, self.limits.side),
            folder=str(folder),
            limits=self.limits,
        )

    def _clip(self, files: list[str] | None, example: str | None, folder: Path) -> tuple[Path, str]:
        if files:
            return self.store.clip(files, folder)
        if example in self.examples:
            return self.examples[example], self.examples[example].name
        raise UserError("choose a clip first: upload one, or pick an example")


def _known(models: Mapping[str, str], name: str) -> str:
    """Return what to load for the model that a visitor chose."""
    if name not in models:
        raise UserError("this model is not available here: choose one from the list")
    return models[name]


def _within(value: float, most: int) -> int:
    """Return a visitor's number as an integer from 1 to `most`."""
    return min(most, max(1, int(value)))


def build_page(backend: Backend) -> Any:
    """Return the Gradio page."""
    import gradio as gr

    with gr.Blocks(title="nextframe", analytics_enabled=False) as blocks:
        gr.HTML(page.TITLE, elem_classes="nf-title")
        with gr.Tabs():
            with gr.Tab("Predict"):
                _predict_tab(backend)
            with gr.Tab("Leaderboard"):
                gr.HTML(leaderboard(backend.rows))
            with gr.Tab("Help"):
                gr.Markdown(help_text(backend.besides), elem_id="help")
    blocks.queue(max_size=backend.limits.queue, default_concurrency_limit=backend.limits.workers, api_open=False)
    return blocks


def _predict_tab(backend: Backend) -> None:
    import gradio as gr

    with gr.Row():
        with gr.Column(scale=3, min_width=290):
            inputs = _inputs(backend)
            with gr.Row():
                start = gr.Button("Predict", variant="primary", elem_id="predict")
                stop = gr.Button("Cancel", elem_id="cancel")
        with gr.Column(scale=11, min_width=320):
            said, found = backend.opening or ("", EMPTY)
            status = gr.HTML(said, elem_id="status")
            shown = gr.HTML(found, elem_id="results")
    run = start.click(
        backend.predict,
        inputs,
        [status, shown],
        show_progress="minimal",
        show_progress_on=status,
        concurrency_limit=backend.limits.workers,
        api_visibility="private",
    )
    cancelled = json.dumps([page.said("Cancelled."), EMPTY])  # shown by the page itself, without the queue
    stop.click(None, None, [status, shown], cancels=[run], js=f"() => {cancelled}", api_visibility="private")


def _inputs(backend: Backend) -> list[Any]:
    """Lay out the inputs, in the order in which `Backend.predict` takes them."""
    import gradio as gr

    limits = backend.limits
    files = gr.File(
        label=f"Video, GIF or images, up to {limits.upload_mb} MB",
        file_count="multiple",
        height=150,
        elem_id="clip",
    )
    example = gr.Radio(
        list(backend.examples), value=next(iter(backend.examples)), label="or an example", elem_id="example"
    )
    files.upload(None, None, example, js="() => null", api_visibility="private")  # one or the other
    example.input(None, None, files, js="() => null", api_visibility="private")
    with gr.Row():
        model = gr.Dropdown(
            list(backend.models), value=next(iter(backend.models)), label="Model", filterable=False, min_width=120
        )
        beside = gr.Dropdown(
            [NONE, *backend.besides], value=backend.usual_beside, label="Beside it", filterable=False, min_width=120
        )
    frames = gr.Slider(
        1, limits.horizon, value=min(FRAMES, limits.horizon), step=1, label="Frames to predict", elem_id="frames"
    )
    split = gr.Slider(
        0.1, 1, value=0.5, step=0.05, label="Split", info="predict from this part of the clip on; 1: after its end"
    )
    with gr.Accordion("More", open=False):
        how = gr.Radio([EVERY, SLIDING], value=EVERY, label="Predict")
        samples = gr.Slider(1, limits.samples, value=1, step=1, label="Futures", info="for models that sample")
        side = gr.Slider(32, limits.side, value=min(SIDE, limits.side), step=16, label="Longest side in pixels")
    return [files, example, model, beside, frames, split, how, samples, side]


def build_app(backend: Backend, names: Names | None = None) -> Gate:
    """Return the whole server as an ASGI application, behind its gate; `names` are those it may be asked by."""
    import gradio as gr
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(backend.workers.start())
        yield
        starting.cancel()
        await backend.workers.stop()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    blocks = build_page(backend)
    app = gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        max_file_size=backend.limits.upload_mb * MIB,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        footer_links=[],
        theme=gr.themes.Base(
            primary_hue="orange",
            neutral_hue="slate",
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ),
        css_paths=Path(__file__).with_name("style.css"),
        head=f"<script>{Path(__file__).with_name('page.js').read_text(encoding='utf-8')}</script>",
    )
    predict = max(blocks.fns, key=lambda number: len(blocks.fns[number].inputs))  # the others run in the page
    form = Form(predict, backend.models, (NONE, *backend.besides), backend.examples, (EVERY, SLIDING), backend.limits)
    return Gate(app, backend.store, backend.limits, names, form)


def stay_local(store: Store) -> None:
    """Keep Gradio and everything else that writes temporary files inside `store`, and off the network.

    Called before Gradio is imported: it reads these once.
    """
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(store.uploads),
        "GRADIO_SSR_MODE": "False",
        "GRADIO_NODE_SERVER_NAME": "127.0.0.1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    tempfile.tempdir = str(store.spool)
