"""Fits a detector on a folder of good images, then scores others: inspect_images.py GOOD IMAGE..."""

import sys

import blemish


def main(good: str, images: list[str]) -> int:
    detector = blemish.Detector.fit(good)
    detector.save("part.blemish.safetensors")
    for prediction in detector.predict(images):
        print(f"{prediction.image_path}: {prediction.verdict}, score {prediction.score:.3f}, threshold {prediction.threshold:.3f}")
        for region in prediction.regions:
            print(f"  {region.width} x {region.height} pixels at column {region.x}, row {region.y}, peak {region.peak:.3f}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
