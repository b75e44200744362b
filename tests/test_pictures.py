import errno
import os
import subprocess
import sys
import tracemalloc
from itertools import product

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ssnn.data import pictures
from ssnn.data.pictures import normalized, read
from ssnn.errors import DataError

WIDTH, HEIGHT = 160, 200  # of a sheet
ROTATED = 0x0112, 6  # the EXIF tag and value of a picture that is to be turned clockwise by 90°


def written(digit, scale=1, shift=0):
    """A sheet (height, width) of 0 with an ellipse or a slanted line of 255, whose box is 100 pixels high.

    A blot makes it asymmetric: what is symmetric has its centre of mass just between two places for it.
    """
    sheet = Image.new("L", (WIDTH * scale, HEIGHT * scale))
    draw = ImageDraw.Draw(sheet)
    left, top, right, bottom = (50 + shift) * scale, 50 * scale, (110 + shift) * scale - 1, 150 * scale - 1
    if digit == 0:
        draw.ellipse((left, top, right, bottom), outline=255, width=16 * scale)
        draw.circle((left + 42 * scale, top + 24 * scale), 10 * scale, fill=255)
    else:
        draw.line((left, bottom, left + 40 * scale, top), fill=255, width=14 * scale)
        draw.circle((left + 34 * scale, top + 22 * scale), 12 * scale, fill=255)
    return np.asarray(sheet)


def coloured(ink, paper=(250, 240, 220), pen=(20, 30, 120)):
    share = ink[:, :, np.newaxis] / 255
    return Image.fromarray(np.rint((1 - share) * paper + share * pen).astype(np.uint8))


def transparent(ink, grey):
    return Image.merge("LA", (Image.new("L", ink.shape[::-1], grey), Image.fromarray(ink)))


def photographed(ink):
    """Dark ink on grey paper, lit from one corner, darker at the rim, with grain and a black speck of dirt."""
    y, x = np.meshgrid(np.linspace(-1, 1, HEIGHT), np.linspace(-1, 1, WIDTH), indexing="ij")
    light = 190 * (1 + 0.2 * x - 0.15 * y - 0.2 * (x * x + y * y))
    grain = np.random.default_rng(0).normal(0, 4, ink.shape)
    paper = light * (1 - 0.7 * ink / 255) + grain
    paper[8:11, 8:11] = 20
    return Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8))


def turned(ink):
    """A picture lying on its side, and the EXIF tag that says so."""
    picture = Image.fromarray(np.rot90(ink))
    picture.getexif()[ROTATED[0]] = ROTATED[1]
    return picture


