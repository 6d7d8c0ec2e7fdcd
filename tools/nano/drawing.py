"""A scene of tasks/pictures.py as pixels, and pixels as the rows of patches that the vision tower reads."""

import math

import numpy as np
from PIL import Image, ImageDraw

from tasks.pictures import COLORS, PLACES, SHAPES

RGB = {"red": (220, 40, 40), "blue": (40, 70, 220), "green": (40, 160, 60), "yellow": (240, 210, 40), "black": (20, 20, 20),
       "orange": (245, 140, 30), "purple": (140, 50, 170), "gray": (130, 130, 130), "white": (255, 255, 255),
       "cream": (250, 243, 220), "sky": (215, 236, 250), "pink": (252, 226, 232)}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PATCH, MERGE = 14, 2
CELL = PATCH * MERGE
MIN_PIXELS, MAX_PIXELS = 3136, 3211264
COLOR_NAMES, SHAPE_NAMES = list(COLORS), list(SHAPES)
CELL_CLASSES = (len(COLORS) + 1, len(SHAPES) + 1, len(PLACES))
FINE = 3  # drawn this many times larger, then reduced: smooth edges


def _outline(shape, x, y, r):
    """Corners of a shape with radius r around (x, y)."""
    def around(n, turn, radii):
        return [(x + radii[i % len(radii)] * math.sin(2 * math.pi * i / n + turn),
                 y - radii[i % len(radii)] * math.cos(2 * math.pi * i / n + turn)) for i in range(n)]

    if shape == "triangle":
        return around(3, 0, [r])
    if shape == "square":
        return around(4, math.pi / 4, [r])
    if shape == "star":
        return around(10, 0, [r, 0.42 * r])
    arm = r / 3
    return [(x + dx, y + dy) for dx, dy in ((-arm, -r), (arm, -r), (arm, -arm), (r, -arm), (r, arm), (arm, arm), (arm, r),
                                            (-arm, r), (-arm, arm), (-r, arm), (-r, -arm), (-arm, -arm))]


def draw(scene):
    """The picture of a scene, an RGB image of its size."""
    width, height = scene["width"] * FINE, scene["height"] * FINE
    image = Image.new("RGB", (width, height), RGB[scene["background"]])
    pen = ImageDraw.Draw(image)
    for thing in scene["objects"]:
        column, row = thing["place"] % 3, thing["place"] // 3
        x, y = (column + 0.5) * width / 3, (row + 0.5) * height / 3
        r = min(width, height) / 6 * thing["size"]
        if thing["shape"] == "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=RGB[thing["color"]])
        else:
            pen.polygon(_outline(thing["shape"], x, y, r), fill=RGB[thing["color"]])
    return image.resize((scene["width"], scene["height"]), Image.Resampling.BOX)


def grid_pixels(height, width):
    """Height and width that the tower sees: multiples of a merged cell within the family's limits."""
    h, w = round(height / CELL) * CELL, round(width / CELL) * CELL
    if h * w > MAX_PIXELS:
        shrink = math.sqrt(height * width / MAX_PIXELS)
        return max(CELL, int(height / shrink / CELL) * CELL), max(CELL, int(width / shrink / CELL) * CELL)
    if h * w < MIN_PIXELS:
        grow = math.sqrt(MIN_PIXELS / (height * width))
        return math.ceil(height * grow / CELL) * CELL, math.ceil(width * grow / CELL) * CELL
    return h, w


def n_tokens(scene):
    h, w = grid_pixels(scene["height"], scene["width"])
    return h * w // CELL**2


def patches(image):
    """(rows f32 [patches, 1176], (1, rows, columns)): what the published image processor makes of an RGB image."""
    h, w = grid_pixels(image.height, image.width)
    pixels = np.asarray(image.resize((w, h), Image.Resampling.BICUBIC), np.float32) / 255
    pixels = ((pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(2, 0, 1)
    cut = pixels.reshape(3, h // CELL, MERGE, PATCH, w // CELL, MERGE, PATCH).transpose(1, 4, 2, 5, 0, 3, 6)
    still = np.broadcast_to(cut[..., None, :, :], (*cut.shape[:5], 2, PATCH, PATCH))  # a still image: one frame twice
    return np.ascontiguousarray(still).reshape(-1, 3 * 2 * PATCH * PATCH), (1, h // PATCH, w // PATCH)


def cells(scene):
    """What each picture token covers, i64 [tokens, 3]: colour and shape of the object there (0 for none, else its index + 1)
    and the place of its middle. Only training looks at it."""
    h, w = grid_pixels(scene["height"], scene["width"])
    rows, columns = h // CELL, w // CELL
    things = {thing["place"]: thing for thing in scene["objects"]}
    side = min(scene["width"], scene["height"]) / 6
    out = np.zeros((rows, columns, 3), np.int64)
    for r in range(rows):
        for c in range(columns):
            x, y = (c + 0.5) / columns * 3, (r + 0.5) / rows * 3
            place = int(y) * 3 + int(x)
            out[r, c, 2] = place
            thing = things.get(place)
            if thing:
                far = max(abs(x % 1 - 0.5) * scene["width"] / 3, abs(y % 1 - 0.5) * scene["height"] / 3)
                if far <= side * thing["size"] + CELL / 4:
                    out[r, c, :2] = COLOR_NAMES.index(thing["color"]) + 1, SHAPE_NAMES.index(thing["shape"]) + 1
    return out.reshape(-1, 3)
