"""Pictures beside each other, to see what a negative changed."""

from __future__ import annotations

from typing import Any

from ..host.api import describe, io, take, ui
from ..host.compare import compare
from ..host.report_picture import to_image


class AvertCompare(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return describe(
            node_id="AvertCompare",
            display_name="Avert Compare",
            category="Avert",
            search_aliases=[
                "compare negative prompt",
                "before after",
                "side by side",
                "with and without",
                "contact sheet",
                "image difference",
            ],
            description="Pictures beside each other with captions, and where they differ: without and with a negative, from the same seed.",
            inputs=[
                take(io.Image, "image_1", tooltip="The picture that others are compared with, as the one without a negative."),
                take(io.Image, "image_2", tooltip="The same seed with a negative. Shown at the size of image_1; batches go in pairs."),
                take(io.Image, "image_3", optional=True, tooltip="A third picture or batch, from another node or with other numbers."),
                take(io.Image, "image_4", optional=True, tooltip="A fourth picture or batch."),
                take(
                    io.String,
                    "captions",
                    default="without\nwith",
                    multiline=True,
                    optional=True,
                    tooltip="A line for each picture, from image_1 on.",
                ),
                take(
                    io.Boolean,
                    "difference",
                    default=True,
                    optional=True,
                    tooltip="Draw beside each picture where and how much it differs from image_1: the mean absolute difference of red, green and blue.",
                ),
            ],
            outputs=[io.Image.Output("strip", display_name="strip")],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, image_1: Any, image_2: Any, image_3: Any = None, image_4: Any = None, captions: str = "without\nwith", difference: bool = True
    ) -> io.NodeOutput:
        images = [image for image in (image_1, image_2, image_3, image_4) if image is not None]
        strip = to_image(compare(images, captions.splitlines(), difference))
        return io.NodeOutput(strip, ui=ui.PreviewImage(strip, cls=cls))