WAYS = {
    "dark.png": lambda ink: Image.fromarray(255 - ink),
    "faint.png": lambda ink: Image.fromarray(120 - ink // 6),
    "bilevel.png": lambda ink: Image.fromarray(ink).convert("1"),
    "colour.png": coloured,
    "colour.jpg": coloured,
    "colour.webp": coloured,
    "colour.bmp": coloured,
    "cmyk.jpg": lambda ink: coloured(ink).convert("CMYK"),
    "palette.gif": lambda ink: coloured(ink).convert("P"),
    "black-on-nothing.png": lambda ink: transparent(ink, 0),
    "white-on-nothing.png": lambda ink: transparent(ink, 255),
    "white-on-nothing.gif": lambda ink: transparent(ink, 255).convert("RGBA"),
    "deep.png": lambda ink: Image.fromarray((ink * 16 + np.uint16(15)).astype(np.uint16)),
    "float.tiff": lambda ink: Image.fromarray(1 - ink.astype(np.float32) / 255),
    "turned.jpg": turned,
    "photo.jpg": photographed,
}


@pytest.fixture
def saved(tmp_path):
    def save(name, picture):
        path = tmp_path / name
        picture.save(path, exif=picture.getexif())
        return path

    return save


def apart(a, b):
    """The mean absolute difference, in grey values; a written 0 and 1 are 45 apart."""
    return np.mean(np.abs(a.astype(float) - b))


def box_and_centre(pixels):
    """Height and width of what is not black, and the centre of mass (row, column)."""
    field = pixels.reshape(28, 28).astype(float)
    box = [int(np.ptp(np.flatnonzero(field.any(axis)))) + 1 for axis in (1, 0)]
    return box, [np.average(np.arange(28), weights=field.sum(axis)) for axis in (1, 0)]


@pytest.mark.parametrize("scale", [1, 3, 20])
@pytest.mark.parametrize(("digit", "width"), [(0, 12), (1, 11)])
def test_the_form_is_mnist_s(digit, width, scale):
    pixels = normalized(written(digit, scale))
    box, centre = box_and_centre(pixels)
    assert (pixels.dtype, pixels.shape, pixels.max()) == (np.uint8, (784,), 255)
    assert box[0] == 20
    assert abs(box[1] - width) <= 1
    np.testing.assert_allclose(centre, 14, rtol=0, atol=0.51)


def test_an_ellipse_comes_out_as_its_equation_says():
    sheet = Image.new("L", (600, 800))
    ImageDraw.Draw(sheet).ellipse((100, 100, 339, 499), outline=255, width=64)
    offset = (np.arange(28 * 40) + 0.5) / 40 - 14  # from the middle of the field, in pixels, 40 samples to each
    y, x = offset[:, np.newaxis], offset
    ring = ((x / 6) ** 2 + (y / 10) ** 2 <= 1) & ((x / 2.8) ** 2 + (y / 6.8) ** 2 > 1)
    expected = 255 * ring.reshape(28, 40, 28, 40).mean(axis=(1, 3))
    found = normalized(np.asarray(sheet)).reshape(28, 28)
    # MNIST's middle is a pixel's, half a pixel off the field's, and a box of even sides is as well before as after it.
    assert min(apart(np.roll(expected, by, (0, 1)), found) for by in product((0, 1), repeat=2)) < 3


@pytest.mark.parametrize("digit", [0, 1])
@pytest.mark.parametrize("name", WAYS)
def test_one_picture_in_many_ways(name, digit, saved):
    ink = written(digit)
    assert apart(read(saved(name, WAYS[name](ink))), normalized(ink)) < 2


@pytest.mark.parametrize("digit", [0, 1])
def test_size_place_and_polarity_do_not_matter(digit):
    pixels = normalized(written(digit))
    np.testing.assert_array_equal(normalized(255 - written(digit)), pixels)
    np.testing.assert_array_equal(normalized(written(digit, shift=40)), pixels)
    np.testing.assert_array_equal(normalized(np.pad(written(digit), ((0, 90), (150, 0)))), pixels)
    assert apart(normalized(written(digit, scale=20)), pixels) < 1.5


def test_a_hairline_on_a_large_sheet_survives():
    sheet = Image.new("L", (4000, 3000), 230)
    ImageDraw.Draw(sheet).line((2000, 700, 2000, 2300), fill=20)
    found = normalized(np.asarray(sheet)).reshape(28, 28)
    assert np.sum(found > 240) == np.sum(found > 0) == np.sum(found[:, 14] > 0) == 20


def test_ink_that_cannot_be_centred_stays_in_the_field():
    sheet = np.zeros((140, 140), np.uint8)
    sheet[20:40, 20:40] = sheet[20:120, 29:31] = 255  # a heavy head at the top of a thin line
    lit = normalized(sheet).reshape(28, 28).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(lit), np.arange(8, 28))


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (60, 90), (2000, 1500)])
def test_blank_pictures_are_all_zeros(shape, random):
    for blank in (np.full(shape, 255), random.normal(200, 10, shape), np.linspace(90, 250, np.prod(shape))):
        assert not normalized(np.reshape(blank, shape)).any()


def test_synthetic_digits_hardly_change_in_a_second_pass(few_digits):
    once = np.stack([normalized(row.reshape(28, 28)) for row in few_digits.test.pixels])
    twice = np.stack([normalized(row.reshape(28, 28)) for row in once])
    assert np.median(np.mean(np.abs(once.astype(float) - twice), axis=1)) < 2


