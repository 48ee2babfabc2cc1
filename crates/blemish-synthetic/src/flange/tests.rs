//! The generator: repeatable, with masks that fit, and no shortcut through brightness.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use blemish::dataset::{Label, Layout, open};
use blemish::image::{Image, PixelMask};

fn render(seed: u64, size: usize, defect: Option<DefectKind>) -> (Image, PixelMask) {
    product_image(&mut ChaCha8Rng::seed_from_u64(seed), size, 3, defect)
}

#[test]
fn a_data_set_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let small =
        SyntheticConfig { image_size: 32, train: 3, test_good: 2, test_defective: 6, seed: 7, channels: 1 };
    generate(&small, folder.path()).unwrap();
    let set = open(folder.path(), None).unwrap();
    assert_eq!((set.layout, set.train.len(), set.test.len()), (Layout::Mvtec, 3, 8));
    assert!(set.problems.is_empty());
    assert_eq!(set.test.iter().filter(|sample| sample.label == Label::Defective).count(), 6);
    assert_eq!(set.test.iter().filter(|sample| sample.kind == "scratch").count(), 2);

    // More images leave the others as they are.
    let more = tempfile::tempdir().unwrap();
    generate(&SyntheticConfig { train: 5, test_good: 3, ..small.clone() }, more.path()).unwrap();
    for sample in set.train.iter().chain(&set.test) {
        let other = more.path().join(sample.path.strip_prefix(folder.path()).unwrap());
        assert!(fs::read(&sample.path).unwrap() == fs::read(other).unwrap(), "{}", sample.path.display());
    }
    for wrong in
        [SyntheticConfig { image_size: 8, ..small.clone() }, SyntheticConfig { channels: 2, ..small }]
    {
        assert!(matches!(generate(&wrong, folder.path()), Err(Error::Config { .. })));
    }
}

#[test]
fn masks_cover_what_the_defect_changes() {
    const SIZE: usize = 128;
    for kind in DefectKind::ALL {
        for seed in 0..6 {
            let (good, empty) = render(seed, SIZE, None);
            let (bad, mask) = render(seed, SIZE, Some(kind));
            assert_eq!(empty.count(), 0);
            let share = mask.count() as f32 / (SIZE * SIZE) as f32;
            assert!((0.0004..0.08).contains(&share), "{kind:?} {seed}: {share}");

            let near = |index: usize| {
                let (y, x) = (index / SIZE, index % SIZE);
                let rows = y.saturating_sub(2)..(y + 3).min(SIZE);
                rows.flat_map(|y| (x.saturating_sub(2)..(x + 3).min(SIZE)).map(move |x| y * SIZE + x))
                    .any(|index| mask.pixels[index] == 1)
            };
            let (mut inside, mut total) = (0.0, 0.0);
            for (index, (a, b)) in good.grey().iter().zip(bad.grey()).enumerate() {
                total += (a - b).powi(2);
                inside += if near(index) { (a - b).powi(2) } else { 0.0 };
            }
            assert!(inside > 0.95 * total && total > 0.0, "{kind:?} {seed}: {inside} of {total}");
        }
    }
}

#[test]
fn brightness_tells_nothing_and_nothing_saturates() {
    const COUNT: usize = 100;
    let mean = |seed: usize, defect| {
        let (image, _) = render(seed as u64, 32, defect);
        assert!(image.pixels.iter().all(|value| *value < 1.0));
        image.pixels.iter().sum::<f32>() / image.pixels.len() as f32
    };
    let good: Vec<f32> = (0..COUNT).map(|i| mean(i, None)).collect();
    let bad: Vec<f32> = (0..COUNT).map(|i| mean(1000 + i, Some(DefectKind::ALL[i % 5]))).collect();
    let brighter = good.iter().map(|g| bad.iter().filter(|b| *b > g).count()).sum::<usize>();
    let auroc = brighter as f32 / (COUNT * COUNT) as f32;
    assert!((auroc - 0.5).abs() < 0.1, "{auroc}");
}
