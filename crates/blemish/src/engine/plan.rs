//! What a pass computes: everything, or what the scored patches ask for.

use super::lines::Lines;
use super::map::{MapShape, Maps};
use crate::config::{Head, ModelConfig, Output, PatchEmbed};
use crate::engine::Complementary;

/// The lines of every step.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Passes.
    pub batch: usize,
    /// Lines of the images.
    pub image: Lines,
    /// Of the stem's levels, the finest first.
    pub levels: Vec<Level>,
    /// The image and the levels of a blank image, where there are blank lines.
    pub blank: &'a [Maps],
    /// Rows of patches that become tokens.
    pub embedded: Lines,
    /// Rows of patches whose tokens the head reads.
    pub decoded: Lines,
    /// Lines of the head's maps, the finest first, that the convolutions give.
    pub fused: Vec<Lines>,
}

/// The lines of one level of the stem.
#[derive(Debug)]
pub struct Level {
    /// Those that are computed.
    pub computed: Lines,
    /// Those that see hidden pixels only, and are as those of a blank image.
    pub blank: Lines,
}

impl<'a> Plan<'a> {
    /// Whole passes. `maps` are the image and the levels, the finest first.
    pub fn whole(config: &ModelConfig, maps: &[MapShape], batch: usize) -> Self {
        let all = |map: &MapShape| Lines::all(batch, map.height);
        let level = |map| Level { computed: all(map), blank: Lines::none(batch, map.height) };
        let rows = Lines::all(batch, maps[0].height / config.patch_size);
        Self {
            batch,
            image: all(&maps[0]),
            levels: stem(config, maps).iter().map(level).collect(),
            blank: &[],
            embedded: rows.clone(),
            decoded: rows,
            fused: pyramid(config, maps).iter().map(all).collect(),
        }
    }

    /// What is needed to score each patch in its own pass; `blank` are the stem's maps of a blank image.
    pub fn scored(config: &ModelConfig, maps: &[MapShape], parts: &Complementary, blank: &'a [Maps]) -> Self {
        let (masks, p) = (parts.masks(), config.patch_size);
        let [rows, columns] = masks.grid();
        let batch = masks.batch();
        let any = |patch: &dyn Fn(usize, usize) -> bool| {
            let row = |at: usize| (0..columns).any(|column| patch(at / rows, at % rows * columns + column));
            Lines::new(rows, (0..batch * rows).map(row).collect())
        };
        let shown = any(&|pass, patch| !masks.hidden(pass)[patch]);
        let scored = any(&|pass, patch| parts.scored_in()[patch] == pass);

        let mut fused = Vec::new();
        let head = pyramid(config, maps);
        let mut decoded = scored.finer(1 << head.len());
        for _ in head {
            let coarser = decoded.beside().halved();
            fused.push(std::mem::replace(&mut decoded, coarser));
        }

        let stem = stem(config, maps);
        let mut seen = vec![shown.finer(p)];
        for _ in stem {
            seen.extend(seen.last().map(Lines::reach));
        }
        let mut image = if stem.is_empty() { shown.finer(p) } else { shown.read() };
        let mut levels = Vec::new();
        for (i, seen) in seen[1..].iter().enumerate().rev() {
            let wanted = fused.get(i).map_or(image.clone(), |fused| image.or(&fused.beside()));
            let level = Level { computed: wanted.and(seen), blank: wanted.without(seen) };
            image = level.computed.read();
            levels.push(level);
        }
        levels.reverse();
        if config.output == Output::Residual {
            image = image.or(&scored.finer(p));
        }
        Self { batch, image, levels, blank, embedded: shown, decoded, fused }
    }
}

/// The maps of the stem's levels.
fn stem<'a>(config: &ModelConfig, maps: &'a [MapShape]) -> &'a [MapShape] {
    if config.patch_embed == PatchEmbed::ConvStem { &maps[1..] } else { &[] }
}

/// The maps of the head.
fn pyramid<'a>(config: &ModelConfig, maps: &'a [MapShape]) -> &'a [MapShape] {
    if config.head == Head::Pyramid { &maps[1..] } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_ask_for_few_lines_twice() {
        let config = ModelConfig::light();
        let map =
            |i: usize| MapShape { height: 256 >> i, width: 256 >> i, channels: 1, ..MapShape::default() };
        let maps: Vec<_> = (0..4).map(map).collect();
        let plan = Plan::scored(&config, &maps, &Complementary::bands([16, 16], 4), &[]);
        let count = |lines: &Lines| lines.runs(1).len();
        // 8 bands; what lies beyond the image is nobody's.
        assert_eq!(count(&plan.embedded), 16);
        assert_eq!(plan.fused.iter().map(count).collect::<Vec<_>>(), [128, 8 * 10 - 2, 8 * 6 - 2]);
        assert_eq!(count(&plan.decoded), 8 * 4 - 2);
        // A band reaches one line of each level below it.
        let computed = plan.levels.iter().map(|level| count(&level.computed));
        assert_eq!(computed.collect::<Vec<_>>(), [128 + 7, 64 + 7, 32 + 7]);
    }
}