def enlarged(image):
    return np.asarray(Image.fromarray(image).resize((196, 196), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("change", [np.asarray, np.invert, enlarged, lambda image: np.pad(image, ((40, 3), (7, 60)))])
def test_mnist_keeps_its_verdicts(change, mnist_digits, mnist_reference):
    pixels = mnist_digits.test.pixels[::5]
    again = np.stack([normalized(change(row.reshape(28, 28))) for row in pixels])
    np.testing.assert_array_equal(mnist_reference.predict(pixels), mnist_reference.predict(again))


def test_mnist_s_centres_of_mass(mnist_digits):
    centres = np.array([box_and_centre(row)[1] for row in mnist_digits.test.pixels])
    np.testing.assert_allclose(centres, 14, rtol=0, atol=0.52)
    np.testing.assert_allclose(centres.mean(axis=0), 14, rtol=0, atol=0.05)


def test_without_normalisation_a_picture_is_only_turned_grey(saved, random):
    grey = random.integers(0, 256, (28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(read(saved("a.png", Image.fromarray(grey).convert("RGB")), False), grey.ravel())
    path = saved("b.png", Image.new("L", (30, 28)))
    with pytest.raises(DataError) as error:
        read(path, normalize=False)
    assert str(error.value) == f"{path}: 30x28 pixels, not 28x28; leave out --no-normalize"


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_of_a_deep_picture_its_own_range_is_black_to_white(dtype, saved, random):
    deep = random.integers(1000, 60_000, (28, 28)).astype(dtype)
    low, high = int(deep.min()), int(deep.max())
    expected = [round(255 * (int(value) - low) / (high - low)) for value in deep.ravel()]
    assert read(saved("a.tiff", Image.fromarray(deep)), normalize=False).tolist() == expected


def missing(path):
    return "missing"


def folder(path):
    path.mkdir()
    return "a folder, pipe or device, where a file is expected"


def pipe(path):
    os.mkfifo(path)
    return "a folder, pipe or device, where a file is expected"


def device(path):
    path.symlink_to("/dev/zero")
    return "a folder, pipe or device, where a file is expected"


def circle(path):
    path.symlink_to(path)
    return f"cannot be read ({os.strerror(errno.ELOOP)})"


def text(path):
    path.write_text("seven\n")
    return f"not a picture in a format that is read: {', '.join(pictures.FORMATS)}"


def no_pixel(path):
    path.write_bytes(b"P5\n0 0\n255\n")
    return f"not a picture in a format that is read: {', '.join(pictures.FORMATS)}"


def truncated(path):
    photographed(written(0)).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:5000])
    return "cannot be read (image file is truncated)"


@pytest.mark.parametrize("make", [missing, folder, pipe, device, circle, text, no_pixel, truncated])
def test_what_is_no_picture_is_refused_in_one_line(make, tmp_path):
    path = tmp_path / "digit"
    wrong = make(path)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value) == f"{path}: {wrong}"


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "\udcff\ud800"])
def test_a_name_that_no_file_can_have_is_told_in_one_line(name, tmp_path):
    with pytest.raises(DataError, match=r"^.*: (cannot be read \(.+\)|missing)$") as error:
        read(tmp_path / name)
    assert str(error.value).isprintable()


def test_only_common_formats_are_opened(tmp_path, saved, monkeypatch):
    """To draw an EPS, Pillow runs the first program that is called gs."""
    program, ran = tmp_path / "gs", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # it has not been looked for
    path = tmp_path / "digit.eps"
    coloured(written(0)).save(path)
    with pytest.raises(DataError, match="not a picture in a format that is read: PNG, JPEG, GIF"):
        read(path)
    assert not ran.exists()


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    zero, one = (Image.fromarray(written(digit)) for digit in (0, 1))
    for name in ("digits.gif", "digits.png", "digits.tiff", "digits.webp"):
        zero.save(tmp_path / name, save_all=True, append_images=[one])
        assert apart(read(tmp_path / name), normalized(written(0))) < 2


@pytest.mark.parametrize(("name", "options"), [("digit.png", {}), ("digit.jpg", {"progressive": True})])
def test_what_would_fill_the_memory_is_refused_before_it_is_decoded(name, options, tmp_path, monkeypatch):
    path = tmp_path / name
    coloured(written(0)).save(path, **options)
    monkeypatch.setattr(pictures, "MAX_PIXELS", WIDTH * HEIGHT)
    read(path)
    monkeypatch.setattr(pictures, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value) == f"{path}: more than {WIDTH * HEIGHT - 1:,} pixels; scale it down"


