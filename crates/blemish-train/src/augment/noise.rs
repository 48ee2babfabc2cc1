//! Smooth random fields: value noise on a lattice, summed over several grain sizes.

use rand::Rng;

/// Fractal value noise, `[height, width]`, values in [0, 1].
///
/// `cells` are the grain sizes in pixels; each next one weighs half as much as the one before. Neighbouring lattice
/// points are joined by a smoothstep, so the field has no visible creases.
pub(super) fn fbm(height: usize, width: usize, cells: &[f32], rng: &mut impl Rng) -> Vec<f32> {
    let mut field = vec![0.0; height * width];
    let total: f32 = (0..cells.len()).map(|octave| 0.5f32.powi(octave as i32)).sum();
    for (octave, &cell) in cells.iter().enumerate() {
        add_octave(&mut field, width, cell.max(1.0), 0.5f32.powi(octave as i32) / total, rng);
    }
    field
}

/// Adds value noise of one grain size, between 0 and `weight`.
fn add_octave(field: &mut [f32], width: usize, cell: f32, weight: f32, rng: &mut impl Rng) {
    let height = field.len() / width;
    let columns = (width as f32 / cell) as usize + 2;
    let rows = (height as f32 / cell) as usize + 2;
    let lattice: Vec<f32> = (0..rows * columns).map(|_| weight * rng.random::<f32>()).collect();
    let along: Vec<(usize, f32)> = (0..width).map(|x| place(x, cell)).collect();
    let mut blend = vec![0.0; columns];
    for (y, row) in field.chunks_exact_mut(width).enumerate() {
        let (j, t) = place(y, cell);
        let (above, below) = (&lattice[j * columns..], &lattice[(j + 1) * columns..]);
        for ((b, p), q) in blend.iter_mut().zip(above).zip(below) {
            *b = p + (q - p) * t;
        }
        for (v, &(i, t)) in row.iter_mut().zip(&along) {
            *v += blend[i] + (blend[i + 1] - blend[i]) * t;
        }
    }
}

/// The lattice index before pixel `at`, and the smoothstep weight of the one after.
fn place(at: usize, cell: f32) -> (usize, f32) {
    let position = at as f32 / cell;
    let t = position.fract();
    (position as usize, t * t * (3.0 - 2.0 * t))
}

/// A draw that is close to a standard normal: the sum of the four bytes of one random word (Irwin-Hall), within +-3.45.
pub(super) fn normal(rng: &mut impl Rng) -> f32 {
    /// Standard deviation of the sum of four uniform bytes: `sqrt(4 * (256^2 - 1) / 12)`.
    const DEVIATION: f32 = 147.8;
    let sum: u32 = rng.next_u32().to_le_bytes().into_iter().map(u32::from).sum();
    (sum as f32 - 510.0) / DEVIATION
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn noise_stays_in_range_and_varies() {
        let field = fbm(40, 70, &[16.0, 8.0, 0.5], &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(field.len(), 40 * 70);
        assert!(field.iter().all(|v| (0.0..=1.0).contains(v)));
        let (low, high) = field.iter().fold((1.0f32, 0.0f32), |(l, h), &v| (l.min(v), h.max(v)));
        assert!(high - low > 0.3, "{low} {high}");
    }

    #[test]
    fn noise_is_smooth_at_its_grain() {
        let field = fbm(64, 64, &[16.0], &mut ChaCha8Rng::seed_from_u64(2));
        // A smoothstep rises by at most 1.5 / cell a pixel.
        assert!(field.chunks_exact(64).all(|row| row.windows(2).all(|w| (w[1] - w[0]).abs() <= 1.5 / 16.0)));
    }

    #[test]
    fn normal_has_mean_zero_and_deviation_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let draws: Vec<f32> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f32>() / 2e4;
        let variance = draws.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 2e4;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
