//! What every generated image promises.

use std::collections::BTreeSet;

use blemish_synthetic::{DefectKind, Defective, Families, Scene, VISIBLE, Varied, VariedSet, program_names};
use rayon::prelude::*;

const SIZE: [usize; 2] = [48, 56];
const FAMILIES: [Families; 2] = [Families::Training, Families::Validation];

fn draw(seed: u64) -> (Vec<f32>, Defective) {
    let scene = Scene::new(seed, FAMILIES[(seed % 2) as usize]);
    (scene.good(seed, SIZE).pixels, scene.defective(seed + 1, SIZE))
}

fn bits(pixels: &[f32]) -> Vec<u32> {
    pixels.iter().map(|v| v.to_bits()).collect()
}

type Bytes = (Vec<u32>, Vec<u32>, Vec<u8>, DefectKind);

fn on_threads(threads: usize) -> Vec<Bytes> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
    pool.install(|| {
        (0..40)
            .into_par_iter()
            .map(draw)
            .map(|(good, bad)| (bits(&good), bits(&bad.image.pixels), bad.mask, bad.kind))
            .collect()
    })
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    assert!(on_threads(1) == on_threads(2));
}

#[test]
fn values_are_in_range_and_only_the_mask_differs() {
    for seed in 0..120 {
        let (good, bad) = draw(seed);
        let all = good.iter().chain(&bad.image.pixels).chain(&bad.clean.pixels);
        assert!(all.clone().all(|v| (0.0..=1.0).contains(v)), "scene {seed}");
        assert_eq!(all.count(), 9 * SIZE[0] * SIZE[1]);
        assert_eq!(bad.mask.len(), SIZE[0] * SIZE[1]);
        assert!(bad.mask.iter().filter(|v| **v == 1).count() >= 8, "scene {seed}: {}", bad.kind.name());
        assert!(bad.size >= 2.0, "scene {seed}: {}", bad.kind.name());
        for (at, on) in bad.mask.iter().enumerate() {
            let (image, clean) =
                (&bad.image.pixels[3 * at..3 * at + 3], &bad.clean.pixels[3 * at..3 * at + 3]);
            let most = image.iter().zip(clean).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(*on == 1 || most <= VISIBLE, "scene {seed}, pixel {at}: {most}");
        }
    }
}

#[test]
fn the_clean_photo_is_the_good_one_and_instances_and_scenes_differ() {
    let scene = Scene::new(3, Families::Training);
    assert_eq!(scene.defective(5, SIZE).clean, scene.good(5, SIZE));
    let seen: BTreeSet<Vec<u32>> = (0..100)
        .flat_map(|k| [(k, Families::Training), (k, Families::Validation)])
        .flat_map(|(k, families)| {
            let scene = Scene::new(k, families);
            [0, 1].map(|instance| bits(&scene.good(instance, [24, 24]).pixels))
        })
        .collect();
    assert_eq!(seen.len(), 400);
}

#[test]
fn grey_scenes_have_equal_channels_and_are_about_three_in_five() {
    let grey = (0..300)
        .filter(|&k| {
            let image = Scene::new(k, Families::Training).good(0, [16, 16]);
            image.pixels.chunks_exact(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2])
        })
        .count();
    assert!((140..=230).contains(&grey), "{grey} of 300");
}

#[test]
fn the_families_are_disjoint_and_wide() {
    let [training, validation] =
        FAMILIES.map(|families| program_names(families).into_iter().collect::<BTreeSet<_>>());
    assert!(training.is_disjoint(&validation));
    assert!(training.len() >= 100 && validation.len() >= 20, "{} and {}", training.len(), validation.len());
    assert_eq!(training.len(), program_names(Families::Training).len(), "names are unique");
}

#[test]
fn training_has_every_kind_of_defect_but_those_held_out() {
    let kinds = |families| -> BTreeSet<DefectKind> {
        (0..500u64)
            .into_par_iter()
            .flat_map_iter(|seed| {
                let scene = Scene::new(seed, families);
                (0..4).map(move |instance| scene.defective(instance, [32, 32]).kind).collect::<Vec<_>>()
            })
            .collect()
    };
    let training = kinds(Families::Training);
    for kind in DefectKind::ALL {
        assert_eq!(training.contains(&kind), !kind.is_held_out(), "{}", kind.name());
    }
    assert!(kinds(Families::Validation).iter().any(|kind| kind.is_held_out()));
}

#[test]
fn a_varied_set_differs_from_its_good_photo_in_the_mask_only() {
    for kind in Varied::ALL {
        for seed in 0..4 {
            let set = VariedSet::new(kind, seed);
            for instance in 0..8 {
                let (good, (bad, mask)) = (set.good(instance, SIZE), set.defective(instance, SIZE));
                assert!(bits(&good.pixels) == bits(&VariedSet::new(kind, seed).good(instance, SIZE).pixels));
                assert!(good.pixels.iter().chain(&bad.pixels).all(|v| (0.0..=1.0).contains(v)));
                let differences =
                    || good.pixels.iter().zip(&bad.pixels).step_by(3).map(|(a, b)| (a - b).abs());
                assert!(differences().filter(|d| *d > 0.08).count() >= 12, "{kind:?} {seed} {instance}");
                assert!(differences().zip(&mask).all(|(d, on)| (d > 0.03) == (*on == 1)), "{kind:?} {seed}");
            }
        }
    }
}