def test_what_pillow_takes_for_a_bomb_is_refused(saved, monkeypatch):
    path = saved("bomb.png", Image.new("L", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(DataError, match=r"bomb.png: more than 20,000,000 pixels; scale it down"):
        read(path)


@pytest.mark.parametrize(("divisor", "side"), [(1, 1200), (2, 600), (4, 300), (8, 150)])
def test_a_large_jpeg_is_scaled_as_it_is_decoded(divisor, side, saved, monkeypatch):
    """Its decoder can by 2, 4 and 8, and does by no more than is needed."""
    sheet = np.pad(written(0, scale=6), ((0, 0), (120, 120)))
    path = saved("digit.jpg", coloured(sheet))
    decoded = []
    grey = pictures._grey
    monkeypatch.setattr(pictures, "_grey", lambda image: decoded.append(grey(image)) or decoded[-1])
    monkeypatch.setattr(pictures, "MAX_PIXELS", side**2)
    assert apart(read(path), normalized(sheet)) < 3
    assert decoded[0].shape == (side, side)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 150**2 - 1)
    with pytest.raises(DataError, match="more than 22,499 pixels"):
        read(path)


def test_a_deep_picture_is_not_held_many_times(saved):
    path = saved("deep.tiff", Image.fromarray(np.linspace(0, 1, 10**6, dtype=np.float32).reshape(1000, 1000)))
    with Image.open(path) as image:
        image.load()
        tracemalloc.start()
        pictures._grey(image)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 15 * 10**6  # 8 bytes of each float64, and 4 for Pillow to hand them over


@pytest.mark.parametrize("grey", [237, 238, 239, 240, 255])
def test_transparent_ink_that_hardly_shows_on_white_is_seen_on_black(grey, saved):
    ink = written(0)
    assert apart(read(saved("digit.png", transparent(ink, grey))), normalized(ink)) < 2


def bars(height, grey=255.0):
    """A black sheet with a bar of full ink, 40 pixels high and 10 wide, and below it another one of some grey."""
    sheet = np.zeros((128, 128))
    sheet[10:50, 60:70], sheet[50 : 50 + height, 60:70] = 255, grey
    return sheet


@pytest.mark.parametrize(("grey", "width"), [(63.7, 5), (63.8, 2)])
def test_what_has_a_quarter_of_the_ink_is_no_blur(grey, width):
    """A bar of 40 by 10 pixels is fitted into a box 5 wide, one of 80 by 10 into a box of half that."""
    assert box_and_centre(normalized(bars(40, grey)))[0] == [20, width]


@pytest.mark.parametrize(("grey", "width"), [(250, 5), (255, 3), (260, 3)])
def test_a_piece_of_a_twentieth_of_the_stroke_is_no_speck(grey, width):
    """A bar of 40 by 10 pixels is fitted into a box 5 wide; with a dash 20 pixels below it, into one of 3."""
    sheet = bars(0)
    sheet[70:72, 60:70] = 255
    sheet[71, 69] = grey  # the twentieth pixel
    assert box_and_centre(normalized(sheet))[0][1] == width


@pytest.mark.parametrize(("grey", "is_ink"), [(15.9, False), (16, False), (16.1, True)])
def test_what_hardly_differs_from_the_ground_is_no_ink(grey, is_ink):
    assert normalized(np.minimum(bars(40), grey)).any() == is_ink


@pytest.mark.parametrize(("deviations", "is_ink"), [(4.8, False), (5.2, True)])
def test_what_might_be_noise_is_no_ink(deviations, is_ink):
    """Two greys alternate, each 8 from their middle, which is a median deviation of as much."""
    ground = 100 + 8.0 * (-1) ** np.indices((129, 129)).sum(axis=0)
    ground[60:100, 60:70] = 100 + deviations * 1.4826 * 8
    assert normalized(ground).any() == is_ink


def test_pillow_is_imported_only_when_a_picture_is_read():
    subprocess.run([sys.executable, "-c", "import ssnn.data.pictures, sys; sys.exit('PIL' in sys.modules)"], check=True)
