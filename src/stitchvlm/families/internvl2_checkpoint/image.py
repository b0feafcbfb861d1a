"""The release's dynamic tiling, done by transformers' own PIL image processor (torchvision is not needed)."""

from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, PILImageResampling
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from stitchvlm.families.internvl2_checkpoint.config import image_size


def load_image_processor(config: dict) -> GotOcr2ImageProcessorPil:
    """The image processor that cuts a picture into the tiles (thumbnail last) that the release would cut.

    `config` is the raw config.json. A tile is `force_image_size` pixels square; with `dynamic_image_size` a picture
    gives between `min_dynamic_patch` and `max_dynamic_patch` tiles, plus a thumbnail when there is more than one. Give
    it RGB pictures: what becomes of transparency differs between versions of transformers (the release drops it).
    """
    tiled = config.get("dynamic_image_size", False)
    if tiled and not config.get("use_thumbnail", False):
        raise ValueError("use_thumbnail is false, but the native image processor always adds one. Set it to true.")
    side = image_size(config)
    return GotOcr2ImageProcessorPil(
        size={"height": side, "width": side},
        resample=PILImageResampling.BICUBIC,
        image_mean=list(IMAGENET_DEFAULT_MEAN),
        image_std=list(IMAGENET_DEFAULT_STD),
        crop_to_patches=tiled,
        min_patches=config.get("min_dynamic_patch", 1) if tiled else 1,
        max_patches=config.get("max_dynamic_patch", 6) if tiled else 1,
    )
