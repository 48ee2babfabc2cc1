//! Smooth continuation of known pixels into unknown ones: seamless pasting and painting over.

/// Fills the unknown pixels of `values` (`[height, width, channels]`) with a membrane spanned by the known ones: about
/// the solution of Laplace's equation with the known pixels as boundary, which is what Poisson blending adds to a pasted
/// patch (Perez et al. 2003, equation 5). One coarse-to-fine pass with `SWEEPS` relaxations a level, so it is smooth but
/// not exact. All zero when nothing is known.
pub(super) fn membrane(values: &mut [f32], known: &[bool], height: usize, width: usize) {
    const SWEEPS: usize = 4;
    let channels = values.len() / (height * width);
    if known.iter().all(|&k| k) {
        return;
    }
    if height * width == 1 {
        values.fill(0.0);
        return;
    }
    let (h, w) = (height.div_ceil(2), width.div_ceil(2));
    let parent = |i: usize| (i / width / 2) * w + i % width / 2;
    let mut coarse = vec![0.0; h * w * channels];
    let mut weight = vec![0.0f32; h * w];
    for i in (0..known.len()).filter(|&i| known[i]) {
        weight[parent(i)] += 1.0;
        for c in 0..channels {
            coarse[parent(i) * channels + c] += values[i * channels + c];
        }
    }
    for (pixel, weight) in coarse.chunks_exact_mut(channels).zip(&weight) {
        pixel.iter_mut().for_each(|v| *v /= weight.max(1.0));
    }
    let coarse_known: Vec<bool> = weight.iter().map(|&n| n > 0.0).collect();
    membrane(&mut coarse, &coarse_known, h, w);

    let unknown: Vec<usize> = (0..known.len()).filter(|&i| !known[i]).collect();
    for &i in &unknown {
        for c in 0..channels {
            values[i * channels + c] = coarse[parent(i) * channels + c];
        }
    }
    for _ in 0..SWEEPS {
        for &i in &unknown {
            let (y, x) = (i / width, i % width);
            let around = [
                if y > 0 { i - width } else { i },
                if y + 1 < height { i + width } else { i },
                if x > 0 { i - 1 } else { i },
                if x + 1 < width { i + 1 } else { i },
            ];
            for c in 0..channels {
                values[i * channels + c] =
                    0.25 * around.iter().map(|&j| values[j * channels + c]).sum::<f32>();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_border_gives_a_constant() {
        let known: Vec<bool> =
            (0..63).map(|i| i / 9 == 0 || i / 9 == 6 || i % 9 == 0 || i % 9 == 8).collect();
        let mut values: Vec<f32> =
            known.iter().flat_map(|&k| if k { [0.3, 0.7] } else { [9.0, -9.0] }).collect();
        membrane(&mut values, &known, 7, 9);
        assert!(values.chunks_exact(2).all(|v| (v[0] - 0.3).abs() < 1e-6 && (v[1] - 0.7).abs() < 1e-6));
    }

    #[test]
    fn a_ramp_is_continued() {
        let (h, w) = (20, 20);
        let known: Vec<bool> =
            (0..h * w).map(|i| !(3..17).contains(&(i / w)) || !(3..17).contains(&(i % w))).collect();
        let ramp = |i: usize| (i % w) as f32 / w as f32;
        let mut values: Vec<f32> = (0..h * w).map(|i| if known[i] { ramp(i) } else { 0.0 }).collect();
        membrane(&mut values, &known, h, w);
        let worst = (0..h * w).map(|i| (values[i] - ramp(i)).abs()).fold(0.0, f32::max);
        assert!(worst < 0.08, "{worst}");
    }

    #[test]
    fn nothing_known_is_zero() {
        let mut values = vec![5.0; 12];
        membrane(&mut values, &[false; 12], 3, 4);
        assert!(values.iter().all(|&v| v == 0.0));
    }
}
