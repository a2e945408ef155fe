"""Images a second of mxtape's DataLoader and of PyTorch's, in turns; prints a table.

    python benchmarks/loaders.py                       arrays and pictures, 0 and 2 workers
    python benchmarks/loaders.py --cases arrays --rounds 5

arrays    60,000 images of 28 x 28 in float32 with labels, shuffled, in batches of 128
pictures  JPEG files in records, 500 x 375: decoded, a random part resized to 224 x 224, flipped at
          random, to float32, normalized; in batches of 32. PyTorch's data set reads the same bytes
          and does the same with Pillow, as torchvision does.

Both goals are ratios to PyTorch: 2 for arrays, 1 for pictures.
"""

import argparse
import io
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LIBRARIES = ("mxtape", "torch")
GOALS = {"arrays": 2, "pictures": 1}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def arrays():
    count = 60_000
    generator = np.random.default_rng(0)
    return generator.random((count, 28, 28), np.float32), np.arange(count) % 10


def write_pictures(folder, count):
    """Writes JPEG files as records, and as a pickled list of their bytes for PyTorch."""
    from mxtape import recordio

    rows, columns = np.mgrid[:375, :500] / 40
    record = recordio.MXIndexedRecordIO(f"{folder}/p.idx", f"{folder}/p.rec", "w")
    contents = []
    for i in range(count):
        waves = [np.sin(rows * (1 + c) + i) + np.cos(columns + c * i) for c in range(3)]
        noise = np.random.default_rng(i).normal(0, 12, (375, 500, 3))
        picture = np.clip(np.stack(waves, 2) * 50 + 128 + noise, 0, 255).astype(np.uint8)
        packed = recordio.pack_img(recordio.IRHeader(0, i % 10, i, 0), picture, quality=90)
        record.write_idx(i, packed)
        contents.append((recordio.unpack(packed)[1], i % 10))
    record.close()
    with open(f"{folder}/p.pickle", "wb") as file:
        pickle.dump(contents, file)


def mxtape_loader(case, workers, folder):
    import mxtape as mx

    data = mx.gluon.data
    if case == "arrays":
        dataset, size = data.ArrayDataset(*arrays()), 128
    else:
        transforms = data.vision.transforms
        change = transforms.Compose(
            [
                transforms.RandomResizedCrop(224),
                transforms.RandomFlipLeftRight(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )
        dataset = data.vision.ImageRecordDataset(f"{folder}/p.rec").transform_first(change)
        size = 32
    return data.DataLoader(dataset, size, shuffle=True, num_workers=workers)


class TorchPictures:
    """What torchvision does with Pillow, for the data set above."""

    def __init__(self, folder):
        with open(f"{folder}/p.pickle", "rb") as file:
            self.contents = pickle.load(file)

    def __len__(self):
        return len(self.contents)

    def __getitem__(self, index):
        import torch
        from PIL import Image

        content, label = self.contents[index]
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        box = self.part(*picture.size)
        picture = picture.crop(box).resize((224, 224), Image.BILINEAR)
        if random.random() < 0.5:
            picture = picture.transpose(Image.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
        pixels = pixels.to(torch.float32).div(255)
        return pixels.sub_(self.column(MEAN)).div_(self.column(STD)), label

    @staticmethod
    def column(values):
        import torch

        return torch.tensor(values).view(-1, 1, 1)

    @staticmethod
    def part(width, height):
        for _ in range(10):
            area = random.uniform(0.08, 1) * width * height
            ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
            w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
            if w <= width and h <= height:
                left, top = random.randint(0, width - w), random.randint(0, height - h)
                return left, top, left + w, top + h
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side


def torch_loader(case, workers, folder):
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    if case == "arrays":
        dataset, size = TensorDataset(*map(torch.from_numpy, arrays())), 128
    else:
        dataset, size = TorchPictures(folder), 32
    return DataLoader(
        dataset, size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )


def measure(library, case, workers, folder):
    """Images a second in the best of some epochs, after one to warm up."""
    make = mxtape_loader if library == "mxtape" else torch_loader
    loader = make(case, workers, folder)
    best = 0.0
    for epoch in range(4 if case == "arrays" else 3):
        begin, count = time.perf_counter(), 0
        for images, _ in loader:
            count += len(images)
        if epoch:
            best = max(best, count / (time.perf_counter() - begin))
    return best


def in_process(library, case, workers, folder):
    import environments

    command = [environments.interpreter(library), __file__, "--measure", library, case]
    done = subprocess.run(
        [*map(str, command), str(workers), folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{library}, {case}: {environments.last_line(done.stderr)}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=GOALS, default=list(GOALS))
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each library (3)")
    parser.add_argument("--pictures", type=int, default=512, help="how many there are (512)")
    arguments = parser.parse_args()
    print("| | workers | mxtape | torch | mxtape / torch | goal |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        if "pictures" in arguments.cases:
            write_pictures(folder, arguments.pictures)
        for case in arguments.cases:
            for workers in arguments.workers:
                turns = [
                    [in_process(library, case, workers, folder) for library in LIBRARIES]
                    for _ in range(arguments.rounds)
                ]
                own, peer = (max(speeds) for speeds in zip(*turns))
                print(
                    f"| {case} | {workers} | {own:,.0f} | {peer:,.0f} | {own / peer:.2f} "
                    f"| {GOALS[case]} |",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        library, case, workers, folder = sys.argv[2:]
        print(json.dumps(measure(library, case, int(workers), folder)))
    else:
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
        main()
