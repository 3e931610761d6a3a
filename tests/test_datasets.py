"""CIFAR-10, folders of images, Tiny ImageNet, splits and folds."""

import io
import tarfile

import numpy as np
import pytest
from striate import data
from striate.data import cifar

# ---- CIFAR-10 --------------------------------------------------------------------------------


def records(n, seed):
    table = np.random.default_rng(seed).integers(0, 256, (n, 3073), dtype=np.uint8)
    table[:, 0] %= 10
    return table


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The six files, of 20 records each."""
    monkeypatch.setattr(cifar, "RECORDS", 20)
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "data" / cifar.FOLDER
    folder.mkdir(parents=True)
    for i, name in enumerate((*cifar.TRAIN_FILES, *cifar.TEST_FILES)):
        (folder / name).write_bytes(records(20, i).tobytes())
    return folder


def test_cifar_records_are_label_then_planes(tmp_path):
    table = records(3, 0)
    (tmp_path / "batch.bin").write_bytes(table.tobytes())
    images, labels = data.read_cifar10(tmp_path / "batch.bin")[:]
    assert images.shape == (3, 3, 32, 32) and images.dtype == np.uint8
    assert labels.tolist() == table[:, 0].tolist() and labels.dtype == np.int64
    # red of row 2, column 5 and blue of the last pixel of the second image
    assert images[1, 0, 2, 5] == table[1, 1 + 2 * 32 + 5]
    assert images[1, 2, 31, 31] == table[1, 3072]


@pytest.mark.parametrize(
    "content, message",
    (
        (b"", "0 bytes"),
        (b"1" * 3072, "3072 bytes"),
        (b"\x01" * (2 * 3073 + 1), "6147 bytes"),
        (b"\x0a" * 3073, "label 10"),
    ),
)
def test_damaged_cifar_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"bad.bin.*{message}"):
        data.read_cifar10(path)


def test_cifar_from_folder_parent_environment_and_archive(small, tmp_path, monkeypatch):
    want = [records(20, i) for i in range(6)]
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / cifar.ARCHIVE, "w:gz") as archive:
        archive.add(small, cifar.FOLDER)
    sources = [small, small.parent, packed, packed / cifar.ARCHIVE]
    found = [data.cifar10(source) for source in sources]
    monkeypatch.setenv("STRIATE_DATA", str(small.parent))
    found.append(data.cifar10())
    for train, test in found:
        assert len(train) == 100 and len(test) == 20
        flat = train.arrays[0].reshape(100, -1)
        assert np.array_equal(flat, np.concatenate(want[:5])[:, 1:])
        assert np.array_equal(test.arrays[1], want[5][:, 0])


def test_missing_cifar_says_where_it_comes_from(tmp_path, monkeypatch, small):
    with pytest.raises(FileNotFoundError, match=r"cs.toronto.edu.*STRIATE_DATA"):
        data.cifar10()
    assert data.find_cifar10() is None
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin"):
        data.cifar10(tmp_path)
    (small / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks data_batch_3.bin"):
        data.cifar10(small)
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(NotADirectoryError, match="STRIATE_DATA"):
        data.cifar10()


def test_short_files_and_foreign_archives_are_refused(small, tmp_path):
    (small / "test_batch.bin").write_bytes(records(19, 0).tobytes())
    with pytest.raises(ValueError, match=r"test_batch.bin.*not 20 records"):
        data.cifar10(small)
    path = tmp_path / cifar.ARCHIVE
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo(f"{cifar.FOLDER}/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ValueError, match=r"archive of CIFAR-10.*regular"):
        data.cifar10(path)
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(f"{cifar.FOLDER}/data_batch_1.bin")
        member.size = 7
        archive.addfile(member, io.BytesIO(b"1234567"))
    with pytest.raises(ValueError, match="7 bytes"):
        data.cifar10(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="archive of CIFAR-10"):
        data.cifar10(path)


@pytest.mark.parametrize("compression", ("gz", "bz2", "xz"))
def test_damaged_archives_are_refused(small, tmp_path, compression):
    path = tmp_path / "archive"
    with tarfile.open(path, f"w:{compression}") as archive:
        archive.add(small, cifar.FOLDER)
    content = path.read_bytes()
    assert len(data.cifar10(path)[1]) == 20
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0x55
    trailer = bytearray(content)
    trailer[-6] ^= 0x55  # in gzip a byte of the checksum
    for damaged in (flipped, trailer, content[: len(content) // 2], content[:-4]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="archive is not a valid archive of CIFAR-10"):
            data.cifar10(path)


# ---- folders of images -----------------------------------------------------------------------


def picture(path, color, size=(6, 5), **options):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **options)


@pytest.fixture
def zoo(tmp_path):
    """Classes in an order that sorting must mend, and files that are none."""
    pytest.importorskip("PIL")
    root = tmp_path / "zoo"
    picture(root / "zebra" / "b.png", (1, 2, 3))
    picture(root / "ant" / "deep" / "a.PNG", (10, 20, 30))
    picture(root / "ant" / "c.bmp", (40, 50, 60))
    (root / "ant" / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    (root / "readme").write_text("no class")
    return root


def test_classes_are_sorted_folders(zoo):
    dataset = data.image_folder(zoo)
    assert dataset.classes == ("ant", "zebra") and len(dataset) == 3
    assert [path.name for path in dataset.paths] == ["c.bmp", "a.PNG", "b.png"]
    images, labels = dataset[np.array([2, 0])]
    assert images.shape == (2, 3, 5, 6) and images.dtype == np.uint8
    assert images[:, :, 0, 0].tolist() == [[1, 2, 3], [40, 50, 60]]
    assert labels.tolist() == [1, 0]
    image, label = dataset[1]
    assert image[:, 0, 0].tolist() == [10, 20, 30] and label == 0
    gray, _ = data.image_folder(zoo, mode="L")[:]
    assert gray.shape == (3, 1, 5, 6)


def test_folders_feed_a_loader_with_workers(zoo):
    dataset = data.image_folder(zoo, size=(4, 8))
    batches = list(data.DataLoader(dataset, 2, shuffle=True, rng=0, num_workers=2))
    assert [images.shape for images, _ in batches] == [(2, 3, 4, 8), (1, 3, 4, 8)]


def test_unlike_sizes_need_a_size(zoo):
    picture(zoo / "ant" / "wide.png", (0, 0, 0), (9, 5))
    with pytest.raises(ValueError, match=r"(?s)shape .*others of its batch.*give a size"):
        data.image_folder(zoo)[:]
    assert data.image_folder(zoo, size=7)[:][0].shape == (4, 3, 7, 7)


def test_bad_images_are_named(zoo):
    bad = zoo / "ant" / "bad.png"
    dataset = lambda **options: data.ImageFiles([bad], [0], ["ant"], **options)  # noqa: E731
    bad.write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"bad.png is not a PNG"):
        dataset()[:]
    picture(bad, (1, 1, 1), format="BMP")  # another format than its suffix says
    with pytest.raises(ValueError, match=r"bad.png is not a PNG"):
        dataset()[:]
    picture(bad, (1, 1, 1), (50, 50))
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"bad.png cannot be decoded"):
        dataset()[:]
    picture(bad, (1, 1, 1), (50, 50))
    with pytest.raises(ValueError, match=r"bad.png.*50 x 50 pixels are more than the 2,499"):
        dataset(max_pixels=2499)[:]
    with pytest.raises(ValueError, match=r"notes.txt is not one of"):
        data.ImageFiles([zoo / "ant" / "notes.txt"], [0], ["ant"])[:]


def test_sixteen_bits_are_scaled(tmp_path):
    image = pytest.importorskip("PIL.Image")
    wide = np.array([[0, 256, 32768, 65535]], np.uint16)
    image.fromarray(wide).save(tmp_path / "wide.png")
    (tmp_path / "wide.ppm").write_bytes(b"P5 4 1 65535\n" + wide.astype(">u2").tobytes())
    for name in ("wide.png", "wide.ppm"):
        found, _ = data.ImageFiles([tmp_path / name], [0], ["a"], mode="L")[0]
        assert found.tolist() == [[[0, 1, 128, 255]]]


def test_pictures_are_turned_upright(tmp_path):
    image = pytest.importorskip("PIL.Image")
    lying = image.fromarray(np.array([[0, 50, 100]], np.uint8))
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    lying.save(tmp_path / "lying.png", exif=exif)
    found, _ = data.ImageFiles([tmp_path / "lying.png"], [0], ["a"], mode="L")[0]
    assert found.tolist() == [[[0], [50], [100]]]


def test_sizes_and_labels_of_files_are_whole_numbers():
    assert data.ImageFiles([], [], [], size=np.int64(8)).size == (8, 8)
    for size in (8.5, (8, 8.5), "big", (1, 2, 3)):
        with pytest.raises(TypeError, match="ImageFiles: size must be an int or"):
            data.ImageFiles([], [], [], size=size)
    with pytest.raises(ValueError, match="ImageFiles: size must be positive"):
        data.ImageFiles([], [], [], size=0)
    with pytest.raises(TypeError, match="ImageFiles: labels must be whole numbers, got float64"):
        data.ImageFiles(["a.png"], [0.7], ["a"])


def test_bad_folders_are_named(zoo, tmp_path):
    with pytest.raises(NotADirectoryError, match="nowhere"):
        data.image_folder(tmp_path / "nowhere")
    (zoo / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no images"):
        data.image_folder(zoo)
    with pytest.raises(ValueError, match="no subfolders"):
        data.image_folder(zoo / "empty")
    with pytest.raises(ValueError, match="2 paths, but 1 labels"):
        data.ImageFiles(["a.png", "b.png"], [0], ["x"])
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.0"):
        data.ImageFiles(["a.png"], [1], ["x"])
    with pytest.raises(ValueError, match=r"mode.*'CMYK'"):
        data.ImageFiles([], [], ["x"], mode="CMYK")


def test_tiny_imagenet(tmp_path):
    pytest.importorskip("PIL")
    root = tmp_path / "tiny-imagenet-200"
    for name in ("n02", "n01"):
        for i in range(2):
            picture(root / "train" / name / "images" / f"{name}_{i}.JPEG", (9, 9, 9), (64, 64))
    for i in range(3):
        picture(root / "val" / "images" / f"val_{i}.JPEG", (9, 9, 9), (64, 64))
    lines = [f"val_{i}.JPEG\tn0{1 + i % 2}\t0\t0\t63\t63" for i in (2, 0, 1)]
    annotations = root / "val" / "val_annotations.txt"
    annotations.write_text("\n".join(lines) + "\n")
    train, val = data.tiny_imagenet(root)
    assert train.classes == val.classes == ("n01", "n02")
    assert train.labels.tolist() == [0, 0, 1, 1] and val.labels.tolist() == [0, 0, 1]
    assert val[:][0].shape == (3, 3, 64, 64)
    for line, error in (
        ("val_0.JPEG\tn09\t0", ValueError),
        ("../val_0.JPEG\tn01\t0", ValueError),
        ("val_9.JPEG\tn01\t0", FileNotFoundError),
    ):
        annotations.write_text(line)
        with pytest.raises(error, match=r"val_annotations"):
            data.tiny_imagenet(root)


# ---- splits and folds ------------------------------------------------------------------------

LABELS = np.repeat([0, 1, 2], (50, 30, 20))
NUMBERS = data.ArrayDataset(np.arange(100), LABELS)


@pytest.mark.parametrize("stratify", (None, LABELS))
def test_parts_of_a_split_share_nothing_and_miss_nothing(stratify):
    parts = data.random_split(NUMBERS, (0.7, 0.2, 0.1), stratify=stratify, rng=1)
    assert [len(part) for part in parts] == [70, 20, 10]
    together = np.concatenate([part[:][0] for part in parts])
    assert np.array_equal(np.sort(together), np.arange(100)) and (together[:70] >= 70).any()
    if stratify is not None:
        for part, share in zip(parts, (0.7, 0.2, 0.1), strict=True):
            assert np.bincount(part[:][1]).tolist() == [50 * share, 30 * share, 20 * share]
    again = data.random_split(NUMBERS, (0.7, 0.2, 0.1), stratify=stratify, rng=1)
    other = data.random_split(NUMBERS, (0.7, 0.2, 0.1), stratify=stratify, rng=2)
    assert np.array_equal(parts[0].indices, again[0].indices)
    assert not np.array_equal(parts[0].indices, other[0].indices)


@pytest.mark.parametrize("stratify", (None, LABELS))
def test_every_example_validates_once(stratify):
    seen = []
    for training, validation in data.k_folds(NUMBERS, 7, stratify=stratify, rng=3):
        assert not set(training.indices) & set(validation.indices)
        assert len(training) + len(validation) == 100 and len(validation) in (14, 15)
        seen += validation.indices.tolist()
        if stratify is not None:
            counts = np.bincount(validation[:][1], minlength=3)
            assert (np.abs(counts - np.array([50, 30, 20]) / 7) < 1).all()
    assert sorted(seen) == list(range(100))
    first = [v.indices.tolist() for _, v in data.k_folds(NUMBERS, 7, rng=3)]
    assert first == [v.indices.tolist() for _, v in data.k_folds(NUMBERS, 7, rng=3)]


@pytest.mark.parametrize("shares", ((0.9, 0.1), (0.5, 0.5), (0.6, 0.3, 0.1), (0.34, 0.33, 0.33)))
@pytest.mark.parametrize("of_each", (1, 3, 4))
def test_parts_keep_their_sizes_where_classes_are_small(shares, of_each):
    labels = np.repeat(np.arange(100), of_each)
    numbers = data.ArrayDataset(np.arange(len(labels)), labels)
    parts = data.random_split(numbers, shares, stratify=labels, rng=0)
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - share * len(labels)) < 1
        counts = np.bincount(part[:][1], minlength=100)
        assert (np.abs(counts - share * of_each) < 1).all()
    together = np.concatenate([part.indices for part in parts])
    assert np.array_equal(np.sort(together), np.arange(len(labels)))


def test_folds_are_drawn_before_the_first_is_taken():
    rng, other = np.random.default_rng(5), np.random.default_rng(5)
    disturbed = [(t.indices, rng.random())[0] for t, _ in data.k_folds(NUMBERS, 4, rng=rng)]
    left_alone = [t.indices for t, _ in data.k_folds(NUMBERS, 4, rng=other)]
    np.testing.assert_equal(disturbed, left_alone)


def test_nothing_can_be_split_too():
    nothing = data.ArrayDataset(np.zeros(0), np.zeros(0, np.int64))
    for stratify in (None, []):
        parts = data.random_split(nothing, (0.5, 0.5), stratify=stratify)
        assert [len(part) for part in parts] == [0, 0]


def test_subsets_of_subsets_and_a_loader():
    part = data.Subset(data.Subset(NUMBERS, [9, 8, 7, 6]), [3, 1])
    assert part[:][0].tolist() == [6, 8] and len(part) == 2
    assert [batch[0].tolist() for batch in data.DataLoader(part, 1)] == [[6], [8]]


@pytest.mark.parametrize(
    "call, error, message",
    (
        (lambda: data.random_split(NUMBERS, (0.5, 0.6)), ValueError, "add up to 1"),
        (lambda: data.random_split(NUMBERS, (1.5, -0.5)), ValueError, "not be negative"),
        (lambda: data.random_split(NUMBERS, ()), ValueError, "fractions"),
        (lambda: data.random_split(NUMBERS, (1.0,), stratify=[1]), ValueError, "100 labels"),
        (lambda: data.random_split(NUMBERS, (np.nan, 1)), ValueError, "add up to 1"),
        (lambda: data.random_split(NUMBERS, (1.0,), stratify=[np.nan] * 100), ValueError, "NaN"),
        (lambda: data.k_folds(NUMBERS, 2, stratify=[np.nan] * 100), ValueError, "NaN"),
        (lambda: data.k_folds(NUMBERS, 1), ValueError, "k must lie in 2..100, got 1"),
        (lambda: data.k_folds(NUMBERS, 101), ValueError, "got 101"),
        (lambda: data.k_folds(NUMBERS, 2.0), TypeError, "k must be an int"),
        (lambda: data.Subset(NUMBERS, [100]), ValueError, "0..99"),
        (lambda: data.Subset(NUMBERS, [0.5]), TypeError, "integers"),
    ),
)
def test_bad_splits(call, error, message):
    with pytest.raises(error, match=message):
        call()
