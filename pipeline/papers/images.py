"""What generators draw, as images."""

from collections.abc import Iterator

from pipeline.blocks.composition import Frames
from pipeline.blocks.images import tensor_to_images
from pipeline.papers.interface import Drawn


def drawn(frames: Frames) -> Iterator[Drawn]:
    """Frames of one video, tensors (…, T, C, S, S) whose other axes are 1, one by one: with colours and maps of change, where
    they were composed of them."""
    image, colour, change = (x if x is None else x.flatten(0, -4) for x in frames)
    if change is None:
        yield from map(Drawn, tensor_to_images(image))
    else:
        maps = (change[:, 0].float() * 255).round().byte().numpy()
        yield from map(Drawn, tensor_to_images(image), tensor_to_images(colour), maps)
