"""Show what the last run with a model did."""

from __future__ import annotations

from typing import Any

from ..host.api import describe, io, take, ui
from ..host.install import report_of
from ..host.panel import as_panel
from ..host.report_picture import draw_maps, draw_plot, to_image
from ..host.report_text import as_json, as_text
from ..host.running_prompt import marks_before
from ..vlm.transcript import brief


class AvertReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return describe(
            node_id="AvertReport",
            display_name="Avert Report",
            category="Avert",
            search_aliases=[
                "did it work",
                "attention map",
                "heatmap",
                "negative prompt report",
                "negative prompt not working",
                "debug",
                "NAG",
                "VSF",
                "DNG",
            ],
            description="What the last run with this model did: blocks, steps, tokens, share of attention on the negative, size of the change, "
            "and where in the picture. Put it between the sampler and VAE Decode.",
            inputs=[
                take(
                    io.Model,
                    "model",
                    tooltip="The MODEL that the sampler used (out of an Avert node, with or without more nodes after it).",
                ),
                take(io.Latent, "latent", tooltip="The LATENT that comes out of the sampler; it passes through unchanged."),
            ],
            outputs=[
                io.Latent.Output("latent_out", display_name="latent"),
                io.Image.Output("plot", display_name="plot"),
                io.Image.Output("attention_map", display_name="attention_map"),
                io.String.Output("text", display_name="text"),
                io.String.Output("json", display_name="json"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: Any, latent: Any) -> io.NodeOutput:
        report = report_of(model, latent["samples"], marks_before())
        _save(getattr(getattr(cls, "hidden", None), "extra_pnginfo", None), [brief(told) for told in report.led or ()])
        text, plot = as_text(report), to_image([draw_plot(report)])
        shown = {**ui.PreviewText(text).as_dict(), **ui.PreviewImage(plot, cls=cls).as_dict(), "avert": [as_panel(report)]}
        return io.NodeOutput(latent, plot, to_image(draw_maps(report)), text, as_json(report), ui=shown)


def _save(saved: Any, watched: list[dict[str, Any]]) -> None:
    """Give transcripts to Save Image, which writes them into the picture, for `replay`, where this node stands before it; others may be there already."""
    if not watched or not isinstance(saved, dict):
        return
    # What came with the prompt may be anything.
    known = saved["avert"].get("watched") if isinstance(saved.get("avert"), dict) else None
    known = known if isinstance(known, list) else []
    saved["avert"] = {"watched": [*known, *(one for one in watched if one not in known)]}
